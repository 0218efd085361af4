"""The demos' manifests, as `kubectl apply` would get them, in every version of resource.k8s.io."""

from functools import cache
from typing import Any

import pytest
from ruamel.yaml import YAML

from drakit.dra.deviceconfig import check
from drakit.dra.devices import Device
from drakit.dra.gates import feature_gates
from drakit.dra.strategies import STRATEGIES, template_context
from drakit.manifests import render_manifests, to_yaml
from drakit.packaged import packaged
from drakit.workload import parse

Object = dict[str, Any]
VERSIONS = ["v1", "v1beta2", "v1beta1"]
WORKLOAD = packaged("workload.py").read_text()
PROFILES = ("3g.20gb", "2g.10gb", "1g.5gb+me")
PARTITIONS = [
    Device("n1", profile, "mig", None, memory, f"MIG-{profile}", profile, "GPU-1")
    for profile, memory in zip(PROFILES, ("19968Mi", "9856Mi", "4864Mi"), strict=True)
]

each = pytest.mark.parametrize("name", STRATEGIES)
each_version = pytest.mark.parametrize("version", VERSIONS)


@cache
def render(name: str, version: str = "v1", workload: str = WORKLOAD) -> list[Object]:
    strategy = STRATEGIES[name]
    context = template_context(strategy, f"resource.k8s.io/{version}", PARTITIONS, workload=workload)
    return render_manifests(packaged("templates", "demos", strategy.template), context)


def of_kind(name: str, *kinds: str, version: str = "v1") -> list[Object]:
    return [obj for obj in render(name, version) if obj["kind"] in kinds]


def devices_asked(name: str, version: str = "v1") -> Object:
    (claim,) = of_kind(name, "ResourceClaim", "ResourceClaimTemplate", version=version)
    assert claim["apiVersion"] == f"resource.k8s.io/{version}"
    spec = claim["spec"]["spec"] if claim["kind"] == "ResourceClaimTemplate" else claim["spec"]
    devices: Object = spec["devices"]
    return devices


def containers(name: str) -> list[Object]:
    return [container for pod in of_kind(name, "Pod") for container in pod["spec"]["containers"]]


@each
@each_version
def test_what_is_applied(name: str, version: str) -> None:
    objects = render(name, version)
    pods = [obj for obj in objects if obj["kind"] == "Pod"]
    claim = "ResourceClaimTemplate" if name == "basic" else "ResourceClaim"
    assert [obj["kind"] for obj in objects] == ["Namespace", "ConfigMap", claim, *["Pod"] * len(pods)]
    namespace = STRATEGIES[name].namespace
    assert [obj["metadata"].get("namespace", obj["metadata"]["name"]) for obj in objects] == [namespace] * len(objects)
    assert len({(obj["kind"], obj["metadata"]["name"]) for obj in objects}) == len(objects)


@each
@each_version
def test_it_reads_back_from_yaml(name: str, version: str) -> None:
    objects = render(name, version)
    assert list(YAML(typ="safe", pure=True).load_all(to_yaml(objects))) == objects


@each
@each_version
def test_a_request_has_the_shape_of_its_api_version(name: str, version: str) -> None:
    for request in devices_asked(name, version)["requests"]:
        asked = request if version == "v1beta1" else request["exactly"]
        assert asked["deviceClassName"] == STRATEGIES[name].device_class
        assert set(asked) - {"name"} <= {"deviceClassName", "selectors"}
        assert set(request) == ({"name", *asked} if version == "v1beta1" else {"name", "exactly"})


@each
def test_the_versions_differ_in_nothing_else(name: str) -> None:
    def asked(version: str) -> list[Object]:
        return [
            {**request.pop("exactly", {}), **request} for request in map(dict, devices_asked(name, version)["requests"])
        ]

    assert asked("v1") == asked("v1beta2") == asked("v1beta1")
    rest = [{**devices_asked(name, version), "requests": None} for version in VERSIONS]
    assert rest[0] == rest[1] == rest[2]
    assert of_kind(name, "Pod") == of_kind(name, "Pod", version="v1beta1")


@each
def test_there_are_as_many_sharers_as_the_strategy_says(name: str) -> None:
    assert len(containers(name)) == STRATEGIES[name].sharers


@each
def test_every_pod_can_run_where_the_gpus_are(name: str) -> None:
    for pod in of_kind(name, "Pod"):
        spec = pod["spec"]
        assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
        assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Never", 5)
        assert spec["securityContext"] == {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}
        (claim,) = spec["resourceClaims"]
        assert {c["name"] for o in spec["containers"] for c in o["resources"]["claims"]} == {claim["name"]}


@each
def test_every_container_runs_the_workload(name: str) -> None:
    (config,) = of_kind(name, "ConfigMap")
    assert config["data"] == {"workload.py": WORKLOAD}
    for pod in of_kind(name, "Pod"):
        volumes = {volume["name"]: volume["configMap"]["name"] for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert container["image"] == "public.ecr.aws/docker/library/python:3.13-slim"
            (mount,) = container["volumeMounts"]
            assert volumes[mount["name"]] == config["metadata"]["name"]
            assert mount["readOnly"] is True
            assert container["command"] == ["python3", "-u", f"{mount['mountPath']}/workload.py"]
            assert parse(container.get("args", [])).memory_limit == (4 * 2**30 if name == "mps" else None)
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}


@pytest.mark.parametrize("text", ["{{ x }} {% raw %}", "a: b\n\t# c\r\n", "\\n'\"\0\x1b\u2028\N{ROCKET}", "---\n...\n"])
def test_the_workloads_text_is_kept(text: str) -> None:
    config = next(obj for obj in render("basic", workload=text) if obj["kind"] == "ConfigMap")
    assert config["data"]["workload.py"] == text


@each
def test_its_device_configuration_is_one_that_the_driver_takes(name: str) -> None:
    gates = feature_gates(dict.fromkeys(STRATEGIES[name].gates, True))
    requests = {request["name"] for request in devices_asked(name)["requests"]}
    configs = devices_asked(name).get("config", [])
    assert len(configs) == len(STRATEGIES[name].gates)
    for config in configs:
        assert set(config["requests"]) <= requests
        assert config["opaque"]["driver"] == "gpu.nvidia.com"
        check(config["opaque"]["parameters"], gates)


def test_basic_makes_a_claim_for_its_pod() -> None:
    (template,) = of_kind("basic", "ResourceClaimTemplate")
    (pod,) = of_kind("basic", "Pod")
    assert pod["spec"]["resourceClaims"][0]["resourceClaimTemplateName"] == template["metadata"]["name"]


@pytest.mark.parametrize("name", ["timeslicing", "mps", "mig"])
def test_the_pods_share_one_claim(name: str) -> None:
    (claim,) = of_kind(name, "ResourceClaim")
    pods = of_kind(name, "Pod")
    assert len(pods) > 1
    assert {pod["spec"]["resourceClaims"][0]["resourceClaimName"] for pod in pods} == {claim["metadata"]["name"]}


def test_the_time_slice() -> None:
    (config,) = devices_asked("timeslicing")["config"]
    sharing = config["opaque"]["parameters"]["sharing"]
    assert sharing == {"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Long"}}


def test_the_limits_of_mps() -> None:
    (config,) = devices_asked("mps")["config"]
    assert config["opaque"]["parameters"]["sharing"]["mpsConfig"] == {
        "defaultActiveThreadPercentage": 50,
        "defaultPinnedDeviceMemoryLimit": "4Gi",
    }
    assert [len(pod["spec"]["containers"]) for pod in of_kind("mps", "Pod")] == [2, 1]


def test_the_partitions_are_of_one_gpu() -> None:
    devices = devices_asked("mig")
    names = [request["name"] for request in devices["requests"]]
    assert names == ["large", "medium", "small"]
    assert devices["constraints"] == [{"requests": names, "matchAttribute": "gpu.nvidia.com/parentUUID"}]
    asked = [container["resources"]["claims"][0]["request"] for container in containers("mig")]
    assert asked == names


@each_version
def test_a_partition_is_chosen_by_its_profile(version: str) -> None:
    for request, profile in zip(devices_asked("mig", version)["requests"], PROFILES, strict=True):
        (selector,) = request.get("exactly", request)["selectors"]
        # A device without the attribute makes the second half a runtime error, which stops the scheduler.
        assert selector["cel"]["expression"] == (
            "'profile' in device.attributes['gpu.nvidia.com'] && "
            f"device.attributes['gpu.nvidia.com'].profile == '{profile}'"
        )
