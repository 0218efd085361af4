"""Whatever Helm prints, and whatever a Secret of its holds: understood, or a typed error in a few lines.

Terraform's stream has the same in tests/unit/terraform/test_events.py, logs in tests/unit/dra/test_report.py.
"""

import base64
import gzip
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drakit.errors import DrakitError, ToolFailed
from drakit.helm import Helm
from drakit.helm.command import Command
from drakit.helm.errors import failure
from drakit.helm.records import MOST_BYTES, with_api_version
from drakit.process import Completed
from drakit.render.clean import clean
from tests.unit.fuzz.hostile import CONTROL, JSON, TEXTS, WORDS

FIELDS = ["name", "namespace", "chart", "app_version", "status", "revision"]
RELEASE = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON))
GOOD = {"name": "a", "namespace": "b", "chart": "c-1.2.3", "app_version": "", "status": "deployed", "revision": "1"}
PRINTED = st.one_of(
    TEXTS,
    JSON.map(json.dumps),
    st.lists(st.one_of(RELEASE, RELEASE.map(lambda given: {**GOOD, **given})), max_size=3).map(json.dumps),
    st.just("[" * 100_000),
)


@settings(deadline=None, max_examples=200)
@given(PRINTED)
async def test_any_list_of_releases(printed: str) -> None:
    async def run(self: Command, command: object, input: bytes | None = None) -> bytes:
        return printed.encode(errors="replace")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Command, "run", run)
        helm = Helm(Path("helm"), Path("kubeconfig"), Path("folder"), Path("logs"))
        try:
            releases = await helm.list()
        except ToolFailed as error:
            code, message = error.code, error.message
        else:
            code, message = "helm-output", ""
            assert all(isinstance(release.name, str) and isinstance(release.revision, int) for release in releases)
    assert code == "helm-output"
    assert len(message) < 200
    assert not CONTROL.search(message)


@settings(deadline=None, max_examples=200)
@given(st.lists(TEXTS, max_size=30), st.integers(-15, 255).filter(bool))
def test_any_failure_of_helm(lines: list[str], status: int) -> None:
    error = failure(Completed(("helm",), status, "", "\n".join(lines)), doing="install x", log=None)
    assert isinstance(error, DrakitError)
    assert error.code
    assert not CONTROL.search(clean(error.message))


@pytest.mark.parametrize(
    "text",
    ["on source: ", "dial tcp ", 'chart "', 'path "', "failed to fetch ", "Error: ", 'failed to perform "', "\x1b[31m"],
)
def test_a_failure_of_a_megabyte(text: str) -> None:
    error = failure(Completed(("helm",), 1, "", text * ((1 << 20) // len(text))), doing="install x", log=None)
    assert error.code == "helm-failed"


def record(content: bytes) -> str:
    return base64.b64encode(base64.b64encode(gzip.compress(content))).decode()


def read(text: str) -> str | None:
    """What is made of a record; None where it was refused as it should be."""
    try:
        return with_api_version(text, "resource.k8s.io", "v1")
    except ValueError:
        return None


@settings(deadline=None, max_examples=200)
@given(st.one_of(
    TEXTS, st.binary().map(lambda data: base64.b64encode(base64.b64encode(data)).decode()), st.binary().map(record),
    JSON.map(lambda value: record(json.dumps(value).encode())),
    JSON.map(lambda value: record(json.dumps({"manifest": value}).encode())), st.just(record(b"[" * 100_000)),
))  # fmt: skip
def test_any_record_of_a_release(text: str) -> None:
    assert read(text) is None


def test_a_record_that_unpacks_to_far_too_much(at_most: Callable[[int], AbstractContextManager[None]]) -> None:
    text = record(b'{"manifest": "' + b" " * (4 * MOST_BYTES) + b'"}')
    assert len(text) < 1 << 20  # a Secret can hold it
    with at_most(3 * MOST_BYTES):
        assert read(text) is None


@pytest.mark.parametrize("word", WORDS, ids=ascii)
def test_names_in_a_record_stay_as_they_are(word: str) -> None:
    manifest = f"apiVersion: resource.k8s.io/v1beta1\nkind: {json.dumps(word)}\n"
    document: dict[str, Any] = {"manifest": manifest, "name": word}
    changed = read(record(json.dumps(document).encode()))
    assert changed is not None
    found = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(changed))))
    assert found == {"manifest": manifest.replace("v1beta1", "v1", 1), "name": word}
