import datetime
from typing import Any

import pytest

from drakit.sandbox.podstatus import ContainerRun, PodRun, is_deleted, known_status, pod_status, stamp, terminated
from drakit.sandbox.programs import FOREVER, Timeline

START = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.UTC)
SERVER = Timeline(((0.0, "a"), (2.0, "b")), FOREVER)
NODE = "ip-100-64-12-34.us-west-2.compute.internal"


def after(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


def pod(*, init: bool = False, host_network: bool = False, status: dict[str, Any] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"nodeName": NODE, "containers": [{"name": "ctr", "image": "ubuntu:22.04"}]}
    if init:
        spec["initContainers"] = [{"name": "init", "image": "busybox"}]
    if host_network:
        spec["hostNetwork"] = True
    return {"metadata": {"name": "p", "namespace": "ns", "uid": "7"}, "spec": spec, "status": status or {}}


def running() -> ContainerRun:
    return ContainerRun(SERVER, START)


def ended(code: int) -> ContainerRun:
    return ContainerRun(SERVER, START, ended=after(5), exit_code=code)


def conditions(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["status"] for c in status["conditions"]}


@pytest.mark.parametrize(
    ("phase", "containers", "ready", "state"),
    [
        ("Pending", {}, False, {"waiting": {"reason": "ContainerCreating"}}),
        ("Running", {"ctr": running()}, True, {"running": {"startedAt": stamp(START)}}),
        ("Succeeded", {"ctr": ended(0)}, False, {"terminated": terminated(ended(0))}),
        ("Failed", {"ctr": ended(3)}, False, {"terminated": terminated(ended(3))}),
    ],
)
def test_a_pod_of_each_phase(phase: str, containers: dict[str, ContainerRun], ready: bool, state: object) -> None:
    status = pod_status(PodRun(pod(), containers), phase, "ContainerCreating")
    (container,) = status["containerStatuses"]
    assert (status["phase"], container["ready"], container["state"]) == (phase, ready, state)
    assert conditions(status) == {
        "PodReadyToStartContainers": str(phase == "Running"),
        "Initialized": "True",
        "ContainersReady": str(ready),
        "Ready": str(ready),
    }
    assert status["hostIP"] == "100.64.12.34"
    assert ("podIP" in status) == (phase != "Pending")


def test_why_a_container_ended() -> None:
    assert terminated(ended(0))["reason"] == "Completed"
    assert terminated(ended(3)) == {
        "exitCode": 3,
        "reason": "Error",
        "startedAt": stamp(START),
        "finishedAt": stamp(after(5)),
    }


def test_init_containers_come_first() -> None:
    status = pod_status(PodRun(pod(init=True), {"init": running()}), "Pending", "PodInitializing")
    assert conditions(status)["Initialized"] == "False"
    assert [s["name"] for s in status["initContainerStatuses"]] == ["init"]
    assert "running" in status["initContainerStatuses"][0]["state"]
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_a_container_that_crashes_again_and_again() -> None:
    run = ended(1)
    run.restarts, run.waiting = 4, "CrashLoopBackOff"
    (container,) = pod_status(PodRun(pod(), {"ctr": run}), "Running", "")["containerStatuses"]
    assert container["restartCount"] == 4
    assert container["state"] == {"waiting": {"reason": "CrashLoopBackOff"}}
    assert container["lastState"]["terminated"]["exitCode"] == 1
    assert container["ready"] is False


def test_a_restarted_container_remembers_its_last_run() -> None:
    last = {"terminated": terminated(ended(1))}
    run = ContainerRun(SERVER, START, restarts=1, last=last)
    (container,) = pod_status(PodRun(pod(), {"ctr": run}), "Running", "")["containerStatuses"]
    assert (container["restartCount"], container["lastState"]) == (1, last)


def test_what_did_not_change_keeps_its_time() -> None:
    old = "2026-01-01T00:00:00Z"
    kept = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": old},
        {"type": "Initialized", "status": "True", "lastTransitionTime": old},
        {"type": "Ready", "status": "False", "lastTransitionTime": old, "reason": "ContainersNotReady"},
    ]
    before = pod(status={"conditions": kept, "startTime": old})
    status = pod_status(PodRun(before, {"ctr": running()}), "Running", "")
    found = {c["type"]: c for c in status["conditions"]}
    assert found["PodScheduled"] == kept[0]
    assert found["Initialized"]["lastTransitionTime"] == old
    assert found["Ready"]["lastTransitionTime"] > old
    assert "reason" not in found["Ready"]
    assert status["startTime"] == old


def test_addresses() -> None:
    status = pod_status(PodRun(pod(), {"ctr": running()}), "Running", "")
    assert status["podIP"].startswith("100.64.")
    assert 128 <= int(status["podIP"].split(".")[2]) < 256
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert pod_status(PodRun(pod(host_network=True)), "Running", "")["podIP"] == "100.64.12.34"


@pytest.mark.parametrize(("now", "lines"), [(0, ["a"]), (1.9, ["a"]), (2, ["a", "b"]), (9, ["a", "b"])])
def test_what_a_container_has_printed(now: float, lines: list[str]) -> None:
    assert [line for _, line in running().text(after(now))] == lines


@pytest.mark.parametrize(("now", "seconds"), [(-1, 1), (0, 2), (1.5, 0.5), (2, FOREVER), (9, FOREVER)])
def test_when_a_container_prints_again(now: float, seconds: float) -> None:
    assert running().next_line(after(now)) == seconds


def test_a_container_that_has_ended_prints_no_more() -> None:
    run = ContainerRun(SERVER, START, ended=after(1))
    assert run.text(after(9)) == [(START, "a")]


def test_what_the_api_knows() -> None:
    statuses = {"containerStatuses": [{"name": "ctr", "x": 1}], "initContainerStatuses": [{"name": "init", "x": 2}]}
    assert known_status(pod(status=statuses), "ctr") == {"name": "ctr", "x": 1}
    assert known_status(pod(status=statuses), "init") == {"name": "init", "x": 2}
    assert known_status(pod(), "ctr") == {}
    assert not is_deleted(pod())
    assert is_deleted({"metadata": {"deletionTimestamp": stamp(START)}})
