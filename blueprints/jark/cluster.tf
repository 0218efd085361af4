data "aws_eks_cluster_versions" "offered" {}

locals {
  version_status = one([for each in data.aws_eks_cluster_versions.offered.cluster_versions : each.version_status if each.cluster_version == var.eks_cluster_version])
  # The API's default is EXTENDED, which pays for old versions unasked; STANDARD is for versions that still have it.
  support_type = coalesce(var.cluster_support_type, local.version_status == "STANDARD_SUPPORT" ? "STANDARD" : "EXTENDED")
}

resource "aws_iam_role" "cluster" {
  name = "${var.name}-${var.region}-cluster"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "eks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
}

# Before the cluster, which would else make it without retention or tags, and outside the state.
resource "aws_cloudwatch_log_group" "cluster" {
  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = var.cloudwatch_log_group_retention_in_days
}

resource "aws_eks_cluster" "this" {
  name                          = var.name
  version                       = var.eks_cluster_version
  role_arn                      = aws_iam_role.cluster.arn
  enabled_cluster_log_types     = var.cluster_enabled_log_types
  bootstrap_self_managed_addons = false

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = false
  }

  # No security group but EKS's own, which lets control plane and nodes reach each other, EFA included.
  vpc_config {
    subnet_ids              = aws_subnet.private[*].id
    endpoint_private_access = true
    endpoint_public_access  = length(var.cluster_endpoint_public_access_cidrs) > 0
    public_access_cidrs     = length(var.cluster_endpoint_public_access_cidrs) > 0 ? var.cluster_endpoint_public_access_cidrs : null
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = aws_kms_key.secrets.arn
    }
  }

  upgrade_policy {
    support_type = local.support_type
  }

  lifecycle {
    # A control plane keeps the zones it was made with; one more zone is for nodes.
    ignore_changes       = [vpc_config[0].subnet_ids]
    replace_triggered_by = [aws_vpc.this.id]

    precondition {
      condition     = local.version_status != null
      error_message = "EKS does not offer Kubernetes ${var.eks_cluster_version} in ${var.region} now."
    }

    precondition {
      condition     = local.support_type == "EXTENDED" || local.version_status == "STANDARD_SUPPORT"
      error_message = "Kubernetes ${var.eks_cluster_version} is no longer in standard support: cluster_support_type must be EXTENDED, or eks_cluster_version a newer one."
    }

    precondition {
      condition     = length(distinct(local.subnet_zones)) == length(local.subnet_zones)
      error_message = "The zones now chosen (${join(", ", local.zones)}) repeat one that the stack is in (${join(", ", local.subnet_zones)}). Set availability_zones to the zones it is in, in this order, followed by a new one."
    }
  }

  depends_on = [
    aws_cloudwatch_log_group.cluster,
    aws_iam_role_policy.cluster_secrets,
    aws_iam_role_policy_attachment.cluster,
    # Of a block that comes later EKS may take hours to hear, and the nodes are in it.
    aws_vpc_ipv4_cidr_block_association.secondary,
  ]
}
