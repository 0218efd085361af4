"""Any bytes as a stack file: a stack, or one usage error that can be shown."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from drakit.errors import UsageError
from drakit.stack.dump import dump_stack, template
from drakit.stack.edit import set_values
from drakit.stack.model import Stack
from drakit.stack.parse import decode_stack
from drakit.targets.groups import definition
from drakit.terraform.tfvars import hcl
from tests.unit.fuzz.hostile import CONTROL, WORDS

SNIPPETS = st.sampled_from([
    *(word.encode(errors="surrogatepass") for word in WORDS),
    b"&a [*a]", b"? ", b": ", b"- ", b"|\n", b">-\n ", b"#", b"---\n", b"...\n", b"%YAML 1.1\n", b"<<: ", b"\xff",
    b"\xef\xbb\xbf", b"\r", b"{", b"}", b"]", b",", b"!!python/object/apply:os.system [id]", b"!!binary ",
    b"\\U00110000", b"\n ",
])  # fmt: skip
MUTATION = st.tuples(st.integers(0, 2000), st.integers(0, 40), st.one_of(SNIPPETS, st.binary(max_size=4)))


@st.composite
def files(draw: Callable[..., object]) -> bytes:
    """A stack file with a few bytes gone and others put in."""
    data: bytes = template(draw(st.sampled_from(["sandbox", "eks"]))).encode()  # type: ignore[arg-type]
    for at, length, snippet in draw(st.lists(MUTATION, max_size=6)):  # type: ignore[attr-defined]
        at %= len(data) + 1
        data = data[:at] + snippet + data[at + length :]
    return data


def refused(work: Callable[[], object], code: str) -> UsageError | None:
    """The error of a piece of work, which can only be a usage error of this code."""
    try:
        work()
    except UsageError as error:
        return error if error.code == code else pytest.fail(f"{error.code}: {error.message}")
    return None


def read(data: bytes) -> Stack | None:
    """The stack; None where it was refused as it should be."""
    if error := refused(lambda: decode_stack(data, "drakit.yaml"), "invalid-stack-file"):
        lines = error.message.split("\n")
        assert all(line.startswith("drakit.yaml:") for line in lines)
        assert len(lines) <= 101
        assert not CONTROL.search(error.message)
        return None
    return decode_stack(data, "drakit.yaml")


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(files(), st.binary(max_size=200)))
@example(b"charts: './\xe2\x80\xae'")
def test_any_bytes(data: bytes) -> None:
    stack = read(data)
    if stack is None:
        return
    text = dump_stack(stack)
    assert decode_stack(text.encode(), "shown") == stack
    # `config show` prints it as it is, and Terraform gets it.
    assert not CONTROL.search(text)
    hcl({name: definition(name, group, gpu=True) for name, group in stack.node_groups.items()})


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(files(), st.sampled_from(["g6", "p4d", "core", "new"]), st.sampled_from(["desired", "max"]), st.integers(1, 9))
def test_a_number_is_changed_in_any_file_or_refused(data: bytes, group: str, field: str, value: int) -> None:
    text = data.decode(errors="replace")
    changes = {("nodeGroups", group, field): value}
    if error := refused(lambda: set_values(text, changes), "stack-file-not-editable"):
        assert f"nodeGroups.{group}.{field}: {value}" in (error.hint or "")
        return
    edited = read(set_values(text, changes).encode(errors="replace"))
    if edited is not None:
        assert getattr(edited.node_groups[group], field) == value


SIZE = 1 << 17
WORST = {
    "brackets": "[" * SIZE,
    "maps": "{a: " * (SIZE // 4),
    "dashes": "- " * (SIZE // 2),
    "stairs": "\n".join(" " * depth + "- " for depth in range(500)),
    "many keys": "".join(f"k{number}: 1\n" for number in range(SIZE // 10)),
    "one text": "name: " + "x" * SIZE,
    "words": "name: " + "x " * (SIZE // 2),
    "lines": "name: " + "\n  x" * (SIZE // 4),
    "escapes": 'name: "' + "\\n" * (SIZE // 2) + '"',
    "unended": '"' + "x\n" * (SIZE // 2),
    "exclamations": "!" * SIZE,
    "anchors": "&a " * (SIZE // 3),
    "aliases": "a: &a [x,x,x,x]\n" + "".join(f"k{n}: &k{n} [*a,*a,*a,*a,*k{n - 1}]\n" for n in range(1, 200)),
    "block": "a: |\n" + " x\n" * (SIZE // 3),
    "number": "limits: {maxHourlyCost: " + "9" * SIZE + "}",
    "exponent": "limits: {maxHourlyCost: 1e" + "9" * SIZE + "}",
    "one key": "x" * SIZE + ": 1",
    "unknown keys": "".join(f"{'z' * 50}{number}: 1\n" for number in range(SIZE // 60)),
    "groups": "nodeGroups:\n" + "".join(f"  g{number}: {{}}\n" for number in range(SIZE // 12)),
    "documents": "---\n" * (SIZE // 4),
    "version": "gpu: {operator: {version: v1.1.1-" + "a." * (SIZE // 2) + "}}",
    "label": "nodeGroups: {g6: {labels: {" + "a" * SIZE + ": b}}}",
}


@pytest.mark.parametrize("name", WORST)
def test_no_file_takes_much_memory(name: str, at_most: Callable[[int], AbstractContextManager[None]]) -> None:
    data = WORST[name].encode()
    decode_stack(b"", "what is imported at the first call")
    with at_most(64 * len(data) + (1 << 20)):
        read(data)


def test_a_file_that_is_too_large_is_not_read_on(at_most: Callable[[int], AbstractContextManager[None]]) -> None:
    data = b"#" * (64 << 20)
    with at_most(2 * len(data)), pytest.raises(UsageError, match="larger than 1 MiB"):
        decode_stack(data, "drakit.yaml")
