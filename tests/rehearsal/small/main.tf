terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}
provider "aws" {
  region = "us-west-2"
  default_tags {
    tags = { stack = "small" }
  }
}
variable "desired" {
  default = 1
}
variable "kubernetes" {
  default = "1.33"
}
data "aws_caller_identity" "me" {}
data "aws_iam_session_context" "me" {
  arn = data.aws_caller_identity.me.arn
}
data "aws_eks_addon_version" "cni" {
  addon_name         = "vpc-cni"
  kubernetes_version = var.kubernetes
  most_recent        = true
}
resource "aws_vpc" "this" {
  cidr_block = "10.1.0.0/16"
}
resource "aws_subnet" "this" {
  for_each          = { us-west-2a = "10.1.0.0/24", us-west-2b = "10.1.1.0/24" }
  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
}
resource "aws_iam_role" "this" {
  for_each = { cluster = "eks.amazonaws.com", node = "ec2.amazonaws.com", csi = "pods.eks.amazonaws.com" }
  name     = "small-${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = each.value } }]
  })
}
resource "aws_eks_cluster" "this" {
  name                          = "small"
  role_arn                      = aws_iam_role.this["cluster"].arn
  version                       = var.kubernetes
  bootstrap_self_managed_addons = false
  enabled_cluster_log_types     = ["api", "audit"]
  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = false
  }
  vpc_config {
    subnet_ids              = [for subnet in aws_subnet.this : subnet.id]
    endpoint_private_access = true
  }
  upgrade_policy {
    support_type = "EXTENDED"
  }
}
resource "aws_eks_access_entry" "me" {
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = data.aws_iam_session_context.me.issuer_arn
}
resource "aws_eks_access_policy_association" "me" {
  cluster_name  = aws_eks_cluster.this.name
  principal_arn = aws_eks_access_entry.me.principal_arn
  policy_arn    = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
  access_scope {
    type = "cluster"
  }
}
resource "aws_iam_openid_connect_provider" "this" {
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
}
resource "aws_launch_template" "gpu" {
  name_prefix   = "small-gpu-"
  instance_type = "g6.4xlarge"
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
}
resource "aws_eks_node_group" "gpu" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "g6"
  node_role_arn   = aws_iam_role.this["node"].arn
  subnet_ids      = [for subnet in aws_subnet.this : subnet.id]
  ami_type        = "AL2023_x86_64_NVIDIA"
  labels          = { NodeGroupType = "g6" }
  scaling_config {
    min_size     = 0
    max_size     = 2
    desired_size = var.desired
  }
  launch_template {
    id      = aws_launch_template.gpu.id
    version = aws_launch_template.gpu.latest_version
  }
  taint {
    key    = "nvidia.com/gpu"
    value  = "true"
    effect = "NO_SCHEDULE"
  }
  node_repair_config {
    enabled = true
  }
}
resource "aws_eks_addon" "cni" {
  cluster_name  = aws_eks_cluster.this.name
  addon_name    = "vpc-cni"
  addon_version = data.aws_eks_addon_version.cni.version
}
resource "aws_eks_addon" "csi" {
  cluster_name = aws_eks_cluster.this.name
  addon_name   = "aws-ebs-csi-driver"
  pod_identity_association {
    role_arn        = aws_iam_role.this["csi"].arn
    service_account = "ebs-csi-controller-sa"
  }
  depends_on = [aws_eks_node_group.gpu]
}
resource "aws_eks_pod_identity_association" "other" {
  cluster_name    = aws_eks_cluster.this.name
  namespace       = "default"
  service_account = "other"
  role_arn        = aws_iam_role.this["csi"].arn
}
