variable "vpc_cidr" {
  description = "Primary CIDR block of the VPC, /16 to /24: public subnets, and private ones for the control plane and load balancers."
  type        = string
  default     = "10.1.0.0/21"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(1[6-9]|2[0-4])$", var.vpc_cidr))
    error_message = "The VPC's CIDR block must be an IPv4 block between /16 and /24: an eighth of it is a subnet, and EKS asks for 16 free addresses in each."
  }
}

variable "secondary_cidr_blocks" {
  description = "Further CIDR blocks of the VPC, /16 to /24, for nodes and pods. With none, nodes are in the private subnets."
  type        = list(string)
  default     = ["100.64.0.0/16"]
  nullable    = false

  validation {
    condition     = alltrue([for block in var.secondary_cidr_blocks : can(cidrnetmask(block)) && can(regex("/(1[6-9]|2[0-4])$", block))])
    error_message = "Each must be an IPv4 CIDR block between /16 and /24."
  }

  validation {
    condition     = length(var.secondary_cidr_blocks) <= 4 && length(distinct(var.secondary_cidr_blocks)) == length(var.secondary_cidr_blocks)
    error_message = "A VPC has at most four CIDR blocks beside its first one, each once."
  }
}

variable "availability_zones_count" {
  description = "Number of availability zones, when they are not named. It may grow later; zones that are in use stay."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3, 4], var.availability_zones_count)
    error_message = "There must be 2, 3 or 4 availability zones."
  }
}

variable "availability_zones" {
  description = "The availability zones by name, in order; empty to choose them by the instance types that they offer."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = contains([0, 2, 3, 4], length(var.availability_zones)) && length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "Name 2, 3 or 4 different zones, or none."
  }
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones, or one in each: dearer, but the loss of a zone does not cut off the others."
  type        = bool
  default     = true
  nullable    = false
}
