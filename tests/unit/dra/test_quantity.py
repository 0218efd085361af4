"""Quantities: compared with what Kubernetes' own parser made of the same texts."""

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drakit.dra.quantity import Quantity

RECORDED = [json.loads(line) for line in Path(__file__).with_name("quantities-recorded.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: repr(case["quantity"]))
def test_as_kubernetes_parses_it(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ValueError, match=f"^{re.escape(case['error'])}$"):
            Quantity.parse(case["quantity"])
    else:
        quantity = Quantity.parse(case["quantity"])
        assert (quantity.canonical(), quantity.whole()) == (case["canonical"], case["value"])


def test_the_recorded_texts_are_of_every_outcome() -> None:
    assert {case.get("error", "")[:20] for case in RECORDED} == {
        "", "quantities must matc", "unable to parse nume", "unable to parse quan"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("23034Mi", "24Gi"),
        ("9728Mi", "10Gi"),
        ("10G", "10Gi"),
        ("-1Gi", "0"),
        ("999m", "1"),
        ("-2", "-1"),
        ("-1e30", "-1e29"),
        ("1E", "1e999999999"),
    ],
)
def test_order(less: str, more: str) -> None:
    small, large = Quantity.parse(less), Quantity.parse(more)
    assert small < large
    assert large > small
    assert small != large
    assert max(small, large) is large


@pytest.mark.parametrize(("one", "other"), [("1Gi", "1024Mi"), ("1k", "1e3"), ("0", "0Gi"), ("1500m", "1.5")])
def test_equal_however_written(one: str, other: str) -> None:
    assert Quantity.parse(one) == Quantity.parse(other)
    assert len({Quantity.parse(one), Quantity.parse(other)}) == 1


@pytest.mark.parametrize(
    ("text", "mib"), [("10Gi", 10240), ("1Mi", 1), ("1023Ki", 0), ("2000M", 1907), ("-1Gi", -1024), ("-1Ki", 0)]
)
def test_whole_mebibytes(text: str, mib: int) -> None:
    assert Quantity.parse(text).floor_mib() == mib


def test_value_is_exact() -> None:
    assert Quantity.parse("0.1").value == Fraction(1, 10)
    assert Quantity.parse("1.5Gi").value == 3 * 2**29


@given(st.integers(0, 2**62), st.sampled_from(["", "k", "M", "Ki", "Mi", "Gi", "m"]))
def test_the_canonical_form_is_worth_the_same(number: int, suffix: str) -> None:
    quantity = Quantity.parse(f"{number}{suffix}")
    if suffix.endswith("i") and quantity.unscaled == 2**63 - 1:
        return  # capped, and then rounded to no suffix
    assert Quantity.parse(quantity.canonical()) == quantity


@given(st.text(alphabet="0123456789.+-eEinumkKMGTP ", max_size=12))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        quantity = Quantity.parse(text)
    except ValueError:
        return
    assert not quantity < quantity
    assert isinstance(quantity.canonical(), str)
    assert isinstance(quantity.whole(), int)
