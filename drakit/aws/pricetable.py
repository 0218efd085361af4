"""Prices for when the Pricing API cannot be asked. US dollars, Linux, On-Demand, us-east-1; other regions differ.

Sources: https://aws.amazon.com/ec2/pricing/on-demand/, /eks/pricing/, /vpc/pricing/, /ebs/pricing/,
/elasticloadbalancing/pricing/, /privatelink/pricing/ and /kms/pricing/, read 2026-07. Those of g5 and p5 are from price
lists that others make of AWS's.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

DATE = date(2026, 7, 1)
REGION = "us-east-1"

INSTANCES: Mapping[str, float] = MappingProxyType({
    "m5.large": 0.096, "m5.xlarge": 0.192, "m5.2xlarge": 0.384,
    "g5.xlarge": 1.006, "g5.2xlarge": 1.212, "g5.4xlarge": 1.624, "g5.8xlarge": 2.448,
    "g5.12xlarge": 5.672, "g5.16xlarge": 4.096, "g5.24xlarge": 8.144, "g5.48xlarge": 16.288,
    "g6.xlarge": 0.8048, "g6.2xlarge": 0.9776, "g6.4xlarge": 1.3232, "g6.8xlarge": 2.0144,
    "g6.12xlarge": 4.6016, "g6.16xlarge": 3.3968, "g6.24xlarge": 6.6752, "g6.48xlarge": 13.3504,
    "g6e.xlarge": 1.861, "g6e.2xlarge": 2.24208, "g6e.4xlarge": 3.00424, "g6e.8xlarge": 4.52856,
    "g6e.12xlarge": 10.49264, "g6e.16xlarge": 7.57719, "g6e.24xlarge": 15.06559, "g6e.48xlarge": 30.13118,
    "p4d.24xlarge": 21.957642, "p4de.24xlarge": 27.44705,
    "p5.4xlarge": 6.88, "p5.48xlarge": 55.04, "p5en.48xlarge": 63.296,
})  # fmt: skip
"""An hour of an instance. p5e.48xlarge has none: it is sold in Capacity Blocks."""

CLUSTER = 0.10
"""An hour of an EKS control plane."""
EXTENDED_SUPPORT = 0.50
"""What extended support adds to it."""
NAT_GATEWAY = 0.045
"""An hour of a NAT gateway, without its traffic."""
GP3 = 0.08
"""A month of a GB of EBS gp3."""
LOAD_BALANCER = 0.0225
"""An hour of an application or network load balancer, without what passes through it; a classic one is 0.025."""
PUBLIC_ADDRESS = 0.005
"""An hour of a public IPv4 address, in use or not."""
INTERFACE_ENDPOINT = 0.01
"""An hour of an interface VPC endpoint in one zone."""
KEY = 1.0
"""A month of a KMS key."""
