# The VPC and its subnets. In each zone: a public one for load balancers and NAT, a private one for the control plane's
# network interfaces and internal load balancers, and one of each secondary block for nodes and pods.

resource "aws_vpc" "this" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }

  lifecycle {
    precondition {
      condition     = length(local.types_offered_nowhere) == 0
      error_message = "No availability zone of ${var.region} that this stack can use (${join(", ", local.candidate_zones)}) offers ${join(" or ", local.types_offered_nowhere)}. Choose another instance type or another region."
    }

    precondition {
      condition     = length(setsubtract(local.reserved_zones, local.candidate_zones)) == 0
      error_message = "A reservation is in ${join(", ", setsubtract(local.reserved_zones, local.candidate_zones))}, and this stack can only be in ${join(", ", local.candidate_zones)}. Check the reservation's region, and whether EKS can use its zone."
    }

    precondition {
      condition     = length(var.availability_zones) > 0 || length(local.zones) == var.availability_zones_count
      error_message = "${var.region} has only ${length(local.zones)} availability zones that EKS can use, and availability_zones_count is ${var.availability_zones_count}."
    }

    precondition {
      condition     = length(setsubtract(local.needed_zones, local.zones)) == 0
      error_message = "The node groups need ${length(local.needed_zones)} availability zones (${join(", ", local.needed_zones)}), and there are ${length(local.zones)}. Raise availability_zones_count, or choose instance types that share a zone."
    }
  }
}

# Closed: whatever does not say which security group it wants gets this one.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-default" }
}

resource "aws_vpc_ipv4_cidr_block_association" "secondary" {
  for_each = toset(var.secondary_cidr_blocks)

  vpc_id     = aws_vpc.this.id
  cidr_block = each.key
}

# Eighths of the block: four for private subnets, four for public ones, so that another zone moves nothing.
resource "aws_subnet" "private" {
  count = length(local.zones)

  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 3, count.index)

  tags = {
    Name                              = "${var.name}-private-${count.index}"
    "kubernetes.io/role/internal-elb" = "1"
  }

  lifecycle {
    # AWS adds types to zones: a better choice of zones is no reason to move a network.
    ignore_changes = [availability_zone]
  }
}

resource "aws_subnet" "public" {
  count = length(local.zones)

  vpc_id            = aws_vpc.this.id
  availability_zone = local.subnet_zones[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 3, 4 + count.index)

  tags = {
    Name                     = "${var.name}-public-${count.index}"
    "kubernetes.io/role/elb" = "1"
  }
}

locals {
  pod_subnets = {
    for pair in setproduct(var.secondary_cidr_blocks, range(length(local.zones))) : "${pair[0]} ${pair[1]}" => { block = pair[0], zone = pair[1] }
  }
}

resource "aws_subnet" "pods" {
  for_each = local.pod_subnets

  vpc_id            = aws_vpc_ipv4_cidr_block_association.secondary[each.value.block].vpc_id
  availability_zone = local.subnet_zones[each.value.zone]
  cidr_block        = cidrsubnet(each.value.block, 2, each.value.zone)

  tags = { Name = "${var.name}-pods-${each.value.zone}" }
}
