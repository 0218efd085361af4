locals {
  taint_effects = {
    NoSchedule       = "NO_SCHEDULE"
    PreferNoSchedule = "PREFER_NO_SCHEDULE"
    NoExecute        = "NO_EXECUTE"
  }

  node_subnets = length(var.secondary_cidr_blocks) > 0 ? values(aws_subnet.pods)[*] : aws_subnet.private[*]

  # In which of the stack's zones a group can be: its reservation's, or those that offer its type.
  node_group_zones = {
    for name, group in var.node_groups : name => [
      for zone in local.subnet_zones : zone if group.reservation != null ? zone == group.reservation.availability_zone : contains(local.offered_zones[group.instance_type], zone)
    ]
  }

  node_group_subnets = {
    for name, zones in local.node_group_zones : name => [for subnet in local.node_subnets : subnet.id if contains(zones, subnet.availability_zone)]
  }
}

# What decides which subnets a group is in. They change with it, not when AWS begins to offer a type in one more zone.
resource "terraform_data" "placement" {
  for_each = var.node_groups

  input = {
    instance_type = each.value.instance_type
    reserved_zone = try(each.value.reservation.availability_zone, null)
  }
}

resource "aws_eks_node_group" "this" {
  for_each = var.node_groups

  cluster_name           = aws_eks_cluster.this.name
  node_group_name_prefix = "${substr(each.key, 0, 36)}-" # EKS allows 63 characters, of which the provider adds 26
  node_role_arn          = aws_iam_role.node.arn
  version                = aws_eks_cluster.this.version
  ami_type               = each.value.ami_type
  capacity_type          = try(each.value.reservation.type, "") == "capacity-block" ? "CAPACITY_BLOCK" : "ON_DEMAND"
  labels                 = each.value.labels

  # A Capacity Block takes exactly one subnet, in its zone.
  subnet_ids = each.value.reservation == null ? local.node_group_subnets[each.key] : slice(
    local.node_group_subnets[each.key], 0, min(1, length(local.node_group_subnets[each.key]))
  )

  launch_template {
    id      = aws_launch_template.node[each.key].id
    version = aws_launch_template.node[each.key].latest_version
  }

  scaling_config {
    min_size     = each.value.min
    max_size     = each.value.max
    desired_size = each.value.desired
  }

  update_config {
    max_unavailable = 1
  }

  node_repair_config {
    enabled = true
  }

  dynamic "taint" {
    for_each = each.value.taints

    content {
      key    = taint.value.key
      value  = taint.value.value == "" ? null : taint.value.value
      effect = local.taint_effects[taint.value.effect]
    }
  }

  tags = { "drakit/node-group" = each.key }

  lifecycle {
    create_before_destroy = true
    # The size belongs to `drakit scale`, Capacity Blocks' scheduled actions and autoscalers.
    ignore_changes       = [scaling_config[0].desired_size, subnet_ids]
    replace_triggered_by = [terraform_data.placement[each.key]]

    precondition {
      condition     = length(local.node_group_zones[each.key]) > 0
      error_message = "The node group ${each.key}: none of the stack's availability zones (${join(", ", local.subnet_zones)}) has ${each.value.instance_type}${each.value.reservation == null ? "; ${join(", ", local.offered_zones[each.value.instance_type])} offer it" : "'s reservation, which is in ${each.value.reservation.availability_zone}"}. Zones in use stay: raise availability_zones_count, choose another instance type, or make a new stack."
    }

    precondition {
      condition = try(
        endswith(each.value.ami_type, "_NVIDIA") == anytrue([for gpu in local.known_types[each.value.instance_type].gpus : upper(gpu.manufacturer) == "NVIDIA"]) &&
        strcontains(each.value.ami_type, "_ARM_64_") == contains(local.known_types[each.value.instance_type].supported_architectures, "arm64"),
        true,
      )
      error_message = "The node group ${each.key}: an image of type ${each.value.ami_type} does not fit ${each.value.instance_type}, by its architecture or its GPUs."
    }
  }

  # Nodes need a way out and their policies for as long as they run, also while they are being destroyed.
  depends_on = [
    aws_eks_addon.before_nodes,
    aws_iam_role_policy_attachment.node,
    aws_route.internet,
    aws_route.nat,
    aws_route_table_association.pods,
    aws_route_table_association.private,
    aws_route_table_association.public,
    aws_vpc_endpoint.s3,
  ]
}
