import json
import subprocess
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drakit.errors import PreflightError
from drakit.terraform.tfvars import hcl, render_tfvars


def render(tmp_path: Path, template: str, **context: Any) -> str:
    path = tmp_path / "variables.tfvars.j2"
    path.write_text(template)
    return render_tfvars(path, context)


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("g6", '"g6"'),
        ('a "b" \\ c', '"a \\"b\\" \\\\ c"'),
        ("one\ntwo\r\t", '"one\\ntwo\\r\\t"'),
        ("${path} %{if}", '"$${path} %%{if}"'),
        ("é 😀", '"é 😀"'),
        ("\x1b\u2028\U000e0001", '"\\u001b\\u2028\\U000e0001"'),
        (True, "true"),
        (None, "null"),
        (-3, "-3"),
        (1e-07, "1e-07"),
        ([], "[]"),
        ({}, "{}"),
        (["a", 1, [True]], '["a", 1, [true]]'),
        ({"g6": 1, "p4d-24": 2}, "{\n  g6     = 1\n  p4d-24 = 2\n}"),
        (
            {"nvidia.com/gpu": 1, "null": 2, "1a": 3},
            '{\n  "nvidia.com/gpu" = 1\n  "null"           = 2\n  "1a"             = 3\n}',
        ),
        ({"a": {"b": [{"c": 1}]}}, "{\n  a = {\n    b = [\n      {\n        c = 1\n      },\n    ]\n  }\n}"),
    ],
)
def test_a_value_becomes_a_literal(value: object, literal: str) -> None:
    assert hcl(value) == literal


def test_every_value_is_escaped_with_the_filter_and_without(tmp_path: Path) -> None:
    evil = 'x"\nadmin = true\n#${file("/etc/passwd")}'
    once, twice = render(
        tmp_path, "a = {{ v }}\n{% for i in [v] %}\nb = {{ i | hcl }}\n{% endfor %}\n", v=evil
    ).splitlines()
    assert once.removeprefix("a = ") == twice.removeprefix("b = ") == hcl(evil)


@pytest.mark.parametrize(
    ("template", "context", "says"),
    [
        ("a = {{ name }}", {}, "'name' is undefined"),
        ("a = {{ group.size }}", {"group": {}}, "no attribute 'size'"),
        ("\na = {{ name", {}, "line 2"),
        ("a = {{ v }}", {"v": object()}, "object has no HCL form"),
        ("a = {{ v }}", {"v": float("nan")}, "no number nan"),
        ("a = {{ v }}", {"v": "\ud800"}, "surrogates"),
        ("a = {{ v }}", {"v": {1: 2}}, "key must be text"),
        ("a = {{ ''.__class__.__mro__ }}", {}, "unsafe"),
    ],
)
def test_what_cannot_be_rendered_is_told(tmp_path: Path, template: str, context: dict[str, Any], says: str) -> None:
    with pytest.raises(PreflightError, match=r"variables\.tfvars\.j2") as raised:
        render(tmp_path, template, **context)
    assert says in raised.value.message
    assert raised.value.code == "template-invalid"


def test_a_missing_template_is_told(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="absent"):
        render_tfvars(tmp_path / "absent.j2", {})


def test_a_bottomless_value_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(TypeError, match="deep"):
        hcl(value)


def nfc(text: str) -> str:
    # Terraform keeps its strings in this form.
    return unicodedata.normalize("NFC", text)


def comparable(value: Any) -> Any:
    """`value` with its numbers as decimal text: Terraform writes 6e16 as an integer."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return value if isinstance(value, bool | str | None) else Decimal(repr(value))


# Characters that Unicode added later may have another normal form in an older Python or Terraform.
texts = st.text(st.characters(max_codepoint=0x2FFFF, exclude_categories=("Cs", "Cn"))).map(nfc) | st.text(
    "${}%\"\\\n~'#ab"
)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def test_terraform_reads_back_what_was_written(executable: Path, tmp_path: Path) -> None:
    written: list[Any] = []

    @settings(max_examples=400, derandomize=True, database=None)
    @given(values)
    def collect(value: object) -> None:
        written.append(value)

    collect()
    template = "v = {{ v }}\n"
    rendered = render(tmp_path, template, v=written)
    folder = tmp_path / "read"
    folder.mkdir()
    (folder / "main.tf").write_text('variable "v" {}\noutput "v" {\n  value = var.v\n}\n')
    (folder / "v.tfvars").write_text(rendered, encoding="utf-8")
    env = {"CHECKPOINT_DISABLE": "1", "HOME": str(tmp_path)}
    subprocess.run(
        [executable, "apply", "-auto-approve", "-var-file=v.tfvars"],
        cwd=folder,
        env=env,
        check=True,
        capture_output=True,
    )
    output = subprocess.run([executable, "output", "-json"], cwd=folder, env=env, check=True, capture_output=True)
    read = json.loads(output.stdout)["v"]["value"]
    assert len(read) == len(written) >= 100
    for one, other in zip(read, written, strict=True):
        assert comparable(one) == comparable(other)


def test_rendered_values_look_as_terraform_would_format_them(executable: Path, tmp_path: Path) -> None:
    groups = {
        "core": {"instance_type": "m5.xlarge", "min": 2, "labels": {}, "zones": ["us-west-2a", "us-west-2b"]},
        "p4d-mig": {
            "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
            "labels": {"nvidia.com/mig": "all", "x": "y"},
        },
    }
    path = tmp_path / "v.tfvars"
    path.write_text(render(tmp_path, "name = {{ name }}\n\nnode_groups = {{ groups }}\n", name="jark", groups=groups))
    subprocess.run([executable, "fmt", "-check", "-diff", path.name], cwd=tmp_path, check=True)
