variable "name" {
  description = "Name of the stack and of its cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", var.name))
    error_message = "The name must be a DNS label of at most 40 characters."
  }
}

variable "region" {
  description = "AWS region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "The region must be the code of an AWS region, such as us-west-2."
  }
}

variable "tags" {
  description = "Tags of everything that can have tags, instances and their volumes included."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:") && !startswith(key, "drakit/")])
    error_message = "Tags that begin with aws: or drakit/ are reserved."
  }
}

variable "deletion_protection" {
  description = "Whether every plan that would destroy or replace the cluster is refused. How to lift it: protection.tf."
  type        = bool
  default     = true
  nullable    = false
}

variable "enable_nvidia_gpu_operator" {
  description = "Whether the NVIDIA GPU Operator is installed once the cluster is there. Terraform passes it on as an output."
  type        = bool
  default     = true
  nullable    = false
}

variable "enable_nvidia_dra_driver" {
  description = "Whether the NVIDIA DRA driver for GPUs is installed once the cluster is there. Terraform passes it on as an output."
  type        = bool
  default     = true
  nullable    = false
}

variable "enable_aws_load_balancer_controller" {
  description = "Whether the AWS Load Balancer Controller gets its IAM role. Its Helm release is installed once the cluster is there."
  type        = bool
  default     = false
  nullable    = false
}

variable "enable_aws_efs_csi_driver" {
  description = "Whether the CSI driver of Amazon EFS gets its IAM role. Its Helm release is installed once the cluster is there."
  type        = bool
  default     = false
  nullable    = false
}
