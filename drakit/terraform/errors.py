"""What Terraform says went wrong, as typed errors, through a small ordered table.

Each row has samples in tests/unit/terraform/samples/, named after its code: recorded from Terraform 1.11.4 and OpenTofu
1.12.6, but for state-newer--terraform-snapshot.txt, an older Terraform's words, written by hand.
"""

import json
import re
import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from drakit.errors import DrakitError, Locked, ToolFailed
from drakit.process import RELEVANT_LINES, Completed, failure, relevant_lines
from drakit.terraform.events import Diagnostic
from drakit.terraform.locks import DATA_FOLDER, STATE, backend_of, holder_in

LONGEST_SHOWN = 300
"""Characters of a line."""

Explain = Callable[[str], DrakitError | None]
"""What a provider's words mean, by who knows what it provides; None where they mean nothing to it."""


@dataclass(frozen=True)
class Row:
    """Diagnostics that match `pattern` mean `code`. The pattern sees summary and detail on one line."""

    code: str
    pattern: str
    message: str
    hint: str
    error: type[DrakitError] = ToolFailed


TABLE = (
    Row(
        "disk-full",
        r"no space left on device|disk quota exceeded",
        "The disk is full.",
        "Free some space, then run the same command again.",
    ),
    Row(
        "state-newer",
        r"state snapshot was created by (Terraform|OpenTofu) v"
        r"|state file uses format version \d+, which is not supported|unsupported state file format version",
        "Terraform's state was written by a newer version.",
        "Put that version or a newer one on PATH, or name it in DRAKIT_TERRAFORM.",
    ),
    Row(
        "state-damaged",
        r"state file could not be (parsed|read)|state file does not have a \"version\"|unsupported state file format",
        "Terraform's state file is damaged.",
        "Put a good copy of it back, then run the same command again.",
    ),
    Row(
        "state-locked",
        r"error (acquiring|locking)( the)? state( lock)?.*(lock info|resource temporarily unavailable|already locked)",
        "Another Terraform works on this state.",
        "Wait until it has ended, then run the same command again.",
        Locked,
    ),
    Row(
        "state-not-writable",
        r"(acquiring the state lock|failed to (write|save|persist) state).*(permission denied|read-only file system)",
        "Terraform cannot write its state.",
        "Make the stack's folder writable, then run the same command again.",
    ),
    Row(
        "state-bucket-missing",
        r"S3 bucket \"[^\"]*\" does not exist|NoSuchBucket",
        "The bucket that aws.stateBucket names does not exist.",
        "drakit does not make it: make it, with versioning, or correct aws.stateBucket. A new one takes a minute.",
    ),
    Row(
        "provider-crashed",
        r"plugin did not respond|plugin\S* encountered an error, and failed to respond|plugin exited before",
        "A Terraform provider crashed; what it was making may exist without Terraform knowing of it.",
        "Run the same command again.",
    ),
    Row(
        "plan-stale",
        r"saved plan is stale|saved plan does not match",
        "The saved plan no longer fits: something was changed after it was made.",
        "Make a new plan with `drakit plan`.",
    ),
    Row(
        "provider-unavailable",
        r"failed to (query available|resolve) provider packages|failed to install provider|inconsistent dependency lock"
        r"|required plugins are not installed|could not load plugin|failed to instantiate provider"
        r"|could not connect to registry",
        "A Terraform provider is not available.",
        "Terraform's registry must be reachable, or the provider lie in a local plugin folder.",
    ),
    Row(
        "provisioner-failed",
        r"(local|remote)-exec provisioner error",
        "A command that Terraform ran failed.",
        "When its cause is removed, run the same command again: it goes on from there.",
    ),
    Row(
        "invalid-configuration",
        r"no value for required variable|invalid value for|failed to read variables file"
        r"|problems during initiali[sz]ation"
        r"|invalid (index|reference|expression|function argument)|unsupported (argument|attribute|block type)"
        r"|reference to undeclared|missing required argument|duplicate \w+",
        "The Terraform configuration or a value given to it is invalid.",
        "Correct the file and line named above, or the field of the stack file behind it.",
    ),
)
_OTHER = Row(
    "terraform-failed", "", "Terraform failed.", "Run the same command again: what was done already stays done."
)
_BY_CODE = {row.code: row for row in TABLE}
_EXPLAINABLE = frozenset({"invalid-configuration", _OTHER.code})
"""The rows for what may be a provider's words; the others are Terraform's own."""


def classify(
    diagnostics: Sequence[Diagnostic], log: Path | None, folder: Path | None = None, explain: Explain | None = None
) -> DrakitError:
    """The error for a Terraform run in `folder` that failed with `diagnostics` and whose whole output is in `log`.

    Its message shows at most ten lines. `details` holds the resources' addresses and the holder of a lock in the way.
    Where the table has no row for it, `explain` is asked.
    """
    errors = [each for each in dict.fromkeys(diagnostics) if each.severity == "error"]
    row, matching = _find(errors)
    if explain and row.code in _EXPLAINABLE and (explained := _explained(errors, explain, log)):
        return explained
    # The ones that decided first; the rest often only follows from them.
    ordered = [*matching, *(each for each in errors if each not in matching)]
    lines = [line[:LONGEST_SHOWN] for each in ordered for line in _lines(each)][: RELEVANT_LINES - 1]
    details: dict[str, object] = {"addresses": list(dict.fromkeys(each.address for each in ordered if each.address))}
    message = row.message
    if row.code == "state-locked":
        # Its own words go on to advise -lock=false.
        lines = lines[:2]
        if holder := holder_in(matching):
            message, lines = f"{row.message[:-1]}: {holder.who}, {holder.operation}.", []
            details["lock"] = asdict(holder)
    hint = row.hint
    if folder:
        hint = _restore(folder) if row.code == "state-damaged" else f"{hint}{_unlock(folder, details.get('lock'))}"
    hint = f"{hint} The whole output: {log}" if log else hint
    return row.error("\n".join([message, *(f"  {line}" for line in lines)]), hint=hint, details=details, code=row.code)


def crashed(done: Completed) -> bool:
    """Whether Terraform died of a signal or a fault of its own, rather than ended."""
    return done.returncode < 0 or _panic(done) is not None


def death(done: Completed, diagnostics: Sequence[Diagnostic], log: Path | None) -> ToolFailed:
    """The error for a Terraform that crashed, or failed without saying why."""
    lines = relevant_lines(_plain(done)) or [line for each in diagnostics for line in _lines(each)]
    if (panic := _panic(done)) and panic not in lines:
        lines = [panic, *lines]
    failed = failure(done, lines=lines[:RELEVANT_LINES])
    failed.code = "terraform-crashed" if crashed(done) else _OTHER.code
    memory = "The kernel kills for want of memory: `dmesg` tells. " if done.returncode == -signal.SIGKILL else ""
    failed.hint = f"{memory}{_OTHER.hint}{f' The whole output: {log}' if log else ''}"
    return failed


def _panic(done: Completed) -> str | None:
    found = re.search(r"^((?:panic|fatal error|SIG[A-Z]+): .*)", _plain(done), re.MULTILINE)
    return found[1] if found else None


def _plain(done: Completed) -> str:
    return "\n".join(line for line in (done.stderr or done.stdout).splitlines() if not line.startswith("{"))


def diagnostics_in(text: str) -> list[Diagnostic]:
    """The errors in what Terraform prints for people, for commands that have no `-json` stream."""
    lines = [line.strip(" │╷╵\t\r") for line in text.splitlines() if not line.startswith("{")]
    found: list[list[str]] = []
    for line in lines:
        start = re.match(r"(Error|Warning): ", line)
        if start or not found:
            found.append([])
        if line:
            found[-1].append(line)
    parts = [part for part in found if part and not part[0].startswith("Warning: ")]
    # What comes before the first error tells of the work, or that there are problems in the configuration.
    telling = [part for part in parts if part[0].startswith("Error: ") or "problems" in " ".join(part)]
    parts = telling or parts
    return [Diagnostic("error", part[0].removeprefix("Error: "), "\n".join(part[1:])) for part in parts]


def _find(errors: Sequence[Diagnostic]) -> tuple[Row, list[Diagnostic]]:
    for row in TABLE:
        pattern = re.compile(row.pattern, re.IGNORECASE)
        matching = [each for each in errors if pattern.search(" ".join(f"{each.summary} {each.detail}".split()))]
        if matching:
            return row, matching
    # An error with a place in the configuration and no resource was found before anything was done.
    matching = [each for each in errors if each.file and not each.address]
    return (_BY_CODE["invalid-configuration"], matching) if matching else (_OTHER, [])


def _explained(errors: Sequence[Diagnostic], explain: Explain, log: Path | None) -> DrakitError | None:
    """The first cause that a provider told of, with every resource that it concerns."""
    found = [(each, explain(f"{each.summary} {each.detail}")) for each in errors]
    causes = [(each, cause) for each, cause in found if cause is not None]
    if not causes:
        return None
    first = causes[0][1]
    same = [(each, cause) for each, cause in causes if cause.code == first.code]
    others = [(each, cause) for each, cause in causes if cause.code != first.code]
    rest = [line[:LONGEST_SHOWN] for each, cause in found if cause is None for line in _lines(each)]
    told = [f"{each.address}: {cause.message}" if each.address else cause.message for each, cause in same + others]
    addresses = [each.address for each in [*(each for each, _ in same), *errors] if each.address]
    return type(first)(
        "\n  ".join([*told, *rest][:RELEVANT_LINES]),
        hint=" ".join([first.hint or "", f"The whole output: {log}" if log else ""]).strip(),
        details={**first.details, "addresses": list(dict.fromkeys(addresses))},
        code=first.code,
    )


def _unlock(folder: Path, lock: object) -> str:
    # A backend's lock outlives its holder, and only people can tell whether one elsewhere is dead.
    if not isinstance(lock, dict) or not backend_of(folder / DATA_FOLDER):
        return ""
    unlock = shlex.join(["terraform", f"-chdir={folder}", "force-unlock", lock["id"]])
    return f" If it is dead, `{unlock}` releases its lock."


def _restore(folder: Path) -> str:
    state = folder / STATE
    # The state before the last run, and what Terraform could not save.
    copies = [each for each in (folder / f"{STATE}.backup", folder / "errored.tfstate") if _is_json(each)]
    if copies:
        newest = max(copies, key=lambda each: each.stat().st_mtime)
        back = shlex.join(["cp", str(newest), str(state)])
        return f"Put the last good copy back: `{back}`, then run the same command again."
    away = shlex.join(["mv", str(state), f"{state}.damaged"])
    return f"There is no good copy beside it. `{away}` makes Terraform start anew, without what the file held."


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (OSError, ValueError, RecursionError):
        return False


def _lines(diagnostic: Diagnostic) -> list[str]:
    place = diagnostic.address or (f"{diagnostic.file}, line {diagnostic.line}" if diagnostic.file else "")
    head = f"{place}: {diagnostic.summary}" if place else diagnostic.summary
    # "Error running command '<the command>': exit status 3. Output: <what it wrote>"
    ran = re.search(r"': ([^'\n]*)\. Output: (.*)", diagnostic.detail, re.DOTALL)
    if ran and "provisioner" in diagnostic.summary:
        return [f"{head}: {ran[1]}", *relevant_lines(ran[2])[-(RELEVANT_LINES - 2) :]]
    detail = [line.strip() for line in diagnostic.detail.splitlines()]
    return [head, *(line for line in detail if line)]
