locals {
  # What `python -m drakit.sandbox` reads. Destroy-time provisioners see only their own resource, so each keeps a copy.
  environment = {
    DRAKIT_SANDBOX_FOLDER     = var.sandbox_folder
    DRAKIT_SANDBOX_KUBECONFIG = var.kubeconfig
    DRAKIT_SANDBOX_BINARY     = var.control_plane_binary
    DRAKIT_SANDBOX_KUBERNETES = var.eks_cluster_version
    DRAKIT_SANDBOX_NAME       = var.name
  }
}

# Certificates and etcd's data. Apart from the control plane, so that they outlive its restarts.
resource "terraform_data" "data" {
  input = {
    python      = var.python
    environment = local.environment
  }

  provisioner "local-exec" {
    when        = destroy
    interpreter = [self.output.python, "-m", "drakit.sandbox"]
    command     = "purge"
    environment = self.output.environment
  }
}

# etcd, kube-apiserver, kube-scheduler, kube-controller-manager and the node simulator, all on loopback.
resource "terraform_data" "control_plane" {
  input = {
    python      = var.python
    environment = local.environment
  }

  triggers_replace = [var.sandbox_folder, var.eks_cluster_version]
  depends_on       = [terraform_data.data]

  provisioner "local-exec" {
    interpreter = [var.python, "-m", "drakit.sandbox"]
    command     = "start"
    environment = local.environment
  }

  provisioner "local-exec" {
    when        = destroy
    interpreter = [self.output.python, "-m", "drakit.sandbox"]
    command     = "stop"
    environment = self.output.environment
  }
}
