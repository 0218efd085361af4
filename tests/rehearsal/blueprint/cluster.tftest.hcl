# The cluster's versions and access, and what is refused before AWS is asked.

mock_provider "aws" {
  source = "./mocks"

  override_data {
    target = data.aws_ec2_instance_type.known["m5.xlarge"]
    values = { gpus = [], supported_architectures = ["x86_64"], instance_storage_supported = false }
  }
}

variables {
  name   = "jark"
  region = "us-west-2"
  node_groups = {
    core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
  }
}

run "a_version_in_extended_support" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.version == "1.33" && aws_eks_cluster.this.upgrade_policy[0].support_type == "EXTENDED"
    error_message = "STANDARD would have EKS upgrade the cluster at once."
  }
}

run "a_version_in_standard_support" {
  command = plan

  variables {
    eks_cluster_version = "1.35"
  }

  assert {
    condition     = aws_eks_cluster.this.upgrade_policy[0].support_type == "STANDARD"
    error_message = "EXTENDED would pay for an old version unasked."
  }
}

run "the_support_type_that_was_asked_for" {
  command = plan

  variables {
    eks_cluster_version  = "1.35"
    cluster_support_type = "EXTENDED"
  }

  assert {
    condition     = output.cluster_support_type == "EXTENDED"
    error_message = "It is ${output.cluster_support_type}."
  }
}

run "standard_support_that_has_ended" {
  command = plan

  variables {
    cluster_support_type = "STANDARD"
  }

  expect_failures = [aws_eks_cluster.this]
}

run "a_version_that_eks_does_not_offer_now" {
  command = plan

  variables {
    eks_cluster_version = "1.36"
  }

  expect_failures = [aws_eks_cluster.this]
}

run "a_version_without_dra" {
  command = plan

  variables {
    eks_cluster_version = "1.32"
  }

  expect_failures = [var.eks_cluster_version]
}

run "a_private_endpoint" {
  command = plan

  variables {
    cluster_endpoint_public_access_cidrs = []
  }

  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "The endpoint is public."
  }
}

run "addons_at_a_version_of_ones_own" {
  command = plan

  variables {
    enable_cluster_addons  = { metrics-server = false, eks-node-monitoring-agent = true }
    cluster_addon_versions = { coredns = "v1.12.4-eksbuild.1" }
  }

  assert {
    condition     = jsonencode(keys(aws_eks_addon.after_nodes)) == jsonencode(["aws-ebs-csi-driver", "coredns", "eks-node-monitoring-agent"])
    error_message = "Add-ons: ${jsonencode(keys(aws_eks_addon.after_nodes))}."
  }

  assert {
    condition     = aws_eks_addon.after_nodes["coredns"].addon_version == "v1.12.4-eksbuild.1" && aws_eks_addon.before_nodes["vpc-cni"].addon_version == "v1.2.3-eksbuild.1"
    error_message = "Versions: ${jsonencode(output.cluster_addons)}."
  }
}

run "an_addon_that_cannot_be_missed" {
  command = plan

  variables {
    enable_cluster_addons = { coredns = false }
  }

  expect_failures = [var.enable_cluster_addons]
}

run "no_node_for_addons_to_run_on" {
  command = plan

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 0, max = 8, desired = 0 }
    }
  }

  expect_failures = [var.node_groups]
}

run "an_image_that_does_not_fit_the_type" {
  command = plan

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 2, max = 8, desired = 2 }
    }
  }

  expect_failures = [aws_eks_node_group.this["core"]]
}

run "wrong_values" {
  command = plan

  variables {
    name                                   = "Not a name"
    region                                 = "west"
    vpc_cidr                               = "10.1.0.0/28"
    secondary_cidr_blocks                  = ["100.64.0.0"]
    availability_zones_count               = 5
    availability_zones                     = ["zone-a", "zone-a"]
    cluster_endpoint_public_access_cidrs   = ["anywhere"]
    cluster_admin_arns                     = ["admin"]
    cluster_enabled_log_types              = ["everything"]
    cloudwatch_log_group_retention_in_days = 8
    kms_key_deletion_window_in_days        = 1
    cluster_support_type                   = "FOREVER"
    cluster_addon_versions                 = { coredns = "latest" }
    capacity_block_reservation_id          = "mine"
    tags                                   = { "aws:name" = "jark" }
  }

  expect_failures = [
    var.name, var.region, var.vpc_cidr, var.secondary_cidr_blocks, var.availability_zones_count, var.availability_zones,
    var.cluster_endpoint_public_access_cidrs, var.cluster_admin_arns, var.cluster_enabled_log_types,
    var.cloudwatch_log_group_retention_in_days, var.kms_key_deletion_window_in_days, var.cluster_support_type,
    var.cluster_addon_versions, var.capacity_block_reservation_id, var.tags,
  ]
}
