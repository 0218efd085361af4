"""Service Quotas: the limits on running On-Demand instances, in vCPUs.

Codes and names: Service Quotas of EC2. The values are the rehearsal's own; `POST /_drakit/quotas` changes them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from drakit.rehearsal.errors import AwsError
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import ACCOUNT, Call
from drakit.rehearsal.world import World

STANDARD, G_AND_VT, P = "L-1216C47A", "L-DB2E81BA", "L-417A185B"

NAMES: Mapping[str, str] = MappingProxyType({
    STANDARD: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    G_AND_VT: "Running On-Demand G and VT instances",
    P: "Running On-Demand P instances",
})  # fmt: skip

DEFAULTS: Mapping[str, float] = MappingProxyType({STANDARD: 640.0, G_AND_VT: 768.0, P: 384.0})


def quota_of(instance_type: str) -> str:
    """The code of the quota that an On-Demand instance of a type counts against."""
    match instance_type[:1]:
        case "g" | "v":
            return G_AND_VT
        case "p":
            return P
    return STANDARD


@operation("service-quotas", "GetServiceQuota", "GetAWSDefaultServiceQuota")
def get_service_quota(world: World, call: Call) -> Result:
    """One quota."""
    code = call.get("QuotaCode")
    if call.get("ServiceCode") != "ec2" or code not in NAMES:
        raise AwsError("NoSuchResourceException", "The request failed because the specified quota does not exist.")
    default = call.operation == "GetAWSDefaultServiceQuota"
    return {"Quota": _quota(call.region, code, DEFAULTS[code] if default else world.quota(code))}


@operation("service-quotas", "ListServiceQuotas", "ListAWSDefaultServiceQuotas")
def list_service_quotas(world: World, call: Call) -> Result:
    """All quotas of a service."""
    if call.get("ServiceCode") != "ec2":
        return {"Quotas": []}
    default = call.operation == "ListAWSDefaultServiceQuotas"
    quotas = [_quota(call.region, code, DEFAULTS[code] if default else world.quota(code)) for code in NAMES]
    items, token = page(call, quotas, limit="MaxResults", token="NextToken")  # noqa: S106
    return {"Quotas": items, "NextToken": token}


@operation("service-quotas", "ListServices")
def list_services(world: World, call: Call) -> Result:
    """The services that have quotas."""
    return {"Services": [{"ServiceCode": "ec2", "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)"}]}


def _quota(region: str, code: str, value: float) -> dict[str, Any]:
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:ec2/{code}",
        "QuotaCode": code,
        "QuotaName": NAMES[code],
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
