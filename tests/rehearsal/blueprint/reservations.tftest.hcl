# Node groups in Capacity Blocks and On-Demand Capacity Reservations, exactly as EKS and EC2 want them.

mock_provider "aws" {
  source = "./mocks"

  override_data {
    target = data.aws_ec2_instance_type.known["m5.xlarge"]
    values = { gpus = [], supported_architectures = ["x86_64"], instance_storage_supported = false }
  }
}

variables {
  name                          = "jark"
  region                        = "us-west-2"
  deletion_protection           = false # or this test could not clean up after itself
  secondary_cidr_blocks         = ["100.64.0.0/16", "100.65.0.0/16"]
  capacity_block_reservation_id = "cr-0123456789abcdef0"
  node_groups = {
    core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
    block = {
      instance_type = "p4d.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0
      reservation   = { type = "capacity-block", availability_zone = "zone-c" }
    }
    other-block = {
      instance_type = "p4de.24xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0, efa = true
      reservation   = { id = "cr-1111111111111111f", type = "capacity-block", availability_zone = "zone-c" }
    }
    odcr = {
      instance_type = "g6.4xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0
      reservation   = { id = "cr-22222222222222220", type = "odcr", availability_zone = "zone-d", placement_group = "mine" }
    }
  }
}

run "reserved" {
  assert {
    condition = alltrue([
      for name in ["block", "other-block"] :
      aws_eks_node_group.this[name].capacity_type == "CAPACITY_BLOCK" &&
      aws_launch_template.node[name].instance_market_options[0].market_type == "capacity-block" &&
      length(aws_launch_template.node[name].instance_market_options[0].spot_options) == 0
    ])
    error_message = "A Capacity Block is a market of its own, for the node group and for the launch template."
  }

  assert {
    condition = (
      aws_eks_node_group.this["odcr"].capacity_type == "ON_DEMAND" &&
      length(aws_launch_template.node["odcr"].instance_market_options) == 0
    )
    error_message = "An On-Demand Capacity Reservation with market options fails to launch."
  }

  assert {
    condition = jsonencode({
      for name, template in aws_launch_template.node : name => template.capacity_reservation_specification[*].capacity_reservation_target[0].capacity_reservation_id
      }) == jsonencode({
      block       = ["cr-0123456789abcdef0"]
      core        = []
      odcr        = ["cr-22222222222222220"]
      other-block = ["cr-1111111111111111f"]
    })
    error_message = "A group is in another reservation than its own."
  }

  assert {
    condition     = jsonencode({ for name, template in aws_launch_template.node : name => template.instance_type }) == jsonencode({ for name, group in var.node_groups : name => group.instance_type })
    error_message = "The instance type is in the launch template."
  }

  assert {
    condition = (
      jsonencode(aws_eks_node_group.this["block"].subnet_ids) == jsonencode([aws_subnet.pods["100.64.0.0/16 ${index(local.subnet_zones, "zone-c")}"].id]) &&
      jsonencode(aws_eks_node_group.this["odcr"].subnet_ids) == jsonencode([aws_subnet.pods["100.64.0.0/16 ${index(local.subnet_zones, "zone-d")}"].id]) &&
      length(aws_eks_node_group.this["core"].subnet_ids) == 4
    )
    error_message = "A reserved group has one subnet, in its reservation's zone; others have those of all their zones."
  }

  assert {
    condition     = jsonencode({ for name, template in aws_launch_template.node : name => template.placement[*].group_name }) == jsonencode({ block = [], core = [], odcr = ["mine"], other-block = [] })
    error_message = "A placement group that the reservation was not made in finds no capacity."
  }

  assert {
    condition = (
      jsonencode(aws_launch_template.node["other-block"].network_interfaces[*].network_card_index) == jsonencode([0, 1, 2, 3]) &&
      jsonencode(aws_launch_template.node["other-block"].network_interfaces[*].device_index) == jsonencode([0, 1, 1, 1]) &&
      alltrue([for each in aws_launch_template.node["other-block"].network_interfaces : each.interface_type == "efa" && length(each.security_groups) == 1]) &&
      length(aws_launch_template.node["block"].network_interfaces) == 0
    )
    error_message = "An adapter for each network card, in the cluster's security group, only where asked for."
  }
}

run "instance_store_where_there_is_one" {
  command = plan

  assert {
    condition     = aws_launch_template.node["core"].user_data == null || aws_launch_template.node["core"].user_data == ""
    error_message = "m5.xlarge has no instance store."
  }

  assert {
    condition     = yamldecode(regex("(?s)application/node.eks.aws\n\n(.*)\n--drakit--", base64decode(aws_launch_template.node["block"].user_data))[0]).spec.instance.localStorage.strategy == "RAID0"
    error_message = "The user data is not a NodeConfig: ${base64decode(aws_launch_template.node["block"].user_data)}"
  }

  assert {
    condition     = startswith(base64decode(aws_launch_template.node["block"].user_data), "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"drakit\"\n\n--drakit\n")
    error_message = "The user data is not multipart: ${base64decode(aws_launch_template.node["block"].user_data)}"
  }
}

run "an_adapter_that_the_type_has_not" {
  command = plan

  override_data {
    target = data.aws_ec2_instance_type.known["g6.4xlarge"]
    values = { gpus = [{ count = 1, manufacturer = "NVIDIA", memory_size = 22888, name = "L4" }], supported_architectures = ["x86_64"], instance_storage_supported = true, efa_maximum_interfaces = 0 }
  }

  variables {
    node_groups = {
      core = { instance_type = "m5.xlarge", min = 2, max = 8, desired = 2 }
      g6   = { instance_type = "g6.4xlarge", ami_type = "AL2023_x86_64_NVIDIA", min = 0, max = 1, desired = 0, efa = true }
    }
  }

  expect_failures = [aws_launch_template.node["g6"]]
}

run "a_reservation_without_its_zone" {
  command = plan

  variables {
    node_groups = {
      core = {
        instance_type = "m5.xlarge", min = 2, max = 8, desired = 2
        reservation   = { id = "cr-0123456789abcdef0", type = "odcr" }
      }
    }
  }

  expect_failures = [var.node_groups]
}

run "a_reservation_without_id" {
  command = plan

  variables {
    node_groups = {
      core = {
        instance_type = "m5.xlarge", min = 2, max = 8, desired = 2
        reservation   = { type = "odcr", availability_zone = "zone-a" } # the shared one is a Capacity Block
      }
    }
  }

  expect_failures = [var.node_groups]
}
