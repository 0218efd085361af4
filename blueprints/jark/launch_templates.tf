locals {
  # EKS adds its own part. The instance store becomes one disk for images, logs and emptyDir volumes.
  instance_store_user_data = <<-EOT
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="drakit"

    --drakit
    Content-Type: application/node.eks.aws

    apiVersion: node.eks.aws/v1alpha1
    kind: NodeConfig
    spec:
      instance:
        localStorage:
          strategy: RAID0

    --drakit--
  EOT

  # An adapter for each network card that can have one.
  efa_cards = {
    for name, group in var.node_groups : name => group.efa ? try(range(local.known_types[group.instance_type].efa_maximum_interfaces), []) : []
  }

  reservation_ids = {
    for name, group in var.node_groups : name => coalesce(group.reservation.id, var.capacity_block_reservation_id) if group.reservation != null
  }
}

# EKS refuses a template with a subnet or an instance profile, and with security groups does not add its own.
resource "aws_launch_template" "node" {
  for_each = var.node_groups

  name_prefix   = "${var.name}-${each.key}-"
  description   = "Nodes of the group ${each.key} of ${var.name}"
  instance_type = each.value.instance_type
  user_data     = try(local.known_types[each.value.instance_type].instance_storage_supported, false) ? base64encode(local.instance_store_user_data) : null

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2 # pods are one hop further away
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = each.value.disk_size
      encrypted             = true
      delete_on_termination = true
    }
  }

  # Only a Capacity Block is a market of its own; an on-demand reservation with these options fails to launch.
  dynamic "instance_market_options" {
    for_each = try(each.value.reservation.type, "") == "capacity-block" ? ["capacity-block"] : []

    content {
      market_type = instance_market_options.value
    }
  }

  dynamic "capacity_reservation_specification" {
    for_each = each.value.reservation == null ? [] : [local.reservation_ids[each.key]]

    content {
      capacity_reservation_target {
        capacity_reservation_id = capacity_reservation_specification.value
      }
    }
  }

  # Only where the reservation was made in one: a placement group finds no capacity in a reservation made outside it.
  dynamic "placement" {
    for_each = try(each.value.reservation.placement_group, null) == null ? [] : [each.value.reservation.placement_group]

    content {
      group_name = placement.value
    }
  }

  dynamic "network_interfaces" {
    for_each = local.efa_cards[each.key]

    content {
      interface_type        = "efa"
      network_card_index    = network_interfaces.value
      device_index          = network_interfaces.value == 0 ? 0 : 1
      delete_on_termination = true
      security_groups       = [aws_eks_cluster.this.vpc_config[0].cluster_security_group_id]
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${var.name}-${each.key}", "drakit/node-group" = each.key })
    }
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = !each.value.efa || length(local.efa_cards[each.key]) > 0
      error_message = "The node group ${each.key}: ${each.value.instance_type} has no Elastic Fabric Adapter."
    }
  }
}
