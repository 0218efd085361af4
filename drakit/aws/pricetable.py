"""Prices for when the Pricing API cannot be asked. US dollars, Linux, On-Demand, us-east-1; other regions differ.

Sources: https://aws.amazon.com/ec2/pricing/on-demand/, /eks/pricing/, /vpc/pricing/ and /ebs/pricing/, read 2026-07.
"""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

DATE = date(2026, 7, 1)
REGION = "us-east-1"

INSTANCES: Mapping[str, float] = MappingProxyType({
    "m5.large": 0.096, "m5.xlarge": 0.192, "m5.2xlarge": 0.384,
    "g6.xlarge": 0.8048, "g6.2xlarge": 0.9776, "g6.4xlarge": 1.3232, "g6.8xlarge": 2.0144,
    "g6.12xlarge": 4.6016, "g6.16xlarge": 3.3968, "g6.24xlarge": 6.6752, "g6.48xlarge": 13.3504,
    "g6e.xlarge": 1.861, "g6e.2xlarge": 2.24208, "g6e.4xlarge": 3.00424, "g6e.8xlarge": 4.52856,
    "g6e.12xlarge": 10.49264, "g6e.16xlarge": 7.57719, "g6e.24xlarge": 15.06559, "g6e.48xlarge": 30.13118,
    "p4d.24xlarge": 21.957642, "p4de.24xlarge": 27.44705,
})  # fmt: skip
"""An hour of an instance."""

CLUSTER = 0.10
"""An hour of an EKS control plane."""
EXTENDED_SUPPORT = 0.50
"""What extended support adds to it."""
NAT_GATEWAY = 0.045
"""An hour of a NAT gateway, without its traffic."""
GP3 = 0.08
"""A month of a GB of EBS gp3."""
