"""Driving Terraform or OpenTofu in one folder."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from python_terraform import IsFlagged
from python_terraform import Terraform as Arguments

from drakit import process
from drakit.engine.events import Report
from drakit.engine.files import file_errors, private_folder, write_atomically
from drakit.errors import DrakitError, TimedOut, ToolFailed
from drakit.stack.names import printable
from drakit.terraform.atwork import died, log_file
from drakit.terraform.errors import Explain, classify, crashed, death, diagnostics_in
from drakit.terraform.events import Diagnostic, OnEvent
from drakit.terraform.fingerprint import fingerprint
from drakit.terraform.interrupts import Underway, put_off, tainted_in
from drakit.terraform.locks import (
    DATA_FOLDER,
    DATA_VARIABLE,
    STATE,
    Holder,
    backend_of,
    holder_is_dead,
    remove_left_lock,
)
from drakit.terraform.plan import ApplySummary, Plan, Seen
from drakit.terraform.stream import parse

LOCK_TIMEOUT = "10s"
"""drakit's own lock keeps its runs apart; this is for a Terraform run by hand that is about to end."""
LONGEST = 7200.0
"""Seconds for a command; on EKS the provider itself gives a node group an hour, after the half hour of its cluster."""
SILENCE = 900.0
"""Seconds without a word after which Terraform hangs: it tells every ten seconds of what it waits for, but not of calls
that it repeats because AWS is slowing it down, 25 times each."""
ADOPTED = "adopted.tf.json"
NOTHING: Mapping[str, str] = MappingProxyType({})

Result = TypeVar("Result")

_SETTINGS = {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
_INHERITED = ("TF_PLUGIN_CACHE_DIR",)


class Terraform:
    """Terraform >= 1.5 or OpenTofu >= 1.6, in `folder`.

    Every method raises a `DrakitError` whose code is in `drakit.terraform.errors` when Terraform fails, and stops
    Terraform with one SIGINT when it is cancelled, so that the state is saved and its lock released.

    Relative paths given to the methods are relative to `folder`.

    Args:
        executable: terraform or tofu.
        folder: holds the configuration and, unless a backend keeps it elsewhere, the state.
        logs: the folder for what Terraform writes, a file for each command.
        env: more environment variables; Terraform sees few others.
        plugin_dir: where providers lie, in the layout of a filesystem mirror; nothing is downloaded then.
        inherit_aws: let it see drakit's own AWS_* variables.
        explain: says what a provider's errors mean.
        whole: for providers of real things. Says whether what an interrupted run left tainted is whole and can stay;
            `apply` destroys the rest first. An interrupt is put off for some seconds, so that little is left at all.
    """

    def __init__(
        self,
        executable: Path,
        folder: Path,
        logs: Path,
        env: Mapping[str, str] | None = None,
        plugin_dir: Path | None = None,
        *,
        inherit_aws: bool = False,
        explain: Explain | None = None,
        whole: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self._executable = executable
        self._folder = folder = folder.absolute()
        self._logs = logs
        self._plugin_dir = plugin_dir
        self._explain = explain
        self._whole = whole
        self._data = folder / DATA_FOLDER
        settings = {**_SETTINGS, **(env or {}), DATA_VARIABLE: str(self._data)}
        self._env = process.environment(settings, inherit=(*_INHERITED, *(("AWS_*",) if inherit_aws else ())))
        # It reads the state when it is made, and raises when that is damaged: name one that does not exist.
        self._arguments = Arguments(terraform_bin_path=str(executable), state=str(folder / ".none"))

    async def init(self, report: Report) -> bool:
        """Prepare the folder, unless nothing that matters has changed since the last time; say whether it had to."""
        if self._stamp.is_file() and self._stamp.read_text(encoding="utf-8") == self._fingerprint():
            return False
        report("getting the providers ready")
        plugins = str(self._plugin_dir) if self._plugin_dir else None
        await self._change("init", input=False, plugin_dir=plugins)
        # Taken again: init writes the dependency lock file. It makes no data folder when it has nothing to keep there.
        private_folder(self._data)
        write_atomically(self._stamp, self._fingerprint())
        return True

    async def plan(
        self,
        out: Path | None,
        var_file: Path | None,
        replace: Sequence[str] = (),
        on_event: OnEvent | None = None,
        adopt: Mapping[str, str] = NOTHING,
    ) -> Plan:
        """What an apply would do; saved in `out` when that is given.

        Args:
            replace: addresses of resources to be made anew.
            adopt: what is there and not in the state: the address of the resource that each becomes, and its id.
        """
        options = {"out": str(out) if out else None, "detailed_exitcode": IsFlagged}
        with self._adopting(adopt):
            status, seen = await self._stream("plan", on_event, **options, **_variables(var_file, replace))
        return seen.plan(changed=status == 2, path=out)

    async def apply(
        self,
        var_file: Path | None,
        replace: Sequence[str] = (),
        on_event: OnEvent | None = None,
        plan_file: Path | None = None,
        adopt: Mapping[str, str] = NOTHING,
    ) -> ApplySummary:
        """Make what the configuration says, or exactly what `plan_file` says; that one holds its variables already.

        The others are as in `plan`.
        """
        if plan_file:
            _, seen = await self._stream("apply", on_event, str(plan_file))
        else:
            await self.mend(var_file, on_event)
            options = {"auto_approve": IsFlagged, **_variables(var_file, replace)}
            with self._adopting(adopt):
                _, seen = await self._stream("apply", on_event, **options)
        return seen.applied()

    async def destroy(self, var_file: Path | None, on_event: OnEvent | None = None) -> ApplySummary:
        """Destroy everything in the state."""
        (self._folder / ADOPTED).unlink(missing_ok=True)  # of an apply that was killed
        _, seen = await self._stream("destroy", on_event, auto_approve=IsFlagged, **_variables(var_file))
        return seen.applied()

    async def output(self) -> dict[str, Any]:
        """The outputs' values, sensitive ones too. They are not logged."""
        found = await self._json("output", json=IsFlagged)
        return {name: output["value"] for name, output in found.items()}

    async def show(self, plan_file: Path) -> dict[str, Any]:
        """A saved plan as JSON: https://developer.hashicorp.com/terraform/internals/json-format. It is not logged."""
        return await self._json("show", str(plan_file), json=IsFlagged)

    async def forget(self, address: str) -> bool:
        """Take a resource out of the state and leave the thing itself alone; False when the state does not have it."""
        if address not in await self.resources():
            return False
        await self._change("state rm", address, lock_timeout=LOCK_TIMEOUT)
        return True

    async def resources(self) -> list[str]:
        """The addresses of the resources in the state; none when there is no state."""
        if not self.state_exists():
            return []
        return (await self._text("state list")).splitlines()

    async def state(self) -> dict[str, Any]:
        """The state as JSON, in the format of Terraform's state files; empty when there is none. It is not logged."""
        self._mend_emptied_state()
        if not self.state_exists():
            return {}
        return await self._json("state pull")

    def state_exists(self) -> bool:
        """Whether there is a state: a local one that is not empty, or a backend that keeps it elsewhere."""
        return bool(_size(self._folder / STATE)) or self._backend() != "local"

    async def require_unlocked(self) -> None:
        """Go on only if no other Terraform holds a state that a backend keeps; one in the folder is this machine's.

        Raises:
            Locked: naming the holder.
        """
        if self._backend() == "local" or not (resources := await self.resources()):
            return
        # It takes the lock, and writes nothing.
        await self._change("state rm", resources[0], dry_run=IsFlagged, lock_timeout=LOCK_TIMEOUT)

    async def recover_lock(self, holder: Holder | None = None) -> bool:
        """Release the state's lock if its holder is dead, and say whether that was done.

        Args:
            holder: who holds it, from a `state-locked` error; needed for a backend only.
        """
        if self._backend() == "local":
            return remove_left_lock(self._folder)
        if holder is None or not holder_is_dead(holder, self._data):
            return False
        await self._change("force-unlock", holder.id, force=IsFlagged)
        return True

    @contextmanager
    def _adopting(self, things: Mapping[str, str]) -> Iterator[None]:
        """Have Terraform import things while it plans: `terraform import` takes no count of what is yet to be made."""
        file = self._folder / ADOPTED
        try:
            if things:
                blocks = [{"to": address, "id": each} for address, each in things.items()]
                write_atomically(file, json.dumps({"import": blocks}))
            yield
        finally:
            file.unlink(missing_ok=True)  # Terraform insists on what it names, also when that is to go

    async def mend(self, var_file: Path | None, on_event: OnEvent | None = None) -> None:
        """Keep what an interrupted run left whole, destroy the rest. `apply` does it; a plan knows nothing of it."""
        if self._whole is None or not self.state_exists():
            return
        broken = []
        for address in tainted_in(await self._json("state pull")):
            if await self._whole(address):
                await self._change("untaint", address, lock_timeout=LOCK_TIMEOUT)
            else:
                broken.append(address)
        if broken:
            with suppress(DrakitError):  # the apply tells of what stands in the way
                await self._destroy_alone(broken, var_file, on_event)

    async def _destroy_alone(self, broken: Sequence[str], var_file: Path | None, on_event: OnEvent | None) -> None:
        """Destroy what is broken, if nothing else would go with it; the apply replaces it in any case.

        Where one is to be created before the other is destroyed, names, networks and addresses would collide. But what
        depends on what is targeted is destroyed too: add-ons that work, with a node group that does not.
        """
        out = self._data / "broken.tfplan"
        options = {"destroy": IsFlagged, "target": list(broken), "out": str(out), **_variables(var_file)}
        try:
            _, seen = await self._stream("plan", None, **options)
            plan = seen.plan(changed=True, path=out)
            # Counted too, so that no word of Terraform's that was not understood is taken for none.
            if {each.address for each in plan.changes} <= set(broken) and plan.remove == len(plan.changes):
                await self._stream("apply", on_event, str(out))
        finally:
            out.unlink(missing_ok=True)

    async def _stream(self, command: str, on_event: OnEvent | None, *args: str, **options: object) -> tuple[int, Seen]:
        self._mend_emptied_state()
        options |= {"json": IsFlagged, "input": False, "lock_timeout": LOCK_TIMEOUT}
        argv = self._argv(command, *args, **options)
        return await self._unlocked(lambda: self._stream_once(command, argv, on_event))

    async def _unlocked(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do `work`, and do it again if a lock that the dead have left was in its way."""
        try:
            return await work()
        except DrakitError as error:
            lock = error.details.get("lock")
            holder = Holder(**lock) if isinstance(lock, dict) else None
            if holder is None or not died(self._logs) or not await self.recover_lock(holder):
                raise
        return await work()

    async def _stream_once(self, command: str, argv: list[str], on_event: OnEvent | None) -> tuple[int, Seen]:
        seen, underway = Seen(), Underway()

        def read(line: str) -> None:
            event = parse(line)
            seen.note(event)
            underway.note(event)
            if on_event:
                on_event(event)

        log = log_file(self._logs, command)
        run = self._run(argv, log, on_line=read, outlives=True, timeout=LONGEST, silence=SILENCE)
        done = await (run if self._whole is None else put_off(run, underway))
        # `plan -detailed-exitcode`: 2 is success, with changes.
        if done.returncode not in ((0, 2) if command == "plan" else (0,)) or seen.errors:
            raise self._failure(done, seen.errors, log)
        return done.returncode, seen

    async def _json(self, command: str, *args: str, **options: object) -> dict[str, Any]:
        """What a command prints as JSON, which is not logged; nothing is an empty object."""
        text = await self._text(command, *args, logged=False, **options)
        try:
            return dict(json.loads(text or "{}"))
        except (ValueError, TypeError, RecursionError) as error:
            message = f"`terraform {command}` printed no JSON: {printable(text.strip() or 'nothing')}"
            hint = f"Try it in {self._folder}; the logs are in {self._logs}."
            raise ToolFailed(message, hint=hint, code="terraform-output") from error

    async def _text(self, command: str, *args: str, logged: bool = True, **options: object) -> str:
        """What a command that only looks prints."""
        log = log_file(self._logs, command) if logged else None
        done = await self._run(self._argv(command, *args, **options), log, timeout=LONGEST)
        if done.returncode != 0:
            raise self._failure(done, [], log)
        return done.stdout

    async def _change(self, command: str, *args: str, **options: object) -> None:
        """A command that writes something, as text."""
        argv, log = self._argv(command, *args, **options), log_file(self._logs, command)

        async def work() -> None:
            done = await self._run(argv, log, outlives=True, timeout=LONGEST)
            if done.returncode != 0:
                raise self._failure(done, [], log)

        await self._unlocked(work)

    def _argv(self, command: str, *args: str, **options: object) -> list[str]:
        argv: list[str] = self._arguments.generate_cmd_string(command, *args, no_color=IsFlagged, **options)
        return argv

    async def _run(self, argv: list[str], log: Path | None, **how: Any) -> process.Completed:
        # Only the log can raise an OSError here: a full disk stops Terraform as a cancellation does.
        with file_errors(self._logs):
            try:
                return await process.run(argv, env=self._env, cwd=self._folder, log=log, check=False, **how)
            except TimedOut as error:
                error.code, error.hint = "terraform-hangs", f"Run the same command again. {error.hint or ''}".strip()
                raise

    def _failure(self, done: process.Completed, errors: list[Diagnostic], log: Path | None) -> DrakitError:
        found = errors or diagnostics_in(done.stderr or done.stdout)
        if crashed(done) or not found:
            return death(done, errors, log)
        error = classify(found, log, self._folder, self._explain)
        if error.code == "provider-unavailable":
            # The next init must look again.
            self._stamp.unlink(missing_ok=True)
        return error

    def _mend_emptied_state(self) -> None:
        # Terraform empties its state before it writes it, and takes what a kill leaves then for no state at all.
        state, backup = self._folder / STATE, self._folder / f"{STATE}.backup"
        if _size(state) != 0 or not _size(backup):
            return
        if not died(self._logs):
            raise classify(
                [Diagnostic("error", "The state file could not be read", f"{state} is empty")], None, self._folder
            )
        with file_errors(self._folder):
            write_atomically(state, backup.read_bytes())

    def _backend(self) -> str:
        return str(backend_of(self._data).get("type", "local"))

    @property
    def _stamp(self) -> Path:
        return self._data / "drakit-init"

    def _fingerprint(self) -> str:
        with file_errors(self._folder):
            return fingerprint(self._executable, self._folder, self._data, self._plugin_dir)


def _variables(var_file: Path | None, replace: Sequence[str] = ()) -> dict[str, object]:
    return {"var_file": str(var_file) if var_file else None, "replace": list(replace)}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
