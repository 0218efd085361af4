"""SSM's public parameters that name EKS's images. All else of SSM is moto's."""

import hashlib
import json
import re

from drakit.rehearsal.operations import Result, operation
from drakit.rehearsal.protocol import Call
from drakit.rehearsal.world import World, now

_PARAMETER = re.compile(
    r"/aws/service/eks/optimized-ami/(?P<version>1\.\d+)/amazon-linux-2023/(?P<arch>x86_64|arm64)/"
    r"(?P<variant>standard|nvidia|neuron)/recommended(?:/(?P<what>image_id|image_name|release_version))?"
)


@operation("ssm", "GetParameter")
def get_parameter(world: World, call: Call) -> Result:
    """One parameter."""
    found = _parameter(call.get("Name", ""), call.region)
    return {"Parameter": found} if found else call.moto()


@operation("ssm", "GetParameters")
def get_parameters(world: World, call: Call) -> Result:
    """Several parameters."""
    found = [_parameter(name, call.region) for name in call.get("Names", [])]
    return {"Parameters": found, "InvalidParameters": []} if all(found) else call.moto()


def release_version(kubernetes: str) -> str:
    """The newest release of EKS's images for a version of Kubernetes."""
    return f"{kubernetes}.4-20251112"


def _parameter(name: str, region: str) -> Result | None:
    match = _PARAMETER.fullmatch(name)
    if match is None:
        return None
    release = release_version(match["version"])
    number, _, date = release.partition("-")
    which = f"{region}{name.partition('/recommended')[0]}"
    image = f"ami-{hashlib.sha256(which.encode()).hexdigest()[:17]}"
    values = {
        "image_id": image,
        "image_name": f"amazon-eks-node-al2023-{match['arch']}-{match['variant']}-{match['version']}-v{date}",
        "release_version": release,
    }
    whole = json.dumps({"schema_version": "2", **values, "kubernetes_version": number})
    value = values[match["what"]] if match["what"] else whole
    return {
        "Name": name,
        "Type": "String",
        "Value": value,
        "Version": 1,
        "LastModifiedDate": now(),
        "ARN": f"arn:aws:ssm:{region}::parameter{name}",
        "DataType": "text",
    }
