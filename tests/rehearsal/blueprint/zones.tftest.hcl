# Which availability zones the stack and its node groups are in.

mock_provider "aws" {
  source = "./mocks"

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["g6.4xlarge"]
    values = { locations = ["zone-b", "zone-c", "zone-d"] }
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["p4d.24xlarge"]
    values = { locations = ["zone-d"] }
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["p4de.24xlarge"]
    values = { locations = ["zone-a"] }
  }

  override_data {
    target = data.aws_ec2_instance_type_offerings.zones["p9.99xlarge"]
    values = { locations = [] }
  }

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
    g6   = { instance_type = "g6.4xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 2, desired = 0 }
  }
}

run "zones_with_every_type_are_preferred" {
  command = plan

  assert {
    condition     = jsonencode(output.availability_zones) == jsonencode(["zone-b", "zone-c"])
    error_message = "Chosen: ${jsonencode(output.availability_zones)}."
  }
}

run "a_rare_type_has_its_zone_and_only_that" {
  command = plan

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      g6   = { instance_type = "g6.4xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 2, desired = 0 }
      p4d  = { instance_type = "p4d.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
    }
  }

  assert {
    condition     = jsonencode(output.availability_zones) == jsonencode(["zone-b", "zone-d"])
    error_message = "Chosen: ${jsonencode(output.availability_zones)}."
  }

  assert {
    condition     = jsonencode(output.node_group_placement.g6.availability_zones) == jsonencode(["zone-b", "zone-d"])
    error_message = "g6 is in ${jsonencode(output.node_group_placement.g6.availability_zones)}."
  }

  assert {
    condition     = jsonencode(output.node_group_placement.p4d.availability_zones) == jsonencode(["zone-d"])
    error_message = "p4d is in ${jsonencode(output.node_group_placement.p4d.availability_zones)}."
  }
}

run "types_that_share_no_zone_have_one_each" {
  command = plan

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      p4d  = { instance_type = "p4d.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
      p4de = { instance_type = "p4de.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
    }
  }

  assert {
    condition     = jsonencode(output.availability_zones) == jsonencode(["zone-a", "zone-d"])
    error_message = "Chosen: ${jsonencode(output.availability_zones)}."
  }
}

run "a_reservation_brings_its_zone" {
  command = plan

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      g6   = { instance_type = "g6.4xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 2, desired = 0 }
      p4d = {
        instance_type = "p4d.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0
        reservation   = { id = "cr-0123456789abcdef0", type = "capacity-block", availability_zone = "zone-a" }
      }
    }
  }

  assert {
    condition     = jsonencode(output.availability_zones) == jsonencode(["zone-a", "zone-b"])
    error_message = "Chosen: ${jsonencode(output.availability_zones)}."
  }

  assert {
    condition     = jsonencode(output.node_group_placement.p4d.availability_zones) == jsonencode(["zone-a"])
    error_message = "p4d is in ${jsonencode(output.node_group_placement.p4d.availability_zones)}."
  }
}

run "more_zones_needed_than_wanted" {
  command = plan

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      p4de = { instance_type = "p4de.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
      block = {
        instance_type = "p4d.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0
        reservation   = { id = "cr-0123456789abcdef0", type = "capacity-block", availability_zone = "zone-c" }
      }
      odcr = {
        instance_type = "g6.4xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0
        reservation   = { id = "cr-22222222222222220", type = "odcr", availability_zone = "zone-d" }
      }
    }
  }

  expect_failures = [aws_vpc.this]
}

run "a_type_that_is_offered_nowhere" {
  command = plan

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      p9   = { instance_type = "p9.99xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
    }
  }

  expect_failures = [aws_vpc.this]
}

run "a_reservation_in_a_zone_that_cannot_be_used" {
  command = plan

  variables {
    node_groups = {
      core = {
        instance_type = "m5.xlarge", min = 2, max = 8, desired = 2
        reservation   = { id = "cr-0123456789abcdef0", type = "odcr", availability_zone = "zone-z" }
      }
    }
  }

  expect_failures = [aws_vpc.this]
}

run "zones_by_name" {
  command = plan

  variables {
    availability_zones = ["zone-d", "zone-a", "zone-c"]
  }

  assert {
    condition     = jsonencode(output.availability_zones) == jsonencode(["zone-d", "zone-a", "zone-c"])
    error_message = "Chosen: ${jsonencode(output.availability_zones)}."
  }

  assert {
    condition     = jsonencode(output.node_group_placement.g6.availability_zones) == jsonencode(["zone-d", "zone-c"])
    error_message = "g6 is in ${jsonencode(output.node_group_placement.g6.availability_zones)}."
  }
}

run "named_zones_without_the_type" {
  command = plan

  variables {
    availability_zones = ["zone-a", "zone-b"]
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      p4d  = { instance_type = "p4d.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0 }
    }
  }

  expect_failures = [aws_vpc.this]
}

run "subnets_of_zones_do_not_overlap_and_do_not_move" {
  command = plan

  variables {
    availability_zones_count = 4
    secondary_cidr_blocks    = ["100.64.0.0/16", "100.65.0.0/16"]
    single_nat_gateway       = false
  }

  assert {
    condition     = jsonencode(aws_subnet.private[*].cidr_block) == jsonencode(["10.1.0.0/24", "10.1.1.0/24", "10.1.2.0/24", "10.1.3.0/24"])
    error_message = "Private: ${jsonencode(aws_subnet.private[*].cidr_block)}."
  }

  assert {
    condition     = jsonencode(aws_subnet.public[*].cidr_block) == jsonencode(["10.1.4.0/24", "10.1.5.0/24", "10.1.6.0/24", "10.1.7.0/24"])
    error_message = "Public: ${jsonencode(aws_subnet.public[*].cidr_block)}."
  }

  assert {
    condition     = length(aws_subnet.pods) == 8 && aws_subnet.pods["100.65.0.0/16 3"].cidr_block == "100.65.192.0/18"
    error_message = "Pods: ${jsonencode(values(aws_subnet.pods)[*].cidr_block)}."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 4
    error_message = "Each zone has a NAT gateway of its own."
  }
}
