variable "name" {
  description = "Name of the stack; what the kubeconfig calls the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "The name must be a DNS label of at most 40 characters."
  }
}

variable "eks_cluster_version" {
  description = "Minor version of Kubernetes that the control plane runs."
  type        = string

  validation {
    condition     = contains(["1.33", "1.35"], var.eks_cluster_version)
    error_message = "The sandbox offers Kubernetes 1.33 and 1.35."
  }
}

variable "node_groups" {
  description = "Groups of simulated nodes. A group's desired size counts when the group is made; after that `drakit scale` owns it."
  type = map(object({
    instance_type = string
    min           = number
    max           = number
    desired       = number
    labels        = map(string)
    taints        = list(object({ key = string, value = string, effect = string }))
  }))
}

variable "sandbox_folder" {
  description = "Absolute path of the folder for certificates, data and logs."
  type        = string
}

variable "kubeconfig" {
  description = "Absolute path of the kubeconfig to write."
  type        = string
}

variable "control_plane_binary" {
  description = "Path of the control plane's binary for this version of Kubernetes."
  type        = string
}

variable "python" {
  description = "Path of the Python interpreter that has drakit."
  type        = string
}
