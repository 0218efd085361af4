"""Rules for CEL selectors, by their usual forms: what is not recognised is not judged.

The devices are those of the catalogue, with what the driver publishes of them.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from drakit.dra.catalogue import INSTANCE_TYPES, Gpu
from drakit.dra.devices import DRIVER
from drakit.dra.hardware import GpuDevice, PhysicalGpu, device_entry
from drakit.dra.lint.items import Part
from drakit.dra.mig import Placement, profiles_of
from drakit.dra.quantity import Quantity


class _Missing(Exception):
    """The device has no such attribute or capacity: in CEL an error, at which the scheduler stops."""


@dataclass(frozen=True)
class Known:
    """A device that drakit knows: what it is called, its type, and its entry in a ResourceSlice."""

    name: str
    type: str
    entry: Mapping[str, Any]

    def attribute(self, name: str) -> Any:
        """The value of an attribute.

        Raises:
            _Missing: it has none of that name.
        """
        attributes = self.entry["attributes"]
        if name not in attributes:
            raise _Missing(name)
        return next(iter(attributes[name].values()))

    def capacity(self, name: str) -> Quantity:
        """The value of a capacity.

        Raises:
            _Missing: it has none of that name.
        """
        if name not in self.entry["capacity"]:
            raise _Missing(name)
        return Quantity.parse(self.entry["capacity"][name]["value"])


@dataclass(frozen=True)
class Condition:
    """A condition that is recognised.

    `attribute` and `equals` are set for `attribute == 'equals'`, `capacity` and `least` where so much of it is asked.
    """

    holds: Callable[[Known], bool]
    attribute: str = ""
    equals: object = None
    least: Quantity | None = None
    capacity: str = ""


def check(request: Part, kind: str | None, version: str) -> None:
    """Check the selectors of a request for devices of type `kind`, with a driver of `version`."""
    parts = [part.mapping("cel").get("expression") for part in request.each("selectors")]
    devices = [device for device in known_devices(version) if kind is None or device.type == kind]
    if kind not in (None, "gpu", "mig"):
        return
    recognised: list[tuple[Part, Condition]] = []
    complete = True
    for part in parts:
        if isinstance(part.value, str):
            found, whole = conditions(part.value)
            recognised += [(part, condition) for condition in found]
            complete &= whole
    if any(_unknown_name(part, condition, version) for part, condition in recognised):
        return
    if kind is not None and complete and _check_missing(recognised, devices):
        return
    _check_satisfiable(recognised, devices)


def expressions(part: Part) -> list[str]:
    """The CEL expressions of a request or DeviceClass."""
    if not isinstance(part.get("selectors").value, list):
        return []
    found = [each.get("cel").get("expression").value for each in part.each("selectors")]
    return [expression for expression in found if isinstance(expression, str)]


def type_of(found: Iterable[str]) -> str | None:
    """The type of device that expressions ask for, None when they do not say."""
    for expression in found:
        for condition in conditions(expression)[0]:
            if condition.attribute == "type" and isinstance(condition.equals, str):
                return condition.equals
    return None


@cache
def attributes_of(kind: str | None, version: str) -> frozenset[str]:
    """The driver's own attributes of devices of a type; empty when that is not known."""
    entries = [device.entry["attributes"] for device in known_devices(version) if device.type == kind]
    return frozenset(name for entry in entries for name in entry if "/" not in name)


@cache
def known_devices(version: str) -> tuple[Known, ...]:
    """Each GPU of the catalogue, and each of its MIG profiles."""
    models: Sequence[Gpu] = list(dict.fromkeys(each.gpu for each in INSTANCE_TYPES.values() if each.gpu))
    found = []
    for model in models:
        gpu = PhysicalGpu(0, "GPU-0", model, "0000:00:00.0")
        found.append(_known(model.product_name, GpuDevice(gpu), version))
        for profile in profiles_of(model):
            placement = Placement(profile, profile.starts[0])
            part = PhysicalGpu(0, "GPU-0", model, "0000:00:00.0", (placement,))
            found.append(_known(f"{profile.name} of {model.product_name}", GpuDevice(part, placement), version))
    return tuple(found)


def _known(name: str, device: GpuDevice, version: str) -> Known:
    return Known(name, device.type, device_entry(device, "v1", version))


def _unknown_name(part: Part, condition: Condition, version: str) -> bool:
    """Whether a condition names a profile or product that drakit does not know, so that nothing more can be said."""
    if condition.attribute not in ("profile", "productName") or not isinstance(condition.equals, str):
        return False
    entries = [device.entry["attributes"] for device in known_devices(version)]
    found = [entry[condition.attribute]["string"] for entry in entries if condition.attribute in entry]
    values = list(dict.fromkeys(found))
    if condition.equals in values:
        return False
    near = difflib.get_close_matches(condition.equals, values, n=1, cutoff=0.6)
    if condition.attribute == "profile":
        hint = f"; did you mean {near[0]}?" if near else ""
        message = f'"{condition.equals}" is no MIG profile of the GPUs that drakit knows ({", ".join(values)}){hint}'
        part.warning("unknown-profile", message)
    elif near and _squeezed(near[0]) == _squeezed(condition.equals):
        part.warning("unknown-product", f'the product name "{condition.equals}" is published as "{near[0]}"')
    return True


def _squeezed(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _check_missing(recognised: Sequence[tuple[Part, Condition]], devices: Sequence[Known]) -> bool:
    """Say what devices of the type do not have. A false condition hides it: `false && error` is false in CEL."""
    for device in devices:
        missing: tuple[Part, str] | None = None
        for part, condition in recognised:
            try:
                if not condition.holds(device):
                    missing = None
                    break
            except _Missing as error:
                missing = missing or (part, str(error))
        if missing:
            part, name = missing
            part.error(
                "missing-attribute",
                f'devices of type "{device.type}" have no {name}: the expression fails there (no such key: {name}), '
                f"and the scheduler places no pod with this claim",
            )
            return True
    return False


def _check_satisfiable(recognised: Sequence[tuple[Part, Condition]], devices: Sequence[Known]) -> None:
    passing = [device for device in devices if all(_holds(condition, device) for _, condition in recognised)]
    for part, condition in recognised:
        if condition.least is None:
            continue
        others = [each for _, each in recognised if each is not condition]
        short = [
            device
            for device in devices
            if condition.capacity in device.entry["capacity"]
            and not _holds(condition, device)
            and all(_holds(each, device) for each in others)
        ]
        if not passing and short:
            exact = any(each.attribute == "productName" for each in others)
            have = "; ".join(_having(short, condition.capacity))
            message = f"no device that drakit knows has {condition.capacity} of {condition.least}: {have}"
            (part.error if exact else part.warning)("unsatisfiable", message)
            return
        nearly = [d for d in short if d.capacity(condition.capacity).value >= condition.least.value * 9 / 10]
        if nearly:
            have = "; ".join(_having(nearly, condition.capacity))
            part.warning("nearly", f"{condition.least} leaves out devices that have a little less: {have}")
    if recognised and devices and not passing and all(condition.least is None for _, condition in recognised):
        recognised[0][0].warning("unsatisfiable", "no device that drakit knows satisfies this")


def _having(devices: Iterable[Known], capacity: str) -> Iterable[str]:
    return dict.fromkeys(f"{device.name} has {device.capacity(capacity)}" for device in devices)


def _holds(condition: Condition, device: Known) -> bool:
    try:
        return condition.holds(device)
    except _Missing:
        return False


_DOMAIN = r"""\[\s*['"]gpu\.nvidia\.com['"]\s*\]"""
_ATTRIBUTE = rf"device\.attributes{_DOMAIN}\.(?P<attribute>\w+)"
_CAPACITY = rf"device\.capacity{_DOMAIN}\.(?P<capacity>\w+)"
_TEXT = r"""(?:'(?P<single>[^'\\]*)'|"(?P<double>[^"\\]*)")"""
_QUANTITY = rf"quantity\(\s*{_TEXT}\s*\)"
_COMPARE = r"(?P<operator>>=|<=|==|!=|>|<)"

_EQUALS = re.compile(rf"{_ATTRIBUTE}\s*{_COMPARE}\s*(?:{_TEXT}|(?P<number>-?[0-9]+))")
_EQUALS_TURNED = re.compile(rf"{_TEXT}\s*{_COMPARE}\s*{_ATTRIBUTE}")
_HAS = re.compile(rf"""{_TEXT}\s+in\s+device\.attributes{_DOMAIN}""")
_AT_LEAST = re.compile(rf"{_CAPACITY}\.compareTo\(\s*{_QUANTITY}\s*\)\s*{_COMPARE}\s*0")
_AT_LEAST_TURNED = re.compile(rf"{_QUANTITY}\.compareTo\(\s*{_CAPACITY}\s*\)\s*{_COMPARE}\s*0")
_THAN = re.compile(rf"{_CAPACITY}\.is(?P<than>Greater|Less)Than\(\s*{_QUANTITY}\s*\)")
_WORDS = re.compile(
    rf"{_ATTRIBUTE}(?P<lower>\.lowerAscii\(\))?\.(?P<function>contains|startsWith|endsWith)\(\s*{_TEXT}\s*\)"
)
_DRIVER = re.compile(rf"device\.driver\s*==\s*{_TEXT}")

_OPERATORS: Mapping[str, Callable[[int], bool]] = {
    ">=": lambda sign: sign >= 0,
    ">": lambda sign: sign > 0,
    "==": lambda sign: sign == 0,
    "!=": lambda sign: sign != 0,
    "<=": lambda sign: sign <= 0,
    "<": lambda sign: sign < 0,
}
_TURNED = {">=": "<=", "<=": ">=", ">": "<", "<": ">"}


def conditions(expression: str) -> tuple[list[Condition], bool]:
    """The conditions that must all hold, as far as they are recognised; and whether that is the whole expression."""
    parts = _conjunction(expression)
    found = [_condition(part) for part in parts]
    return [condition for condition in found if condition], None not in found


def _conjunction(expression: str) -> list[str]:
    """The parts of `a && b && c`; the whole, when there is `||` or a choice between them."""
    expression = expression.strip()
    parts, depth, start, quote, at = [], 0, 0, "", 0
    while at < len(expression):
        character = expression[at]
        if quote:
            at += character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0 and (expression.startswith("||", at) or character == "?"):
            return [expression]
        elif depth == 0 and expression.startswith("&&", at):
            parts.append(expression[start:at])
            at += 1
            start = at + 1
        at += 1
    parts.append(expression[start:])
    if len(parts) > 1:
        return [inner for part in parts for inner in _conjunction(part)]
    if expression.startswith("(") and _closes_at_end(expression):
        return _conjunction(expression[1:-1])
    return [expression]


def _closes_at_end(expression: str) -> bool:
    depth, quote = 0, ""
    for at, character in enumerate(expression):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth == 0:
                return at == len(expression) - 1
    return False


def _condition(text: str) -> Condition | None:
    if match := _AT_LEAST.fullmatch(text) or _AT_LEAST_TURNED.fullmatch(text):
        operator = match["operator"]
        if match.re is _AT_LEAST_TURNED:
            operator = _TURNED.get(operator, operator)
        return _capacity_condition(match, operator)
    if match := _THAN.fullmatch(text):
        return _capacity_condition(match, ">" if match["than"] == "Greater" else "<")
    if match := _EQUALS.fullmatch(text) or _EQUALS_TURNED.fullmatch(text):
        return _attribute_condition(match)
    if match := _HAS.fullmatch(text):
        name = _string(match)
        return Condition(lambda device: name in device.entry["attributes"])
    if match := _WORDS.fullmatch(text):
        return _words_condition(match)
    if match := _DRIVER.fullmatch(text):
        driver = _string(match)
        return Condition(lambda _: driver == DRIVER)
    return None


def _capacity_condition(match: re.Match[str], operator: str) -> Condition | None:
    try:
        wanted = Quantity.parse(_string(match))
    except ValueError:
        return None
    name, holds = match["capacity"], _OPERATORS[operator]

    def compare(device: Known) -> bool:
        has = device.capacity(name)
        return holds((has > wanted) - (has < wanted))

    least = wanted if operator in (">=", ">", "==") else None
    return Condition(compare, least=least, capacity=name)


def _attribute_condition(match: re.Match[str]) -> Condition | None:
    name, operator = match["attribute"], match["operator"]
    number = match.groupdict().get("number")
    wanted: object = int(number) if number is not None else _string(match)
    if operator == "==":
        return Condition(lambda device: device.attribute(name) == wanted, attribute=name, equals=wanted)
    if operator == "!=":
        return Condition(lambda device: device.attribute(name) != wanted)
    return None


def _words_condition(match: re.Match[str]) -> Condition:
    name, lower, word = match["attribute"], bool(match["lower"]), _string(match)
    test: Callable[[str], bool] = {
        "contains": lambda value: word in value,
        "startsWith": lambda value: value.startswith(word),
        "endsWith": lambda value: value.endswith(word),
    }[match["function"]]

    def holds(device: Known) -> bool:
        value = str(device.attribute(name))
        return test(value.lower() if lower else value)

    return Condition(holds)


def _string(match: re.Match[str]) -> str:
    return match["single"] if match["single"] is not None else match["double"] or ""
