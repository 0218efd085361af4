from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from ruamel.yaml import YAML

from drakit.manifests import render_manifests, to_yaml

TEXTS = ["plain", "", "yes", "1.33", "null"]
TEXTS += ["a: b\n- c # d", '"', "'", "\\n", "{{ x }}", "<&>", "é", "\x1b[31m", "\u2028"]
VALUES = [True, None, 3, 1.5, ["a", {"b": 1}], {"cpu": "500m"}]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "object.yaml.j2"
    path.write_text("a: {{ x }}\nb: [{{ x }}]\n")
    return path


@pytest.mark.parametrize("value", [*TEXTS, *VALUES], ids=ascii)
def test_a_value_stays_what_it_is(template: Path, value: Any) -> None:
    assert render_manifests(template, {"x": value}) == [{"a": value, "b": [value]}]


def test_a_character_beyond_the_basic_plane(template: Path) -> None:
    assert render_manifests(template, {"x": "\N{ROCKET}"})[0]["a"] == "\N{ROCKET}"


def test_a_value_that_is_missing(template: Path) -> None:
    with pytest.raises(TemplateError, match="x"):
        render_manifests(template, {})


def test_documents_without_content_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.j2"
    path.write_text("---\nkind: A\n---\n# nothing\n---\nkind: B\n")
    assert [manifest["kind"] for manifest in render_manifests(path, {})] == ["A", "B"]


def test_a_stream_of_yaml_documents_reads_back() -> None:
    objects = [{"kind": "Pod", "z": text, "a": VALUES} for text in TEXTS]
    text = to_yaml(objects)
    assert text.startswith("---\n")
    assert list(YAML(typ="safe", pure=True).load_all(text)) == objects
    assert text.index("kind:") < text.index("z:") < text.index("a:")
