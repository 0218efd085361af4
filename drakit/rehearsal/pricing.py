"""The Price List API, for what a stack of drakit's costs.

Prices in USD an hour, On-Demand, Linux, us-east-1, July 2026 (docs of EC2, EKS and VPC pricing). The rehearsal asks
the same everywhere.
"""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from drakit.dra.catalogue import INSTANCE_TYPES
from drakit.rehearsal.operations import Result, operation, page
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.regions import regions
from drakit.rehearsal.world import World

EFFECTIVE = "2026-07-01T00:00:00Z"

INSTANCE_PRICES: Mapping[str, float] = MappingProxyType({
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

CLUSTER_STANDARD, CLUSTER_EXTENDED = 0.10, 0.60
"""EKS: a cluster's hour in standard support, and the whole of it in extended support."""

NAT_GATEWAY, PUBLIC_ADDRESS = 0.045, 0.005
KEY_MONTH = 1.0
GP3_MONTH = 0.08
"""USD per GB and month."""


@operation("pricing", "GetProducts")
def get_products(world: World, call: Call) -> Result:
    """The products of a service that match the filters, each as its price list document."""
    documents = [
        json.dumps(product)
        for product in _products(call.get("ServiceCode"))
        if all(_matches(product, entry) for entry in call.get("Filters", []))
    ]
    items, token = page(call, documents, limit="MaxResults", token="NextToken")  # noqa: S106
    return {"FormatVersion": "aws_v1", "PriceList": items, "NextToken": token}


@operation("pricing", "DescribeServices")
def describe_services(world: World, call: Call) -> Result:
    """The services that have prices here."""
    wanted = call.get("ServiceCode")
    services = [
        {"ServiceCode": code} for code in ("AmazonEC2", "AmazonEKS", "AmazonVPC", "awskms") if wanted in (None, code)
    ]
    return {"FormatVersion": "aws_v1", "Services": services}


def _matches(product: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    field, value = str(entry["Field"]), str(entry["Value"])
    attributes = {k.lower(): v for k, v in product["product"]["attributes"].items()}
    attributes["productfamily"] = product["product"]["productFamily"]
    attributes["servicecode"] = product["serviceCode"]
    found = str(attributes.get(field.lower(), ""))
    match entry.get("Type", "TERM_MATCH"):
        case "CONTAINS":
            return value.lower() in found.lower()
        case "ANY_OF":
            return found.lower() in {each.strip().lower() for each in value.split(",")}
        case "NONE_OF":
            return found.lower() not in {each.strip().lower() for each in value.split(",")}
    return found.lower() == value.lower()


def _products(service: str) -> Iterator[Mapping[str, Any]]:
    for region, location in regions().items():
        if service == "AmazonEC2":
            for name, price in INSTANCE_PRICES.items():
                yield _instance(region, location, name, price)
            yield _product(
                service, region, location, "NAT Gateway", f"{region}-NatGateway-Hours", NAT_GATEWAY, "Hrs",
                {"group": "NGW:NatGateway", "operation": "NatGateway"},
            )  # fmt: skip
            yield _product(
                service, region, location, "Storage", f"{region}-EBS:VolumeUsage.gp3", GP3_MONTH, "GB-Mo",
                {"volumeApiName": "gp3", "volumeType": "General Purpose"},
            )  # fmt: skip
        elif service == "AmazonVPC":
            usage = f"{region}-PublicIPv4:InUseAddress"
            yield _product(
                service, region, location, "", usage, PUBLIC_ADDRESS, "Hrs", {"group": "VPCPublicIPv4Address"}
            )
        elif service == "awskms":
            yield _product(service, region, location, "Encryption Key", f"{region}-KMS-Keys", KEY_MONTH, "Keys", {})
        elif service == "AmazonEKS":
            for usage, operation_name, price in (
                ("perCluster", "CreateOperation", CLUSTER_STANDARD),
                ("extendedSupport", "ExtendedSupport", CLUSTER_EXTENDED - CLUSTER_STANDARD),
            ):
                yield _product(
                    service, region, location, "Compute", f"{region}-AmazonEKS-Hours:{usage}", price, "Hours",
                    {"operation": operation_name, "tiertype": "HAStandard", "servicename": "Amazon Elastic Container Service for Kubernetes"},  # noqa: E501
                )  # fmt: skip


def _instance(region: str, location: str, name: str, price: float) -> Mapping[str, Any]:
    kind = INSTANCE_TYPES[name]
    attributes = {
        "instanceType": name,
        "vcpu": str(kind.vcpus),
        "memory": f"{kind.memory_gib:,} GiB",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
    }
    if kind.gpus:
        attributes["gpu"] = str(kind.gpus)
    return _product(
        "AmazonEC2", region, location, "Compute Instance", f"{region}-BoxUsage:{name}", price, "Hrs", attributes
    )


def _product(
    service: str,
    region: str,
    location: str,
    family: str,
    usage: str,
    price: float,
    unit: str,
    attributes: Mapping[str, str],
) -> Mapping[str, Any]:
    sku = usage.replace("-", "").replace(":", "").replace(".", "").upper()
    term, rate = f"{sku}.JRTCKXETXF", f"{sku}.JRTCKXETXF.6YS6EN2CT7"
    return {
        "product": {
            "productFamily": family,
            "sku": sku,
            "attributes": {
                "servicecode": service,
                "regionCode": region,
                "location": location,
                "locationType": "AWS Region",
                "usagetype": usage,
                **attributes,
            },
        },
        "serviceCode": service,
        "terms": {
            "OnDemand": {
                term: {
                    "sku": sku,
                    "effectiveDate": EFFECTIVE,
                    "offerTermCode": "JRTCKXETXF",
                    "termAttributes": {},
                    "priceDimensions": {
                        rate: {
                            "rateCode": rate,
                            "unit": unit,
                            "beginRange": "0",
                            "endRange": "Inf",
                            "description": f"${price} per {unit} {usage}",
                            "appliesTo": [],
                            "pricePerUnit": {"USD": f"{price:.10f}"},
                        }
                    },
                }
            }
        },
        "version": "20260701000000",
        "publicationDate": EFFECTIVE,
    }
