provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

locals {
  # Instances, volumes and network interfaces are made by EC2, not by Terraform: launch templates carry these to them.
  tags = merge(var.tags, { "drakit/stack" = var.name })
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
