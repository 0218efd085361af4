# IAM roles of the controllers that Helm installs and that call AWS. The EKS add-ons' roles are in addons.tf.

locals {
  # Of `kube-system`; the service accounts have the names that the controllers' charts give them.
  controllers = {
    for name, controller in {
      efs-csi = { enabled = var.enable_aws_efs_csi_driver, service_account = "efs-csi-controller-sa" }
      lb      = { enabled = var.enable_aws_load_balancer_controller, service_account = "aws-load-balancer-controller" }
    } : name => controller if controller.enabled
  }
}

resource "aws_iam_role" "controller" {
  for_each = local.controllers

  name = "${var.name}-${var.region}-${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "pods.eks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "efs_csi_driver" {
  count = var.enable_aws_efs_csi_driver ? 1 : 0

  role       = aws_iam_role.controller["efs-csi"].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonEFSCSIDriverPolicy"
}

# In the role, which takes 10240 characters: a policy of its own takes 6144.
resource "aws_iam_role_policy" "load_balancer_controller" {
  count = var.enable_aws_load_balancer_controller ? 1 : 0

  name   = "load-balancers"
  role   = aws_iam_role.controller["lb"].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.load_balancer_statements })
}

resource "aws_eks_pod_identity_association" "controller" {
  for_each = local.controllers

  cluster_name    = aws_eks_cluster.this.name
  namespace       = "kube-system"
  service_account = each.value.service_account
  role_arn        = aws_iam_role.controller[each.key].arn

  # Pods get the credentials that were associated when they were made: never a role that may nothing yet.
  depends_on = [
    aws_iam_role_policy.load_balancer_controller,
    aws_iam_role_policy_attachment.efs_csi_driver,
  ]
}
