import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drakit.errors import ClusterError, TimedOut, ToolFailed, UsageError
from drakit.helm import Helm, InstalledRelease, Release
from drakit.helm.atwork import at_work
from drakit.helm.releases import Status

FAKE = """#!{python}
import json, os, signal, sys
from pathlib import Path

folder = Path({folder!r})
verb = sys.argv[1]
given = "" if "--values" not in sys.argv else sys.stdin.read()
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps({{"argv": sys.argv[1:], "stdin": given, "env": dict(os.environ)}}) + "\\n")
answers = json.loads((folder / "answers").read_text())
answer = {{"stdout": "[]" if verb in ("list", "history") else ""}}
if answers.get(verb):
    answer = answers[verb].pop(0)
    (folder / "answers").write_text(json.dumps(answers))
sys.stdout.write(answer.get("stdout", ""))
sys.stderr.write(answer.get("stderr", ""))
sys.stdout.flush()
if answer.get("hold"):
    os.read(0, 1)
if answer.get("kill"):
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(answer.get("code", 0))
"""


@dataclass
class FakeHelm:
    """A helm that answers what it was told to, in order and by verb, and keeps what it was asked."""

    executable: Path
    folder: Path

    def answer(self, verb: str, **answer: Any) -> None:
        path = self.folder / "answers"
        answers = json.loads(path.read_text())
        answers.setdefault(verb, []).append(answer)
        path.write_text(json.dumps(answers))

    def lists(self, *releases: dict[str, Any]) -> None:
        self.answer("list", stdout=json.dumps(list(releases)))

    @property
    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def verbs(self) -> list[str]:
        return [call["argv"][0] for call in self.calls]


@pytest.fixture
def fake_helm(tmp_path: Path) -> FakeHelm:
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "answers").write_text("{}")
    executable = folder / "helm"
    executable.write_text(FAKE.format(python=sys.executable, folder=str(folder)))
    executable.chmod(0o755)
    return FakeHelm(executable, folder)


@pytest.fixture
def helm(fake_helm: FakeHelm, tmp_path: Path) -> Helm:
    """The adapter, on the fake helm."""
    return Helm(fake_helm.executable, tmp_path / "kubeconfig", tmp_path / "helm", tmp_path / "logs")


DEMO = Release("demo", "ns", "oci://registry.example/charts/demo", "1.2.3", {"password": "s3cret", "replicas": 2})


def entry(status: str = "deployed", revision: int = 1, **fields: Any) -> dict[str, Any]:
    listed = {"name": "demo", "namespace": "ns", "chart": "demo-1.2.3", "app_version": "7", "updated": "today"}
    return {**listed, "status": status, "revision": str(revision), **fields}


def history(*statuses: str) -> str:
    return json.dumps([{"revision": n, "status": status} for n, status in enumerate(statuses, start=1)])


def option(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


# What is there


@pytest.mark.parametrize(
    ("chart", "name", "version"),
    [
        ("demo-1.2.3", "demo", "1.2.3"),
        ("gpu-operator-v26.3.3", "gpu-operator", "v26.3.3"),
        ("dra-driver-nvidia-gpu-0.4.1-rc.1", "dra-driver-nvidia-gpu", "0.4.1-rc.1"),
        ("k8s-2-1.0.0+build", "k8s-2", "1.0.0+build"),
        ("noversion", "noversion", ""),
    ],
)
async def test_list_tells_chart_and_version_apart(
    helm: Helm, fake_helm: FakeHelm, chart: str, name: str, version: str
) -> None:
    fake_helm.lists(entry(chart=chart, revision=4))
    assert await helm.list() == (InstalledRelease("demo", "ns", name, version, "7", Status.DEPLOYED, 4),)


async def test_list_asks_for_all_namespaces_and_states(helm: Helm, fake_helm: FakeHelm) -> None:
    assert await helm.list([DEMO]) == ()
    (call,) = fake_helm.calls
    assert {"--all", "--all-namespaces"} <= set(call["argv"])
    assert option(call["argv"], "--max") == "0"


async def test_a_state_that_helm_may_invent_is_unknown(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.lists(entry("pending-something"))
    (release,) = await helm.list()
    assert release.status == Status.UNKNOWN


async def test_list_knows_releases_that_are_as_they_should_be(helm: Helm, fake_helm: FakeHelm) -> None:
    other = Release("other", "ns", "other")
    fake_helm.lists(entry(revision=3), entry(name="other"), entry(name="foreign"))
    fake_helm.lists(entry(revision=3))
    demo, stale, foreign = await helm.list([DEMO, other])
    assert demo.fingerprint == helm.fingerprint(DEMO)
    assert (stale.fingerprint, foreign.fingerprint) == (None, None)
    selector = option(fake_helm.calls[1]["argv"], "--selector")
    assert f"{helm.fingerprint(DEMO)}-3" in selector
    assert f"{helm.fingerprint(other)}-1" in selector


async def test_a_release_that_is_not_deployed_is_never_as_it_should_be(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.lists(entry("failed"))
    (release,) = await helm.list([DEMO])
    assert release.fingerprint is None
    assert fake_helm.verbs == ["list"]


async def test_a_cluster_that_is_away_is_a_cluster_error(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.answer("list", stderr="Error: Kubernetes cluster unreachable: connection refused\n", code=1)
    with pytest.raises(ClusterError) as caught:
        await helm.list()
    assert caught.value.code == "cluster-unreachable"


# What makes a fingerprint


def test_the_order_of_values_does_not_matter(helm: Helm) -> None:
    assert helm.fingerprint(Release("a", "n", "c", values={"x": 1, "y": 2})) == helm.fingerprint(
        Release("a", "n", "c", values={"y": 2, "x": 1})
    )


def test_chart_version_repository_values_and_cluster_matter(fake_helm: FakeHelm, helm: Helm, tmp_path: Path) -> None:
    variants = [
        Release("a", "n", "c"),
        Release("a", "n", "d"),
        Release("a", "n", "c", "1"),
        Release("a", "n", "c", repo="https://charts.example"),
        Release("a", "n", "c", values={"x": 1}),
    ]
    newer = Helm(fake_helm.executable, helm.kubeconfig, tmp_path, tmp_path, cluster="1.34 resource.k8s.io/v1")
    prints = {*map(helm.fingerprint, variants), newer.fingerprint(variants[0])}
    assert len(prints) == len(variants) + 1


def test_the_content_of_a_local_chart_matters(helm: Helm, tmp_path: Path) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "templates" / "a.yaml").write_text("a: 1")
    release = Release("a", "n", str(chart))
    before = helm.fingerprint(release)
    assert helm.fingerprint(release) == before
    (chart / "templates" / "a.yaml").write_text("a: 2")
    changed = helm.fingerprint(release)
    (chart / "templates" / "a.yaml").rename(chart / "templates" / "b.yaml")
    assert len({before, changed, helm.fingerprint(release)}) == 3


def test_the_label_fits(helm: Helm) -> None:
    assert len(f"{helm.fingerprint(DEMO)}-99999") <= 63


# Making it so


async def test_nothing_is_run_for_a_release_that_is_as_it_should_be(helm: Helm, fake_helm: FakeHelm) -> None:
    there = InstalledRelease("demo", "ns", "demo", "1.2.3", "7", Status.DEPLOYED, 5, helm.fingerprint(DEMO))
    said: list[str] = []
    assert await helm.ensure(DEMO, said.append, installed=[there]) is False
    assert (fake_helm.calls, said) == ([], [])


async def test_a_release_of_the_same_name_elsewhere_is_another(helm: Helm, fake_helm: FakeHelm) -> None:
    there = InstalledRelease("demo", "other", "demo", "1.2.3", "7", Status.DEPLOYED, 5, helm.fingerprint(DEMO))
    assert await helm.ensure(DEMO, print, installed=[there]) is True
    assert fake_helm.verbs == ["upgrade"]


async def test_install(helm: Helm, fake_helm: FakeHelm) -> None:
    said: list[str] = []
    assert await helm.ensure(DEMO, said.append, 90) is True
    assert said == ["installing demo 1.2.3"]
    assert fake_helm.verbs == ["list", "upgrade"]
    argv = fake_helm.calls[1]["argv"]
    assert argv[:3] == ["upgrade", "demo", "oci://registry.example/charts/demo"]
    assert {"--install", "--create-namespace"} <= set(argv)
    assert option(argv, "--version") == "1.2.3"
    assert option(argv, "--namespace") == "ns"
    assert option(argv, "--timeout") == "90s"
    assert option(argv, "--labels") == f"drakit-fingerprint={helm.fingerprint(DEMO)}-1"
    assert option(argv, "--kubeconfig") == str(helm.kubeconfig)
    assert "--wait" not in argv


async def test_upgrade_and_wait(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.lists(entry(revision=3))
    said: list[str] = []
    assert await helm.ensure(DEMO, said.append, wait=True) is True
    assert said == ["upgrading demo 1.2.3"]
    assert fake_helm.verbs == ["list", "list", "upgrade"]
    argv = fake_helm.calls[2]["argv"]
    assert option(argv, "--labels").endswith("-4")
    assert {"--wait", "--wait-for-jobs"} <= set(argv)


async def test_values_go_by_standard_input_alone(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.answer("upgrade", stderr="Error: something\n", code=1)
    with pytest.raises(ToolFailed) as caught:
        await helm.ensure(DEMO, print)
    call = fake_helm.calls[-1]
    assert json.loads(call["stdin"]) == DEMO.values
    assert "s3cret" not in json.dumps([call["argv"], call["env"]])
    assert "s3cret" not in repr([caught.value.message, caught.value.hint, caught.value.details])
    logs = [path.read_text() for path in helm.logs.iterdir()]
    assert len(logs) == 2
    assert not any("s3cret" in log for log in logs)


async def test_helm_has_an_environment_of_its_own(
    fake_helm: FakeHelm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KUBECONFIG", "HELM_NAMESPACE", "HELM_DRIVER", "HELM_PLUGINS", "HELM_KUBETOKEN", "AWS_PROFILE"):
        monkeypatch.setenv(name, "the user's")
    helm = Helm(fake_helm.executable, tmp_path / "kc", tmp_path / "own", tmp_path / "logs", inherit=("AWS_*",))
    await helm.list()
    env = fake_helm.calls[0]["env"]
    assert {name for name, value in env.items() if value == "the user's"} == {"AWS_PROFILE"}
    homes = {env[f"HELM_{kind}_HOME"] for kind in ("CACHE", "CONFIG", "DATA")}
    assert len(homes) == 3
    assert all(Path(home).parent == tmp_path / "own" for home in homes)
    assert env["HELM_NO_PLUGINS"] == "1"


async def test_credentials_in_a_repository_url_are_refused(helm: Helm, fake_helm: FakeHelm) -> None:
    release = Release("demo", "ns", "demo", repo="https://me:s3cret@charts.example")
    with pytest.raises(UsageError) as caught:
        await helm.ensure(release, print)
    assert "s3cret" not in caught.value.message
    assert "upgrade" not in fake_helm.verbs


# Recovering


async def test_an_interrupted_install_is_uninstalled_first(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.lists(entry("pending-install"))
    fake_helm.answer("history", stdout=history("pending-install"))
    said: list[str] = []
    assert await helm.ensure(DEMO, said.append) is True
    assert fake_helm.verbs == ["list", "history", "uninstall", "upgrade"]
    assert "--wait" in fake_helm.calls[2]["argv"]
    assert option(fake_helm.calls[3]["argv"], "--labels").endswith("-1")
    assert said == ["uninstalling demo first: its install was interrupted", "installing demo 1.2.3"]


@pytest.mark.parametrize(
    ("statuses", "good"),
    [
        (("superseded", "deployed", "pending-upgrade"), "2"),
        (("superseded", "failed", "pending-upgrade"), "1"),
        (("superseded", "deployed", "pending-upgrade", "pending-rollback"), "2"),
    ],
)
async def test_an_interrupted_upgrade_goes_back_to_the_last_good_revision(
    helm: Helm, fake_helm: FakeHelm, statuses: tuple[str, ...], good: str
) -> None:
    fake_helm.lists(entry(statuses[-1], len(statuses)))
    fake_helm.answer("history", stdout=history(*statuses))
    said: list[str] = []
    assert await helm.ensure(DEMO, said.append) is True
    assert fake_helm.verbs == ["list", "history", "rollback", "upgrade"]
    assert fake_helm.calls[2]["argv"][:3] == ["rollback", "demo", good]
    assert option(fake_helm.calls[2]["argv"], "--namespace") == "ns"
    assert option(fake_helm.calls[3]["argv"], "--labels").endswith(f"-{len(statuses) + 2}")
    assert said[0].startswith(f"rolling demo back to revision {good} first")
    assert said[1] == "upgrading demo 1.2.3"


async def test_an_upgrade_of_a_release_that_never_worked_starts_anew(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.lists(entry("pending-upgrade", 2))
    fake_helm.answer("history", stdout=history("failed", "pending-upgrade"))
    assert await helm.ensure(DEMO, print) is True
    assert fake_helm.verbs == ["list", "history", "uninstall", "upgrade"]


async def test_a_half_removed_release_is_removed_and_installed(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.lists(entry("uninstalling", 2))
    assert await helm.ensure(DEMO, print) is True
    assert fake_helm.verbs == ["list", "uninstall", "upgrade"]
    assert option(fake_helm.calls[2]["argv"], "--labels").endswith("-1")


async def test_a_half_removed_release_may_have_gone_meanwhile(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.lists(entry("uninstalling", 2))
    fake_helm.answer("uninstall", stderr="Error: uninstall: Release not loaded: demo: release: not found\n", code=1)
    assert await helm.ensure(DEMO, print) is True


@pytest.mark.parametrize(("status", "doing"), [("failed", "upgrading"), ("uninstalled", "installing")])
async def test_failed_and_kept_releases_need_no_recovery(
    helm: Helm, fake_helm: FakeHelm, status: str, doing: str
) -> None:
    fake_helm.lists(entry(status, 2))
    said: list[str] = []
    assert await helm.ensure(DEMO, said.append) is True
    assert fake_helm.verbs == ["list", "upgrade"]
    assert option(fake_helm.calls[1]["argv"], "--labels").endswith("-3")
    assert said == [f"{doing} demo 1.2.3"]


async def test_a_rollback_that_fails_is_told_and_nothing_is_torn_down(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.lists(entry("pending-upgrade", 2))
    fake_helm.answer("history", stdout=history("deployed", "pending-upgrade"))
    fake_helm.answer("rollback", stderr="Error: no matches for kind X\n", code=1)
    with pytest.raises(ToolFailed) as caught:
        await helm.ensure(DEMO, print)
    assert caught.value.code == "api-missing"
    assert caught.value.message.startswith("Helm could not recover demo")
    assert fake_helm.verbs == ["list", "history", "rollback"]


@contextmanager
def left_behind(helm: Helm, fake_helm: FakeHelm) -> Iterator[subprocess.Popen[bytes]]:
    """A helm at work on the demo, until its standard input is closed."""
    fake_helm.answer("upgrade", hold=True, stdout="working\n")
    argv = [str(helm.executable), "upgrade", "demo", "--kubeconfig", str(helm.kubeconfig)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"working\n"
            yield process
        finally:
            process.kill()


async def test_a_helm_left_behind_is_waited_for(helm: Helm, fake_helm: FakeHelm) -> None:
    said: list[str] = []
    with left_behind(helm, fake_helm) as process:
        fake_helm.lists(entry("pending-upgrade", 2))
        fake_helm.lists(entry("deployed", 2))
        fake_helm.lists(entry("deployed", 2))

        def report(message: str) -> None:
            said.append(message)
            assert process.stdin is not None
            process.stdin.close()

        # What it did was what is wanted: nothing is left to do.
        assert await helm.ensure(DEMO, report) is False
    assert said == ["waiting for another helm that is at work on demo"]
    assert fake_helm.verbs == ["upgrade", "list", "list", "list"]


async def test_a_helm_that_never_ends_is_named(helm: Helm, fake_helm: FakeHelm) -> None:
    with left_behind(helm, fake_helm) as process:
        fake_helm.lists(entry("pending-upgrade", 2))
        with pytest.raises(TimedOut) as caught:
            await helm.ensure(DEMO, lambda _: None, 0.01)
        assert caught.value.code == "release-locked"
        assert str(process.pid) in (caught.value.hint or "")
        assert process.poll() is None


async def test_only_helms_of_this_release_and_cluster_count(helm: Helm, fake_helm: FakeHelm, tmp_path: Path) -> None:
    with left_behind(helm, fake_helm) as process:
        assert at_work("demo", helm.kubeconfig) == [process.pid]
        assert at_work("other", helm.kubeconfig) == []
        assert at_work("demo", tmp_path / "another") == []


# Uninstalling


async def test_uninstall(helm: Helm, fake_helm: FakeHelm) -> None:
    assert await helm.uninstall("demo", "ns", 60) is True
    (call,) = fake_helm.calls
    assert call["argv"][:2] == ["uninstall", "demo"]
    assert (option(call["argv"], "--namespace"), option(call["argv"], "--timeout")) == ("ns", "60s")
    assert "--wait" not in call["argv"]


async def test_uninstalling_what_is_not_there_changes_nothing(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.answer("uninstall", stderr="Error: uninstall: Release not loaded: demo: release: not found\n", code=1)
    assert await helm.uninstall("demo", "ns") is False


async def test_a_helm_that_is_killed_is_an_error(helm: Helm, fake_helm: FakeHelm) -> None:
    fake_helm.answer("uninstall", kill=True)
    with pytest.raises(ToolFailed, match="killed by signal 9"):
        await helm.uninstall("demo", "ns")


async def test_releases_are_ensured_side_by_side(helm: Helm, fake_helm: FakeHelm) -> None:
    releases = [Release(name, "ns", name) for name in ("a", "b", "c")]
    assert await asyncio.gather(*(helm.ensure(r, print, installed=()) for r in releases)) == [True] * 3
    assert sorted(call["argv"][1] for call in fake_helm.calls) == ["a", "b", "c"]
    assert {path.name for path in helm.logs.iterdir()} == {"helm-a.log", "helm-b.log", "helm-c.log"}
