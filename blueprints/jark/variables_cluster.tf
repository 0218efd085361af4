variable "eks_cluster_version" {
  description = "Minor version of Kubernetes."
  type        = string
  default     = "1.33"

  validation {
    condition     = contains(["1.33", "1.34", "1.35", "1.36"], var.eks_cluster_version)
    error_message = "The blueprint offers Kubernetes 1.33, 1.34, 1.35 and 1.36: Dynamic Resource Allocation is on in EKS from 1.33."
  }
}

variable "cluster_support_type" {
  description = "STANDARD: EKS upgrades the cluster when standard support ends. EXTENDED: it keeps the version, at a higher price. Null: as the version is supported now."
  type        = string
  default     = null

  validation {
    condition     = var.cluster_support_type == null || try(contains(["STANDARD", "EXTENDED"], var.cluster_support_type), false)
    error_message = "The support type is STANDARD or EXTENDED."
  }
}

variable "cluster_endpoint_public_access_cidrs" {
  description = "CIDR blocks that may reach the public API endpoint; an empty list makes the endpoint private."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = alltrue([for block in var.cluster_endpoint_public_access_cidrs : can(cidrnetmask(block))])
    error_message = "Each must be an IPv4 CIDR block."
  }
}

variable "cluster_admin_arns" {
  description = "ARNs of IAM roles and users that administer the cluster, beside the one that creates it."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.cluster_admin_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "Each must be the ARN of an IAM role or user."
  }
}

variable "cluster_enabled_log_types" {
  description = "Control plane logs that are kept."
  type        = set(string)
  default     = ["api", "audit", "authenticator"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.cluster_enabled_log_types, ["api", "audit", "authenticator", "controllerManager", "scheduler"])) == 0
    error_message = "The logs are api, audit, authenticator, controllerManager and scheduler."
  }
}

variable "cloudwatch_log_group_retention_in_days" {
  description = "How long control plane logs are kept, in days."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.cloudwatch_log_group_retention_in_days)
    error_message = "The number of days must be one that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ..."
  }
}

variable "kms_key_deletion_window_in_days" {
  description = "How long the key of the cluster's secrets can still be restored after the stack is destroyed, in days."
  type        = number
  default     = 7

  validation {
    condition     = var.kms_key_deletion_window_in_days >= 7 && var.kms_key_deletion_window_in_days <= 30
    error_message = "KMS waits 7 to 30 days."
  }
}

variable "enable_cluster_addons" {
  description = "EKS add-ons switched on or off, by name. On unless switched off: coredns, kube-proxy, vpc-cni, eks-pod-identity-agent, aws-ebs-csi-driver, metrics-server."
  type        = map(bool)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in ["coredns", "kube-proxy", "vpc-cni", "eks-pod-identity-agent"] : try(var.enable_cluster_addons[name], true)])
    error_message = "The cluster does not work without coredns, kube-proxy, vpc-cni and eks-pod-identity-agent."
  }
}

variable "cluster_addon_versions" {
  description = "Versions of EKS add-ons, by name. Others have the version that EKS gives to new clusters of this Kubernetes version."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for version in values(var.cluster_addon_versions) : can(regex("^v[0-9]+\\.[0-9]+\\.[0-9]+-eksbuild\\.[0-9]+$", version))])
    error_message = "Each must be a version of an EKS add-on, such as v1.19.5-eksbuild.1."
  }
}
