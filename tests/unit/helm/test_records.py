"""Helm's record of a release, brought to an API version that is served."""

import base64
import gzip
import json

import pytest

from drakit.helm.records import with_api_version

MANIFEST = """\
---
apiVersion: resource.k8s.io/v1beta1
kind: DeviceClass
---
apiVersion: apps/v1
kind: DaemonSet
# apiVersion: resource.k8s.io/v1beta1 in a comment
"""


def record(document: object) -> str:
    return base64.b64encode(base64.b64encode(gzip.compress(json.dumps(document).encode(), mtime=0))).decode()


def read(text: str) -> dict[str, object]:
    return json.loads(gzip.decompress(base64.b64decode(base64.b64decode(text))))  # type: ignore[no-any-return]


def test_only_objects_of_the_group_change() -> None:
    changed = with_api_version(record({"name": "r", "manifest": MANIFEST}), "resource.k8s.io", "v1")
    assert changed is not None
    document = read(changed)
    assert document["name"] == "r"
    assert document["manifest"] == MANIFEST.replace(
        "---\napiVersion: resource.k8s.io/v1beta1", "---\napiVersion: resource.k8s.io/v1", 1
    )


def test_a_record_that_is_right_is_left_alone() -> None:
    assert with_api_version(record({"manifest": MANIFEST}), "resource.k8s.io", "v1beta1") is None


@pytest.mark.parametrize("text", ["", "bm90IGJhc2U2NA==", "!!", record({"chart": {}}), record([])])
def test_what_is_no_record(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        with_api_version(text, "resource.k8s.io", "v1")
