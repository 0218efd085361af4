"""Writes the parts of the documentation that the code already knows; `--check` exits 1 when one is out of date.

    python docs/generate.py
    python docs/generate.py --check

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; all around it is written by hand.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from drakit import errors
from drakit.cli.app import COMMANDS, app
from drakit.errors import DrakitError, ExitCode
from drakit.stack.diff import COSTS, Depends
from drakit.stack.schema import json_schema

DOCS = Path(__file__).resolve().parent

EXAMPLES: Mapping[ExitCode, str] = {
    ExitCode.OK: "`drakit down` with nothing to take down",
    ExitCode.BUG: "an unexpected exception; its traceback is in the file that the message names",
    ExitCode.USAGE: "`drakit scale g6=two`; an unknown field in `drakit.yaml`",
    ExitCode.PREFLIGHT: "offline, with Helm neither on PATH nor built; `drakit demo basic` without a free GPU",
    ExitCode.TOOL_FAILED: "a Helm upgrade that the cluster refused; a component of the sandbox that did not start",
    ExitCode.CLUSTER: "`drakit status` before `drakit up`; an API server that does not answer",
    ExitCode.TIMED_OUT: "nodes that are not Ready within `--timeout`",
    ExitCode.LOCKED: "`drakit down` while `drakit up` works on the same stack",
    ExitCode.NOT_PROVEN: "a demo's pod that printed the UUID of another GPU than its claim was given",
    ExitCode.REFUSED: "`drakit init` where there is a `drakit.yaml` already",
    ExitCode.INTERRUPTED: "Ctrl-C",
}

_PLAIN = {ExitCode.OK: "The command did what it says.", ExitCode.BUG: "A bug in drakit."}

_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "boolean"}


def generated(text: str) -> str:
    """`text` with every generated part as it should be.

    Raises:
        KeyError: it asks for a part that there is not.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}", text)


def stale(folder: Path = DOCS) -> list[Path]:
    """The pages in `folder` that are out of date."""
    pages = ((page, page.read_text(encoding="utf-8")) for page in sorted(folder.glob("*.md")))
    return [page for page, text in pages if generated(text) != text]


def main(arguments: Sequence[str], folder: Path = DOCS) -> int:
    """Write the pages that are out of date, or name them when `arguments` holds `--check`. Returns the exit status."""
    check = "--check" in arguments
    pages = stale(folder)
    for page in pages:
        if check:
            sys.stderr.write(f"{page.name} is out of date: run `python docs/generate.py`.\n")
        else:
            page.write_text(generated(page.read_text(encoding="utf-8")), encoding="utf-8")
            sys.stdout.write(f"wrote {page.name}\n")
    return 1 if check and pages else 0


def commands() -> str:
    """Each command of the parser: what it does, how it is called, its arguments and options."""
    root: Any = typer.main.get_command(app)
    sections = (_command(f"drakit {name}", root.get_command(None, name)) for name in COMMANDS)
    return "\n\n".join(section for sections_of_one in sections for section in sections_of_one)


def exit_codes() -> str:
    """Each exit code: its number, name, meaning and an example."""
    meanings = {kind.exit_code: kind.__doc__ or "" for kind in vars(errors).values() if _is_error(kind)}
    rows = ((str(code.value), f"`{code.name}`", {**meanings, **_PLAIN}[code], EXAMPLES[code]) for code in ExitCode)
    return _table(("Status", "Name", "Meaning", "Example"), rows)


def stack_fields() -> str:
    """Each field of the stack file, by its path."""
    schema = json_schema()
    return _table(("Field", "Holds", "Default", "What it is"), _fields(schema, schema, ""))


def stack_changes() -> str:
    """What a change of each field of the stack file does on EKS."""
    rows = [
        (f"`{'.'.join(path).replace('*', 'NAME')}`", f"`{each.effect}`", each.note)
        for path, cost in COSTS.items()
        for each in (cost.costs if isinstance(cost, Depends) else (cost,))
    ]
    return _table(("Field", "Effect", "What happens"), rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "exit-codes": exit_codes,
    "stack-changes": stack_changes,
    "stack-fields": stack_fields,
}


def _command(path: str, command: Any) -> Iterator[str]:
    text, _, example = (command.help or "").partition("\n\nExample: ")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    subcommands = getattr(command, "commands", {})
    words = [path, *(["[OPTIONS]"] if options else []), *(_placeholder(argument) for argument in arguments)]
    yield f"## {path}"
    yield text
    yield f"```\n{' '.join([*words, 'COMMAND']) if subcommands else ' '.join(words)}\n```"
    if example:
        yield f"Example:\n\n```\n{example.strip()}\n```"
    if arguments:
        yield _table(("Argument", "What it is"), ((f"`{_metavar(a)}`", _help(a)) for a in arguments))
    if options:
        yield _table(("Option", "What it does"), ((_option(o), _help(o)) for o in options))
    for name, subcommand in subcommands.items():
        yield from _command(f"{path} {name}", subcommand)


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _placeholder(argument: Any) -> str:
    return _metavar(argument) if argument.required else f"[{_metavar(argument)}]"


def _option(option: Any) -> str:
    choices = getattr(option.type, "choices", ())
    value = "" if option.is_flag else f" {'|'.join(map(str, choices)) or _metavar(option)}"
    names = sorted(option.opts, key=len)
    return f"`{', '.join(names)}{value}`"


def _help(parameter: Any) -> str:
    default = getattr(parameter.default, "value", parameter.default)
    shown = parameter.param_type_name == "option" and parameter.show_default and default not in (None, False)
    return " ".join(f"{parameter.help}{f' [default: {default}]' if shown else ''}".split())


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, DrakitError) and kind is not DrakitError


def _fields(schema: Mapping[str, Any], node: Mapping[str, Any], path: str) -> Iterator[Sequence[str]]:
    for name, raw in node["properties"].items():
        where, field = f"{path}{name}", _resolve(schema, raw)
        default = "required" if name in node.get("required", ()) else "" if "properties" in field else _default(raw)
        yield f"`{where}`", _holds(schema, raw), default, raw.get("description") or field.get("description", "")
        inner, mark = field, ""
        if "items" in field:
            inner, mark = field["items"], "[]"
        elif "patternProperties" in field:
            inner, mark = next(iter(field["patternProperties"].values())), ".NAME"
        inner = _resolve(schema, inner)
        if "properties" in inner:
            yield from _fields(schema, inner, f"{where}{mark}.")


def _resolve(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """`node`, or what it refers to; of a choice with null, the other."""
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolve(schema, choice)
    reference = node.get("$ref")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else node


def _holds(schema: Mapping[str, Any], raw: Mapping[str, Any]) -> str:
    field = _resolve(schema, raw)
    null = " or null" if any(choice.get("type") == "null" for choice in raw.get("anyOf", ())) else ""
    if values := field.get("enum") or [field[key] for key in ("const",) if key in field]:
        return ", ".join(f"`{json.dumps(each) if _numeric(each) else each}`" for each in values) + null
    match field["type"]:
        case "array":
            return f"list of {'mappings' if 'properties' in _resolve(schema, field['items']) else 'texts'}{null}"
        case "object":
            return f"mapping{null}"
        case kind:
            low, high = field.get("minimum"), field.get("maximum")
            bounds = f", {low} to {high}" if high is not None else f", at least {low}" if low is not None else ""
            return f"{_TYPES[kind]}{bounds}{null}"


def _numeric(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9.]+", value) is not None


def _default(raw: Mapping[str, Any]) -> str:
    return f"`{json.dumps(raw['default'])}`" if "default" in raw else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
