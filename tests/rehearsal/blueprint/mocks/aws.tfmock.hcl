# An account and a region that exist nowhere: what the blueprint's data sources and resources are given when no AWS is asked.

mock_data "aws_caller_identity" {
  defaults = {
    account_id = "123456789012"
    arn        = "arn:aws:sts::123456789012:assumed-role/admin/session"
  }
}

mock_data "aws_iam_session_context" {
  defaults = { issuer_arn = "arn:aws:iam::123456789012:role/admin" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws" }
}

mock_data "aws_availability_zones" {
  defaults = { names = ["zone-a", "zone-b", "zone-c", "zone-d"] }
}

mock_data "aws_ec2_instance_type_offerings" {
  defaults = { locations = ["zone-a", "zone-b", "zone-c", "zone-d"] }
}

mock_data "aws_ec2_instance_type" {
  defaults = {
    gpus                       = [{ count = 1, manufacturer = "NVIDIA", memory_size = 22888, name = "L4" }]
    supported_architectures    = ["x86_64"]
    instance_storage_supported = true
    efa_maximum_interfaces     = 4
  }
}

mock_data "aws_eks_addon_version" {
  defaults = { version = "v1.2.3-eksbuild.1" }
}

mock_data "aws_eks_cluster_versions" {
  defaults = {
    cluster_versions = [
      { cluster_version = "1.33", version_status = "EXTENDED_SUPPORT" },
      { cluster_version = "1.35", version_status = "STANDARD_SUPPORT" },
    ]
  }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/made" }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:us-west-2:123456789012:key/made" }
}

mock_resource "aws_launch_template" {
  defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
}

mock_resource "aws_eks_cluster" {
  defaults = {
    identity              = [{ oidc = [{ issuer = "https://oidc.eks.us-west-2.amazonaws.com/id/MADE" }] }]
    certificate_authority = [{ data = "bWFkZQ==" }]
  }
}
