"""Helm's record of a release: what it thinks is installed.

Helm compares an upgrade with the manifest of this record, and gives up when that names an API version that the
cluster no longer serves: "no matches for kind ... in version ...". It happens to DeviceClasses when a cluster goes
from Kubernetes 1.33 (resource.k8s.io/v1beta1) to 1.34 (v1). The remedy is Helm's own advice, for which its mapkubeapis
plugin exists: write the version that is served into the record. https://helm.sh/docs/topics/kubernetes_apis/
"""

import base64
import gzip
import json
import re
import zlib

MOST_BYTES = 64 * 1024 * 1024
"""Of a record unpacked. A Secret has at most 1 MiB, which could unpack to a thousand times as much."""


def secret_labels(release: str) -> dict[str, str]:
    """The labels of the Secret that holds the record of a deployed release."""
    return {"owner": "helm", "name": release, "status": "deployed"}


def with_api_version(record: str, group: str, version: str) -> str | None:
    """A record whose manifest has every object of an API group in `version`.

    Args:
        record: the Secret's `data.release`.

    Returns:
        The same, changed; None when nothing had to be.

    Raises:
        ValueError: it is no record of Helm 3.
    """
    try:
        document = json.loads(_unpacked(base64.b64decode(base64.b64decode(record, validate=True), validate=True)))
        manifest = str(document["manifest"])
    except (OSError, zlib.error, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a record of Helm 3: {error}") from error
    pattern = rf"^(apiVersion: [\"']?{re.escape(group)}/)[a-z0-9]+"
    document["manifest"] = re.sub(pattern, rf"\g<1>{version}", manifest, flags=re.MULTILINE)
    if document["manifest"] == manifest:
        return None
    packed = gzip.compress(json.dumps(document).encode(), mtime=0)
    return base64.b64encode(base64.b64encode(packed)).decode()


def _unpacked(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip's format
    content = unpacker.decompress(packed, MOST_BYTES)
    if not unpacker.eof:
        raise ValueError(f"it is cut short, or unpacks to more than {MOST_BYTES} bytes")
    return content
