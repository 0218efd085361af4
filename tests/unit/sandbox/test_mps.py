import pytest

from drakit.errors import ClusterError
from drakit.kube.kinds import DEPLOYMENT, Kind, Object
from drakit.sandbox.mps import claim_uid, deployment, is_daemon, start
from tests.unit.sandbox.fakekube import FakeKube
from tests.unit.sandbox.objects import GPUS, NAMESPACE, NODE, UID, driver_pod, settings, whole

DEVICES = [whole(GPUS[1]), whole(GPUS[0])]


def test_the_daemon_of_a_claim() -> None:
    obj = deployment(settings(*DEVICES), driver_pod())
    name = f"mps-control-daemon-{UID}-0a1b2"
    assert obj["metadata"] == {"name": name, "namespace": NAMESPACE, "labels": {"app": name}}
    template = obj["spec"]["template"]
    assert obj["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"] == {"app": name}
    spec = template["spec"]
    assert (spec["nodeName"], spec["hostPID"], spec["serviceAccountName"]) == (NODE, True, "kubelet-plugin")
    (container,) = spec["containers"]
    assert container["image"] == "registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu:v0.4.1"
    assert container["securityContext"] == {"privileged": True}
    assert container["env"] == [
        {"name": "CUDA_VISIBLE_DEVICES", "value": ",".join(sorted([GPUS[0].uuid, GPUS[1].uuid]))}
    ]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}
    paths = {volume["hostPath"]["path"] for volume in spec["volumes"]}
    assert f"/var/lib/kubelet/plugins/gpu.nvidia.com/mps/{UID}-0a1b2/pipe" in paths


def test_a_driver_without_a_service_account() -> None:
    pod = driver_pod()
    del pod["spec"]["serviceAccountName"]
    assert "serviceAccountName" not in deployment(settings(*DEVICES), pod)["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("percentage", "limit", "commands"),
    [
        (None, None, []),
        (30, None, ["set_default_active_thread_percentage 30"]),
        (0, None, ["set_default_active_thread_percentage 0"]),
        (
            30,
            "1024M",
            [
                "set_default_active_thread_percentage 30",
                *(f"set_default_device_pinned_mem_limit {uuid} 1024M" for uuid in sorted(g.uuid for g in GPUS[:2])),
            ],
        ),
    ],
)
def test_what_the_daemon_is_told(percentage: int | None, limit: str | None, commands: list[str]) -> None:
    obj = deployment(settings(*DEVICES, percentage=percentage, limit=limit), driver_pod())
    (script,) = obj["spec"]["template"]["spec"]["containers"][0]["args"]
    start, *told, forever = script.splitlines()
    assert start == "nvidia-cuda-mps-control -d"
    assert told == [f"echo {command} | nvidia-cuda-mps-control" for command in commands]
    assert forever.startswith("tail ")


def test_a_daemon_is_known_by_its_label() -> None:
    daemon = deployment(settings(*DEVICES), driver_pod())
    assert is_daemon(daemon)
    assert is_daemon(daemon["spec"]["template"])
    assert claim_uid(daemon) == UID
    assert not is_daemon(driver_pod())
    assert not is_daemon(driver_pod(labels={"app": "my-mps-control-daemon-x"}))


async def test_a_daemon_that_is_there_is_good() -> None:
    kube = FakeKube((DEPLOYMENT, deployment(settings(*DEVICES), driver_pod())))
    await start(kube, settings(*DEVICES), driver_pod())
    assert kube.changes == []


async def test_another_refusal_is_told() -> None:
    class Refusing(FakeKube):
        async def create(self, kind: Kind, obj: Object) -> Object:
            raise ClusterError("no", code="forbidden")

    with pytest.raises(ClusterError, match="no"):
        await start(Refusing(), settings(*DEVICES), driver_pod())
