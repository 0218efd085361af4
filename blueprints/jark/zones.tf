# Which availability zones the stack is in: those that offer the instance types it asks for.

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"] # no Local Zones
  }

  # EKS refuses control plane subnets in these.
  exclude_zone_ids = ["use1-az3", "usw1-az2", "cac1-az3"]
}

data "aws_ec2_instance_type_offerings" "zones" {
  for_each = toset([for group in values(var.node_groups) : group.instance_type])

  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = [each.key]
  }
}

# Of types that the region has: asking for another is an error that does not name the remedy.
data "aws_ec2_instance_type" "known" {
  for_each = toset([for type, offerings in data.aws_ec2_instance_type_offerings.zones : type if length(offerings.locations) > 0])

  instance_type = each.key
}

locals {
  known_types = data.aws_ec2_instance_type.known

  candidate_zones = length(var.availability_zones) > 0 ? var.availability_zones : data.aws_availability_zones.available.names

  # A reservation's capacity is in its zone, whatever is offered on demand.
  reserved_zones = distinct([for group in values(var.node_groups) : group.reservation.availability_zone if group.reservation != null])

  # Zones by instance type, of groups without a reservation.
  offered_zones = {
    for type in toset([for group in values(var.node_groups) : group.instance_type if group.reservation == null]) :
    type => [for zone in local.candidate_zones : zone if contains(data.aws_ec2_instance_type_offerings.zones[type].locations, zone)]
  }
  types_offered_nowhere = [for type, zones in local.offered_zones : type if length(zones) == 0]

  # Zones of reservations first, then those with most of the types, then by name.
  ranked_zones = [
    for entry in sort([
      for zone in local.candidate_zones : format(
        "%d %03d %s",
        contains(local.reserved_zones, zone) ? 0 : 1,
        999 - length([for zones in values(local.offered_zones) : zone if contains(zones, zone)]),
        zone,
      )
    ]) : split(" ", entry)[2]
  ]

  # Zones that cannot be done without: those of reservations, and for each type the best one that offers it.
  needed_zones = distinct(concat(
    local.reserved_zones,
    [for zones in values(local.offered_zones) : [for zone in local.ranked_zones : zone if contains(zones, zone)][0] if length(zones) > 0],
  ))
  preferred_zones = distinct(concat(local.needed_zones, local.ranked_zones))
  zones = length(var.availability_zones) > 0 ? var.availability_zones : sort(slice(
    local.preferred_zones, 0, min(var.availability_zones_count, length(local.preferred_zones))
  ))

  # The zones that subnets are really in: an existing subnet stays where it is, whatever the choice would be today.
  subnet_zones = aws_subnet.private[*].availability_zone
}
