"""Kubernetes' resource.Quantity: what it parses, what it is worth, and how it is written. No floating point. Pure.

It follows k8s.io/apimachinery/pkg/api/resource (v0.36), its oddities included: text that it takes for canonical is kept
as it was written (`+1Gi`), and numbers that 64 bits do not hold overflow.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import total_ordering

FORMAT_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
NUMERIC_WRONG = "unable to parse numeric part of quantity"
SUFFIX_WRONG = "unable to parse quantity's suffix"

MIB = 1024 * 1024

_DECIMAL, _BINARY, _EXPONENT = "DecimalSI", "BinarySI", "DecimalExponent"
_DECIMAL_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_SUFFIXES = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_NAMES = {exponent: suffix for suffix, exponent in _DECIMAL_SUFFIXES.items()}
_BINARY_NAMES = {0: "", **{exponent: suffix for suffix, exponent in _BINARY_SUFFIXES.items()}}

# Sign, leading zeros, digits, fraction, suffix. More lenient than the expression that the message names.
_PARTS = re.compile(r"([+-]?)(0*)([0-9]*)(?:(\.)([0-9]*))?([eEinumkKMGTP]*[+-]?[0-9]*)", re.ASCII)
_MAX = 2**63 - 1
_NANO = -9


@total_ordering
@dataclass(frozen=True, eq=False)
class Quantity:
    """A quantity, `unscaled` times ten to the power of `scale`.

    Two are equal when they are worth the same, however they are written.
    """

    unscaled: int
    scale: int = 0
    format: str = _DECIMAL
    text: str | None = field(default=None, repr=False)
    exact: bool = field(default=False, repr=False)
    """Held in arbitrary precision instead of 64 bits, which differs in how it is rounded."""

    @classmethod
    def parse(cls, text: str) -> "Quantity":
        """A quantity as a manifest has it.

        Raises:
            ValueError: it is none; the text is Kubernetes'.
        """
        match = _PARTS.fullmatch(text) if text else None
        if not match:
            raise ValueError(FORMAT_WRONG)
        if text == "0":
            return cls(0, text=text)
        sign, _, digits, point, fraction, suffix = match.groups()
        base, exponent, kind = _suffix(suffix)
        number, fraction = digits or "0", fraction or ""
        if quick := _quick(text, sign == "-", number + fraction, len(fraction), base, exponent, kind):
            return quick
        written = text[: match.start(6)]
        if not re.search("[0-9]", written) or (not digits and not point and not match[2]):
            raise ValueError(NUMERIC_WRONG)
        return _exact(int(number + fraction), -len(fraction), base, exponent, kind, negative=sign == "-")

    @property
    def value(self) -> Fraction:
        """What it is worth."""
        return self.unscaled * Fraction(10) ** self.scale

    def whole(self) -> int:
        """What it is worth as Kubernetes' Value() has it: rounded away from zero, with the overflows of 64 bits."""
        if not self.unscaled:
            return 0
        if self.exact:
            return self._whole_of_exact()
        if self.scale >= 0:
            whole: int = self.unscaled * 10 ** min(self.scale, 20)
            # Go multiplies at once for these, and step by step, noticing the overflow, for others.
            return _wrap(whole) if abs(whole) <= _MAX or self.scale in (1, 2, 3, 6, 9) else 0
        magnitude: int = -(-abs(self.unscaled) // 10**-self.scale)
        return -magnitude if self.unscaled < 0 else magnitude

    def _whole_of_exact(self) -> int:
        if self.format == _BINARY and abs(self.unscaled) == _MAX and not self.scale:
            return self.unscaled
        # From ten to the power of 64 on, the lower 64 bits are all zero.
        nanos: int = self.unscaled * 10 ** min(self.scale - _NANO, 64 - _NANO)
        if nanos >= _MAX:
            return _wrap(-(-nanos // 10**9))
        low = _wrap(nanos)
        whole = abs(low) // 10**9
        # One is added whatever the sign.
        return (-whole if low < 0 else whole) + (low % 10**9 != 0)

    def floor_mib(self) -> int:
        """Whole MiB that it holds, rounded towards zero."""
        whole = self.whole()
        return -(-whole // MIB) if whole < 0 else whole // MIB

    def canonical(self) -> str:
        """As Kubernetes writes it."""
        if self.text is not None:
            return self.text
        if not self.unscaled:
            return "0"
        if self.format == _BINARY and self.scale <= 0 and self.unscaled % 10**-self.scale == 0:
            whole = self.unscaled // 10**-self.scale
            if abs(whole) >= 1024:
                amount, times = _factors(whole, 1024)
                return f"{amount}{_BINARY_NAMES.get(times * 10, '')}"
        amount, times = _factors(self.unscaled, 10)
        exponent = self.scale + times
        amount, exponent = amount * 10 ** (exponent % 3), exponent - exponent % 3
        if self.format == _EXPONENT:
            return f"{amount}e{exponent}" if exponent else str(amount)
        return f"{amount}{_DECIMAL_NAMES.get(exponent, '')}"

    def __str__(self) -> str:
        return self.canonical()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self._compare(other) == 0

    def __lt__(self, other: "Quantity") -> bool:
        return self._compare(other) < 0

    def __hash__(self) -> int:
        amount, times = _factors(self.unscaled, 10)
        return hash((amount, self.scale + times if amount else 0))

    def _compare(self, other: "Quantity") -> int:
        # By sign and magnitude first: `1e999999999` has too many digits to write out.
        mine, theirs = _magnitude(self), _magnitude(other)
        if mine != theirs:
            return 1 if mine > theirs else -1
        low = min(self.scale, other.scale)
        difference: int = self.unscaled * 10 ** (self.scale - low) - other.unscaled * 10 ** (other.scale - low)
        return (difference > 0) - (difference < 0)


def _suffix(suffix: str) -> tuple[int, int, str]:
    if suffix in _DECIMAL_SUFFIXES:
        return 10, _DECIMAL_SUFFIXES[suffix], _DECIMAL
    if suffix in _BINARY_SUFFIXES:
        return 2, _BINARY_SUFFIXES[suffix], _BINARY
    if re.fullmatch(r"[eE][+-]?[0-9]+", suffix) and -(2**63) <= (exponent := int(suffix[1:])) <= _MAX:
        return 10, (exponent + 2**31) % 2**32 - 2**31, _EXPONENT  # Go narrows it to 32 bits
    raise ValueError(SUFFIX_WRONG)


def _quick(text: str, negative: bool, digits: str, places: int, base: int, exponent: int, kind: str) -> Quantity | None:
    """Held in 64 bits, when it fits; the text is kept where it is canonical."""
    if base == 2:
        room = 15 - (len(digits) - places) - exponent * 3 // 10 - 1
        mantissa, scale = 2**exponent, 0
        if places:
            return None
    else:
        room = 18 - len(digits)
        mantissa, scale = 1, exponent - places
    if room < 0 or scale < _NANO:
        return None
    number = int(digits)
    amount = number * mantissa
    if amount > _MAX:
        return None
    if base == 2:
        keep = exponent % 10 == 0 and number % 8 != 0
    else:
        keep = scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"
    return Quantity(-amount if negative else amount, scale, kind, text if keep else None)


def _exact(unscaled: int, scale: int, base: int, exponent: int, kind: str, *, negative: bool) -> Quantity:
    """Held in arbitrary precision: up to the next nano, and with a binary suffix at most 2^63-1."""
    if base == 10:
        scale += exponent
    else:
        unscaled *= 2**exponent
    if unscaled and scale < _NANO:
        drop = _NANO - scale
        # Ten to the power of what is dropped may be too large to write out, when nothing is left of the number.
        unscaled = 1 if drop > len(str(unscaled)) else -(-unscaled // 10**drop)
        scale = _NANO
    if kind == _BINARY and Quantity(unscaled, scale) > Quantity(_MAX):
        unscaled, scale = _MAX, 0
    if kind == _BINARY and unscaled and Quantity(unscaled, scale) < Quantity(1):
        kind = _DECIMAL
    return Quantity(-unscaled if negative else unscaled, scale, kind, exact=True)


def _wrap(number: int) -> int:
    """The lower 64 bits, with their sign."""
    return (number + 2**63) % 2**64 - 2**63


def _factors(number: int, factor: int) -> tuple[int, int]:
    times = 0
    while number and number % factor == 0:
        number, times = number // factor, times + 1
    return number, times


def _magnitude(quantity: Quantity) -> tuple[int, int]:
    """Sign, and the exponent of the first digit, counted down for negative numbers: larger is more."""
    sign = (quantity.unscaled > 0) - (quantity.unscaled < 0)
    return sign, sign * (len(str(abs(quantity.unscaled))) + quantity.scale) if sign else 0
