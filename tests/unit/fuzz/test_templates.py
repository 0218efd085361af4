"""What is put into a template stays a value: in manifests here, in Terraform's variables in tests/unit/terraform."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from jinja2.exceptions import SecurityError

from drakit.manifests import render_manifests
from tests.unit.fuzz.hostile import JSON, TEXTS


def can_be_written(value: Any) -> bool:
    """Whether YAML has it: no half characters, no NaN, no key beyond 1024 characters."""
    if isinstance(value, dict):
        return all(len(key) < 1000 and can_be_written(key) and can_be_written(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(can_be_written, value))
    if isinstance(value, str):
        return not any("\ud800" <= each <= "\udfff" for each in value)
    return not isinstance(value, float) or math.isfinite(value)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("templates") / "object.yaml.j2"
    path.write_text("a: {{ x }}\nb: [{{ x }}, 1]\nc:\n  - d: {{ x }}\n    e: 2\n")
    return path


@settings(deadline=None, max_examples=200)
@given(JSON.filter(can_be_written))
def test_any_value_stays_what_it_is(template: Any, value: Any) -> None:
    assert render_manifests(template, {"x": value}) == [{"a": value, "b": [value, 1], "c": [{"d": value, "e": 2}]}]


@settings(deadline=None, max_examples=100)
@given(TEXTS.filter(can_be_written))
def test_a_text_that_looks_like_a_template_is_none(template: Any, text: str) -> None:
    value = text + "{{ x.__class__ }}{% for a in b %}"
    assert render_manifests(template, {"x": value})[0]["a"] == value


def test_a_template_reaches_no_internals(tmp_path: Any) -> None:
    path = tmp_path / "t.j2"
    path.write_text("a: {{ x.__class__.__mro__ }}\n")
    with pytest.raises(SecurityError):
        render_manifests(path, {"x": "text"})
