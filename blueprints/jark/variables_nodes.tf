variable "node_groups" {
  description = <<-EOT
    Managed node groups by name. `desired` counts when a group is made; after that the size belongs to whoever scales it.
    `efa` gives every network card an Elastic Fabric Adapter. `reservation` names an EC2 capacity reservation, its zone,
    and, if it was made in one, its placement group.
  EOT
  type = map(object({
    instance_type = string
    min           = number
    max           = number
    desired       = number
    ami_type      = optional(string, "AL2023_x86_64_STANDARD")
    disk_size     = optional(number, 100) # GiB
    labels        = optional(map(string), {})
    taints        = optional(list(object({ key = string, value = optional(string, ""), effect = string })), [])
    efa           = optional(bool, false)
    reservation = optional(object({
      id                = optional(string) # null: capacity_block_reservation_id
      type              = string
      availability_zone = optional(string)
      placement_group   = optional(string)
    }))
  }))

  validation {
    condition     = alltrue([for name in keys(var.node_groups) : can(regex("^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", name))])
    error_message = "A node group's name must be a DNS label of at most 40 characters."
  }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : 0 <= group.min && group.min <= group.desired && group.desired <= group.max && group.max >= 1])
    error_message = "A node group's sizes must be 0 <= min <= desired <= max, and EKS wants a max of at least 1."
  }

  validation {
    condition     = anytrue([for group in values(var.node_groups) : group.desired >= 1 && length([for taint in group.taints : taint if taint.effect != "PreferNoSchedule"]) == 0])
    error_message = "One node group without taints must start with a node: CoreDNS and other add-ons need one, and creating them waits until they run."
  }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9-]+$", group.instance_type))])
    error_message = "An instance type is a family and a size, such as g6.4xlarge."
  }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : contains(["AL2023_x86_64_STANDARD", "AL2023_ARM_64_STANDARD", "AL2023_x86_64_NVIDIA", "AL2023_ARM_64_NVIDIA"], group.ami_type)])
    error_message = "The AMI type must be AL2023_x86_64_STANDARD, AL2023_ARM_64_STANDARD, AL2023_x86_64_NVIDIA or AL2023_ARM_64_NVIDIA."
  }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : group.disk_size >= 30 && group.disk_size <= 16384])
    error_message = "The disk must have 30 to 16384 GiB: the NVIDIA image alone takes about 20."
  }

  validation {
    condition     = alltrue(flatten([for group in values(var.node_groups) : [for taint in group.taints : contains(["NoSchedule", "PreferNoSchedule", "NoExecute"], taint.effect)]]))
    error_message = "A taint's effect is NoSchedule, PreferNoSchedule or NoExecute."
  }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : try(contains(["capacity-block", "odcr"], group.reservation.type), group.reservation == null)])
    error_message = "A reservation's type is capacity-block or odcr."
  }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : group.reservation == null || try(group.reservation.availability_zone, null) != null])
    error_message = "A reservation holds capacity in one availability zone: name it as the reservation's availability_zone (EC2 DescribeCapacityReservations tells it)."
  }

  validation {
    condition = alltrue([
      for group in values(var.node_groups) : group.reservation == null || can(regex("^cr-[0-9a-f]{8,17}$", coalesce(
        try(group.reservation.id, null), try(group.reservation.type, "") == "capacity-block" ? var.capacity_block_reservation_id : "", "none"
      )))
    ])
    error_message = "A reservation needs its id, such as cr-0123456789abcdef0; a Capacity Block without one takes capacity_block_reservation_id."
  }
}

variable "capacity_block_reservation_id" {
  description = "Capacity Block of the node groups whose reservation is a Capacity Block without an id of its own; empty when there is none."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.capacity_block_reservation_id == "" || can(regex("^cr-[0-9a-f]{8,17}$", var.capacity_block_reservation_id))
    error_message = "The id of a capacity reservation looks like cr-0123456789abcdef0."
  }
}
