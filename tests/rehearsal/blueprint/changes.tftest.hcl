# What happens to a stack that exists, here applied to nothing at all, when AWS or the stack file changes.

mock_provider "aws" {
  source = "./mocks"

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["g6.4xlarge"]
    values = { locations = ["zone-c", "zone-d"] }
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["p4d.24xlarge"]
    values = { locations = ["zone-a"] }
  }

  override_data {
    target = data.aws_ec2_instance_type.known["m5.xlarge"]
    values = { gpus = [], supported_architectures = ["x86_64"], instance_storage_supported = false }
  }
}

variables {
  name                = "jark"
  region              = "us-west-2"
  deletion_protection = false # or this test could not clean up after itself
  node_groups = {
    core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
    g6   = { instance_type = "g6.4xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 2, desired = 0 }
  }
}

run "made" {
  assert {
    condition     = jsonencode(output.availability_zones) == jsonencode(["zone-c", "zone-d"])
    error_message = "In: ${jsonencode(output.availability_zones)}."
  }
}

run "more_offerings_move_nothing" {
  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["g6.4xlarge"]
    values = { locations = ["zone-a", "zone-b", "zone-c", "zone-d"] }
  }

  variables {
    availability_zones_count = 2
  }

  assert {
    condition     = jsonencode(output.availability_zones) == jsonencode(["zone-c", "zone-d"])
    error_message = "Moved to ${jsonencode(output.availability_zones)}."
  }

  assert {
    condition     = output.vpc_id == run.made.vpc_id && output.node_groups.g6.name == run.made.node_groups.g6.name
    error_message = "The VPC or the node group was replaced."
  }
}

run "a_group_for_which_no_zone_is_left" {
  command = plan

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      p4d  = { instance_type = "p4d.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
    }
  }

  expect_failures = [aws_eks_node_group.this["p4d"]]
}

run "another_zone_repeats_one" {
  command = plan

  variables {
    availability_zones_count = 3
  }

  expect_failures = [aws_eks_cluster.this]
}

run "another_zone" {
  variables {
    availability_zones = ["zone-c", "zone-d", "zone-a"]
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      p4d  = { instance_type = "p4d.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
    }
  }

  assert {
    condition     = length(aws_eks_cluster.this.vpc_config[0].subnet_ids) == 2
    error_message = "The control plane cannot get another zone."
  }

  assert {
    condition     = length(aws_eks_node_group.this["p4d"].subnet_ids) == 1 && length(aws_eks_node_group.this["core"].subnet_ids) == 2
    error_message = "A new group takes the new zone; one that exists is not replaced for it."
  }
}

run "another_type_is_another_node_group" {
  variables {
    availability_zones = ["zone-c", "zone-d", "zone-a"]
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      p4d  = { instance_type = "g6.4xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
    }
  }

  assert {
    condition     = output.node_groups.p4d.name != run.another_zone.node_groups.p4d.name && length(aws_eks_node_group.this["p4d"].subnet_ids) == 2
    error_message = "The group stayed in the zone of the type that it had."
  }
}

run "the_size_belongs_to_whoever_scales" {
  variables {
    availability_zones = ["zone-c", "zone-d", "zone-a"]
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 5 }
    }
  }

  assert {
    condition     = aws_eks_node_group.this["core"].scaling_config[0].desired_size == 2
    error_message = "Terraform scaled a group that exists."
  }
}

run "the_next_caller_does_not_take_the_creators_access" {
  override_data {
    target = data.aws_iam_session_context.caller
    values = { issuer_arn = "arn:aws:iam::123456789012:role/somebody-else" }
  }

  variables {
    availability_zones = ["zone-c", "zone-d", "zone-a"]
    cluster_admin_arns = ["arn:aws:iam::123456789012:role/admin", "arn:aws:iam::123456789012:role/operator"]
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
    }
  }

  assert {
    condition     = aws_eks_access_entry.creator.principal_arn == "arn:aws:iam::123456789012:role/admin"
    error_message = "The creator lost access to ${aws_eks_access_entry.creator.principal_arn}."
  }

  assert {
    condition     = jsonencode(keys(aws_eks_access_entry.admin)) == jsonencode(["arn:aws:iam::123456789012:role/operator"])
    error_message = "Admins: ${jsonencode(keys(aws_eks_access_entry.admin))}."
  }
}
