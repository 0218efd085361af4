"""pyhelm3's argument lists, run through `drakit.process`. Why: docs/decisions/0004-helm-process.md."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyhelm3

from drakit import process
from drakit.helm.errors import failure, misread

SPARE_SECONDS = 30.0
"""How much longer than its own `--timeout` a helm may take: it has to record how the release ended."""
HISTORY = 10
"""Revisions that Helm keeps of a release."""


class Command(pyhelm3.Command):  # type: ignore[misc]  # pyhelm3 carries no type information
    """One piece of work for the helm executable.

    Args:
        executable: path of helm.
        kubeconfig: the cluster; None for what needs none.
        env: the whole environment.
        doing: what to call the work in messages: "install gpu-operator".
        log: gets the command and its output; None where the output may hold secrets.
        timeout: seconds for Helm's own `--timeout`; the process gets `SPARE_SECONDS` more.
    """

    def __init__(
        self,
        executable: Path,
        *,
        kubeconfig: Path | None,
        env: Mapping[str, str],
        doing: str,
        log: Path | None,
        timeout: float,
    ) -> None:
        super().__init__(
            executable=str(executable),
            kubeconfig=kubeconfig,
            default_timeout=f"{timeout:.0f}s",
            history_max_revisions=HISTORY,
        )
        self._env = env
        self._doing = doing
        self._log = log
        self._deadline = timeout + SPARE_SECONDS

    async def run(self, command: Sequence[object], input: bytes | None = None) -> bytes:
        """Run helm with these arguments and this standard input; returns its standard output.

        Raises:
            DrakitError: see `drakit.helm.errors`, `drakit.process.run`.
        """
        argv = [self._executable, *(str(part) for part in command)]
        if self._kubeconfig:
            argv += ["--kubeconfig", str(self._kubeconfig)]
        completed = await process.run(
            argv, env=self._env, log=self._log, timeout=self._deadline, input=input, check=False, name="helm"
        )
        if completed.returncode != 0:
            raise failure(completed, doing=self._doing, log=self._log)
        return completed.stdout.encode()

    async def releases(self, selector: str | None = None) -> list[dict[str, Any]]:
        """The latest revision of every release of the cluster, or of those whose labels match `selector`."""
        arguments = ["list", "--all", "--all-namespaces", "--max", "0", "--output", "json"]
        return await self._objects([*arguments, "--selector", selector] if selector else arguments)

    async def revisions(self, name: str, *, namespace: str) -> list[dict[str, Any]]:
        """The revisions of a release that Helm keeps."""
        return await self._objects(["history", name, "--output", "json", "--namespace", namespace])

    async def _objects(self, arguments: Sequence[str]) -> list[dict[str, Any]]:
        text = (await self.run(arguments)).decode()
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise misread(text) from error
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise misread(text)
        return found

    async def upgrade(
        self,
        name: str,
        chart: Sequence[str],
        values: Mapping[str, Any],
        *,
        namespace: str,
        label: str,
        wait: bool,
    ) -> None:
        """Install or upgrade. `chart` is the chart with its `--version` and `--repo`; `values` go by standard input."""
        # Not pyhelm3's: with --output json Helm prints the values, secrets included, and it knows no --labels.
        arguments = ["upgrade", name, *chart, "--install", "--create-namespace", "--namespace", namespace]
        arguments += ["--labels", label, "--history-max", str(HISTORY), "--timeout", self._default_timeout]
        arguments += ["--wait", "--wait-for-jobs"] if wait else []
        await self.run([*arguments, "--values", "-"], encode(values))

    async def render(
        self, name: str, chart: Sequence[str], values: Mapping[str, Any], *, namespace: str, options: Sequence[str]
    ) -> str:
        """The manifests that the chart renders to, CRDs included, as YAML."""
        arguments = ["template", name, *chart, "--namespace", namespace, "--include-crds", *options]
        return (await self.run([*arguments, "--values", "-"], encode(values))).decode()


def encode(values: Mapping[str, Any]) -> bytes:
    """Values as JSON, which is YAML; the same bytes for the same values, whatever the order of their keys."""
    return json.dumps(values, sort_keys=True, default=dict).encode()
