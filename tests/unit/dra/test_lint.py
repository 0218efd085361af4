"""lint: every rule speaks where it should, and is silent about the same objects without the mistake."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drakit.dra.lint as package
from drakit.dra.devices import Device
from drakit.dra.findings import Finding
from drakit.dra.gates import FeatureGates, feature_gates
from drakit.dra.lint import Document, lint
from drakit.dra.strategies import STRATEGIES, Strategy, template_context
from drakit.manifests import render_manifests
from drakit.packaged import packaged

BOTH = feature_gates({"TimeSlicingSettings": True, "MPSSupport": True})
RULES = Path(__file__).resolve().parents[3] / "docs" / "lint.md"
Object = dict[str, Any]


def config(kind: str = "GpuConfig", sharing: object = None, requests: list[str] | None = None, **fields: Any) -> Object:
    parameters = {"apiVersion": "resource.nvidia.com/v1beta1", "kind": kind, **fields}
    if sharing is not None:
        parameters["sharing"] = sharing
    named = {} if requests is None else {"requests": requests}
    return {**named, "opaque": {"driver": "gpu.nvidia.com", "parameters": parameters}}


def request(name: str = "gpu", class_name: str = "gpu.nvidia.com", cel: str | None = None, **fields: Any) -> Object:
    exactly = {"deviceClassName": class_name, **fields}
    if cel is not None:
        exactly["selectors"] = [{"cel": {"expression": cel}}]
    return {"name": name, "exactly": exactly}


def claim(
    *configs: Object,
    requests: list[Object] | None = None,
    version: str = "v1",
    name: str = "shared",
    namespace: str = "x",
    **devices: Any,
) -> Object:
    return {
        "apiVersion": f"resource.k8s.io/{version}",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "devices": {"requests": [request()] if requests is None else requests, "config": list(configs), **devices}
        },
    }


def template(obj: Object) -> Object:
    return {**obj, "kind": "ResourceClaimTemplate", "spec": {"spec": obj["spec"]}}


def pod(name: str = "pod", namespace: str = "x", uses: Object | None = None, **fields: Any) -> Object:
    entry = {"name": "gpu", **({"resourceClaimName": "shared"} if uses is None else uses)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "resourceClaims": [entry],
            "containers": [{"name": "ctr", "resources": {"claims": [{"name": "gpu"}]}}],
            **fields,
        },
    }


def container(name: str = "ctr", claims: list[Object] | None = None, **fields: Any) -> Object:
    given = [{"name": "gpu"}] if claims is None else claims
    return {"name": name, "resources": {"claims": given, **fields.pop("resources", {})}, **fields}


def found(*objects: Any, gates: FeatureGates = BOTH) -> tuple[Finding, ...]:
    return lint("a.yaml", [Document(obj) for obj in objects], gates)


def rules(*objects: Any, gates: FeatureGates = BOTH) -> list[tuple[str, str]]:
    return [(finding.level, finding.rule) for finding in found(*objects, gates=gates)]


MPS, SLICING = {"strategy": "MPS"}, {"strategy": "TimeSlicing"}
EMPTY_SLICING = {"strategy": "TimeSlicing", "timeSlicingConfig": {}}
MIG = request("part", "mig.nvidia.com")
EITHER = {
    "name": "req",
    "firstAvailable": [
        {"name": "big", "deviceClassName": "gpu.nvidia.com"},
        {"name": "small", "deviceClassName": "mig.nvidia.com"},
    ],
}


def memory(quantity: str, operator: str = ">=") -> str:
    return f"device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('{quantity}')) {operator} 0"


def attribute(name: str, value: str) -> str:
    return f"device.attributes['gpu.nvidia.com'].{name} == '{value}'"


def mps(**limits: Any) -> Object:
    return config(sharing={"strategy": "MPS", "mpsConfig": limits})


def device_class(name: str, cel: str, *configs: Object) -> Object:
    selectors = [{"cel": {"expression": cel}}]
    spec = {"selectors": selectors, "config": list(configs)}
    return {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": name}, "spec": spec}


def deployment(replicas: int, uses: Object) -> Object:
    spec = pod(uses=uses)["spec"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "x"},
        "spec": {"replicas": replicas, "template": {"spec": spec}},
    }


TEMPLATE = {"resourceClaimTemplateName": "shared"}

# Rule, level, what the message must hold, and the objects. What is right about them is in GOOD.
SPEAKS: list[tuple[str, str, str, list[Any]]] = [
    ("wrong-type", "error", "a mapping, not a list", [[]]),
    ("wrong-type", "error", "kind is missing", [{"apiVersion": "v1"}]),
    ("wrong-type", "error", "requests must be a list, not a mapping", [claim(requests={})]),  # type: ignore[arg-type]
    ("wrong-type", "error", "deviceClassName must be a text, not a number", [claim(requests=[request(class_name=5)])]),  # type: ignore[arg-type]
    ("nothing", "info", "nothing was checked", [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}]),
    ("api-version", "error", "v1alpha3", [claim(version="v1alpha3")]),
    ("template-spec", "error", "spec.spec.devices", [{**claim(), "kind": "ResourceClaimTemplate"}]),
    ("template-spec", "error", "ResourceClaimTemplate", [{**template(claim()), "kind": "ResourceClaim"}]),
    ("request-name", "error", "Required value", [claim(requests=[request("")])]),
    ("request-name", "error", "already", [claim(requests=[request(), request()])]),
    (
        "request-shape",
        "error",
        'unknown field "spec.devices.requests[0].deviceClassName"',
        [claim(requests=[{"name": "gpu", "deviceClassName": "gpu.nvidia.com"}])],
    ),
    (
        "request-shape",
        "error",
        'unknown field "spec.spec.devices.requests[0].exactly"',
        [template(claim(version="v1beta1"))],
    ),
    ("request-shape", "error", "exactly one of", [claim(requests=[{"name": "gpu"}])]),
    (
        "request-shape",
        "error",
        "deviceClassName, or firstAvailable",
        [claim(requests=[{"name": "g"}], version="v1beta1")],
    ),
    ("request-shape", "error", "here are both", [claim(requests=[request() | EITHER])]),
    ("device-class", "error", "is missing", [claim(requests=[{"name": "gpu", "exactly": {}}])]),
    (
        "device-class",
        "warning",
        "did you mean gpu.nvidia.com?",
        [claim(requests=[request(class_name="gpus.nvidia.com")])],
    ),
    (
        "request-reference",
        "error",
        "must be the name of a request in the claim",
        [claim(config(requests=["other"]))],
    ),
    ("request-reference", "error", "its requests: gpu", [claim(constraints=[{"requests": ["other"]}])]),
    (
        "match-attribute",
        "error",
        "have no attribute gpu.nvidia.com/parentUUID",
        [claim(constraints=[{"requests": ["gpu"], "matchAttribute": "gpu.nvidia.com/parentUUID"}])],
    ),
    (
        "config",
        "error",
        "object at spec.devices.config[0].opaque.parameters is invalid: unknown GPU sharing strategy: mps, supported "
        "GPU sharing strategies: TimeSlicing, MPS",
        [claim(config(sharing={"strategy": "mps"}))],
    ),
    (
        "config",
        "error",
        "error decoding object at spec.spec.devices.config[1].opaque.parameters: strict decoding error: unknown field "
        '"metadata", unknown field "sharing.intervall"',
        [template(claim(config(), config(sharing=SLICING | {"intervall": "Short"}, metadata={"name": "a"})))],
    ),
    (
        "config",
        "error",
        "expected a recognized configuration type at spec.devices.config[0].opaque.parameters but got: "
        "*v1beta1.ComputeDomain",
        [claim(config("ComputeDomain"))],
    ),
    ("config", "error", "parameters must be an object", [claim({"opaque": {"driver": "gpu.nvidia.com"}})]),
    (
        "config",
        "error",
        "error validating GPU config: unknown time-slice interval",
        [device_class("c", "true", config(sharing=SLICING | {"timeSlicingConfig": {"interval": "x"}}))],
    ),
    ("config-panic", "error", "crashes the kubelet plugin", [claim(config(sharing=EMPTY_SLICING))]),
    ("config-driver", "warning", "ignores", [claim({"opaque": {**config()["opaque"], "driver": "nvidia.com"}})]),
    (
        "config-type",
        "error",
        'cannot apply GpuConfig to device … of type "mig" (request: part)',
        [claim(config(requests=["part"]), requests=[MIG])],
    ),
    (
        "config-type",
        "error",
        'cannot apply MigDeviceConfig to device … of type "gpu" (request: gpu)',
        [claim(config("MigDeviceConfig", requests=["gpu"]))],
    ),
    (
        "config-type",
        "error",
        'of type "mig"',
        [device_class("mine", "device.attributes['gpu.nvidia.com'].type == 'mig'", config())],
    ),
    (
        "config-type",
        "error",
        'of type "mig" (request: part)',
        [
            claim(config(requests=["part"]), requests=[request("part", "mine")]),
            device_class(
                "mine", "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'mig'"
            ),
        ],
    ),
    ("config-skipped", "warning", "silently skipped", [claim(config(sharing=MPS), requests=[MIG])]),
    ("config-skipped", "warning", "of type mig", [claim(config("MigDeviceConfig"))]),
    ("config-subrequest", "warning", "req/big", [claim(config(requests=["req"]), requests=[EITHER])]),
    ("config-overridden", "warning", "the last one wins", [claim(config(sharing=MPS), config(sharing=SLICING))]),
    (
        "config-prepare",
        "error",
        "cannot use MpsConfig with the 'TimeSlicing' strategy",
        [claim(config(sharing=SLICING | {"mpsConfig": {}}))],
    ),
    (
        "config-prepare",
        "error",
        "cannot use TimeSlicingConfig with the 'MPS' strategy",
        [claim(config(sharing=MPS | {"timeSlicingConfig": {"interval": "never"}}))],
    ),
    (
        "config-prepare",
        "error",
        "not a recognized configuration: ComputeDomainChannelConfig is for compute-domain.nvidia.com",
        [claim(config("ComputeDomainChannelConfig", domainID="x"))],
    ),
    (
        "config-vfio",
        "warning",
        "the webhook",
        [claim(config("VfioDeviceConfig"), requests=[request(class_name="vfio.gpu.nvidia.com")])],
    ),
    ("mps-limit", "error", "default value set too low: 1023Ki", [claim(mps(defaultPinnedDeviceMemoryLimit="1023Ki"))]),
    ("mps-limit", "error", "default value set too low: -1Gi", [claim(mps(defaultPinnedDeviceMemoryLimit="-1Gi"))]),
    ("mps-limit", "error", "set too low: 0: 5", [claim(mps(defaultPerDevicePinnedMemoryLimit={"0": 5}))]),
    (
        "mps-limit",
        "error",
        "invalid device: invalid device index: 1",
        [claim(mps(defaultPerDevicePinnedMemoryLimit={"1": "1Gi"}))],
    ),
    (
        "mps-limit",
        "error",
        "unable to parse key as an integer: first",
        [claim(mps(defaultPerDevicePinnedMemoryLimit={"first": "1Gi"}))],
    ),
    (
        "mps-limit",
        "warning",
        "for one device",
        [claim(mps(defaultPerDevicePinnedMemoryLimit={"GPU-18db0e85": "1Gi"}))],
    ),
    ("mig-time-slicing", "info", "does nothing", [claim(config("MigDeviceConfig", SLICING), requests=[MIG])]),
    (
        "unsatisfiable",
        "error",
        "has memory of 24Gi: NVIDIA L4 has 23034Mi",
        [claim(requests=[request(cel=f"{attribute('productName', 'NVIDIA L4')} && {memory('24Gi')}")])],
    ),
    (
        "unsatisfiable",
        "warning",
        "1g.10gb of NVIDIA A100-SXM4-80GB has 9728Mi",
        [claim(requests=[request("part", "mig.nvidia.com", f"{attribute('profile', '1g.10gb')} && {memory('10Gi')}")])],
    ),
    ("unsatisfiable", "warning", "has memory of 200Gi", [claim(requests=[request(cel=memory("200Gi", ">"))])]),
    ("unsatisfiable", "warning", "satisfies this", [claim(requests=[request(cel=attribute("architecture", "Volta"))])]),
    ("nearly", "warning", "NVIDIA L4 has 23034Mi", [claim(requests=[request(cel=memory("24Gi"))])]),
    (
        "unknown-profile",
        "warning",
        "did you mean 1g.5gb?",
        [claim(requests=[request("part", "mig.nvidia.com", attribute("profile", "1g.5g"))])],
    ),
    (
        "unknown-product",
        "warning",
        'published as "NVIDIA L4"',
        [claim(requests=[request(cel=attribute("productName", "NVIDIA-L4"))])],
    ),
    (
        "missing-attribute",
        "error",
        "no such key: profile",
        [claim(requests=[request(cel=attribute("profile", "1g.5gb"))])],
    ),
    (
        "missing-attribute",
        "error",
        "no such key: index",
        [claim(requests=[request(cel="device.attributes['gpu.nvidia.com'].index == 0")])],
    ),
    ("pod-claim", "error", "must specify one of", [pod(uses={})]),
    ("pod-claim", "error", "at most one of", [pod(uses=TEMPLATE | {"resourceClaimName": "shared"}), claim()]),
    ("pod-claim", "error", "1.30", [pod(uses={"source": {"resourceClaimName": "shared"}})]),
    (
        "pod-claim",
        "error",
        "already",
        [claim(), pod(resourceClaims=[{"name": "gpu", "resourceClaimName": "shared"}] * 2)],
    ),
    (
        "claim-unknown",
        "error",
        "not in the pod's",
        [claim(), pod(containers=[container(), container("b", [{"name": "z"}])])],
    ),
    ("claim-unused", "warning", "no container names", [claim(), pod(containers=[{"name": "ctr"}])]),
    (
        "claim-request",
        "error",
        'no request "gpus" (gpu)',
        [claim(), pod(containers=[container(claims=[{"name": "gpu", "request": "gpus"}])])],
    ),
    ("claim-namespace", "error", "is in namespace y", [claim(namespace="y"), pod()]),
    ("claim-kind", "error", "name it by resourceClaimTemplateName", [template(claim()), pod()]),
    ("claim-kind", "error", "name it by resourceClaimName", [claim(), pod(uses=TEMPLATE)]),
    ("claim-elsewhere", "info", "is not in this stream", [pod(uses={"resourceClaimName": "other"})]),
    (
        "device-plugin",
        "warning",
        "this pod has claims too",
        [claim(), pod(containers=[container(resources={"limits": {"nvidia.com/gpu": 1}})])],
    ),
    (
        "device-plugin",
        "warning",
        "stays Pending",
        [pod(resourceClaims=[], containers=[container(claims=[], resources={"limits": {"nvidia.com/mig-1g.5gb": 1}})])],
    ),
    (
        "template-shared",
        "warning",
        "sets TimeSlicing, and 2 pods use it",
        [template(claim(config(sharing=SLICING))), pod("a", uses=TEMPLATE), pod("b", uses=TEMPLATE)],
    ),
    ("template-shared", "warning", "3 pods", [template(claim(config(sharing=MPS))), deployment(3, TEMPLATE)]),
    ("claim-consumers", "error", "256 at most", [claim(), deployment(257, {"resourceClaimName": "shared"})]),
    (
        "mps-users",
        "warning",
        "1000, 2000",
        [
            claim(config(sharing=MPS)),
            pod("a", securityContext={"runAsUser": 1000}),
            pod("b", containers=[container(securityContext={"runAsUser": 2000})]),
        ],
    ),
]

GOOD: list[list[Any]] = [
    [claim()],
    [claim(version="v1beta2")],
    [claim(version="v1beta1", requests=[{"name": "gpu", "deviceClassName": "gpu.nvidia.com"}])],
    [template(claim())],
    [claim(requests=[EITHER])],
    [claim(config(requests=["req/big"]), requests=[EITHER])],
    [claim(config(sharing=MPS, requests=["gpu"]))],
    [claim(config(sharing=SLICING))],
    [claim(config("MigDeviceConfig", MPS), requests=[MIG])],
    [claim(config(sharing=MPS), config("MigDeviceConfig", MPS), requests=[request(), MIG])],
    [claim(config(sharing=MPS, requests=["gpu"]), config(requests=["b"]), requests=[request(), request("b")])],
    [claim({"opaque": {"driver": "example.com", "parameters": {"any": "thing"}}})],
    [
        claim(
            {
                "opaque": {
                    **config("ComputeDomainChannelConfig", domainID="x")["opaque"],
                    "driver": "compute-domain.nvidia.com",
                }
            }
        )
    ],
    [claim(mps(defaultPinnedDeviceMemoryLimit="10Gi", defaultPerDevicePinnedMemoryLimit={"0": "1Mi"}))],
    [claim(mps(defaultPerDevicePinnedMemoryLimit={"1": "1Gi"}), requests=[request(count=2)])],
    [claim(mps(defaultPerDevicePinnedMemoryLimit={"7": "1Gi"}), requests=[request(allocationMode="All")])],
    # 50.0 is 50 once kubectl has made JSON of it.
    [claim(mps(defaultActiveThreadPercentage=50.0))],
    [claim(requests=[MIG], constraints=[{"requests": [], "matchAttribute": "gpu.nvidia.com/parentUUID"}])],
    [claim(constraints=[{"requests": ["gpu"], "matchAttribute": "example.com/any"}])],
    [claim(requests=[request(class_name="my-own-class")])],
    [claim(requests=[request(cel=memory("20Gi"))])],
    [claim(requests=[request(cel=f"{attribute('productName', 'NVIDIA L4')} && {memory('23034Mi')}")])],
    # What is not recognised is not judged.
    [claim(requests=[request(cel=f"{memory('24Gi')} || {memory('1Gi')}")])],
    [claim(requests=[request(cel="device.attributes['gpu.nvidia.com'].index in [0, 1]")])],
    [claim(requests=[request(cel=attribute("productName", "NVIDIA H100 80GB HBM3"))])],
    [claim(requests=[request("part", "mig.nvidia.com", attribute("profile", "1g.10gb"))])],
    # Not a partition: false hides what is missing, on either side.
    [claim(requests=[request(class_name="any", cel=attribute("profile", "1g.5gb"))])],
    [claim(), pod()],
    [claim(), pod("a"), pod("b")],
    [claim(namespace=""), pod()],
    [template(claim()), pod("a", uses=TEMPLATE), pod("b", uses=TEMPLATE)],
    [template(claim(config(sharing=MPS))), pod("a", uses=TEMPLATE)],
    [claim(requests=[EITHER]), pod(containers=[container(claims=[{"name": "gpu", "request": "req"}])])],
    [claim(), pod(containers=[{"name": "a"}], initContainers=[container()])],
    [claim(), pod(containers=[container(resources={"limits": {"cpu": "1"}})])],
    [
        claim(config(sharing=MPS)),
        pod("a", securityContext={"runAsUser": 0}),
        pod("b", securityContext={"runAsUser": 0}),
    ],
    [claim(), deployment(256, {"resourceClaimName": "shared"})],
    [{"kind": "List", "apiVersion": "v1", "items": [claim(), pod()]}],
    [device_class("c", "device.driver == 'example.com'"), None],
]


@pytest.mark.parametrize(
    ("rule", "level", "message", "objects"), SPEAKS, ids=[f"{r}-{m[:24]}" for r, _, m, _ in SPEAKS]
)
def test_a_rule_speaks(rule: str, level: str, message: str, objects: list[Any]) -> None:
    said = [finding for finding in found(*objects) if finding.rule == rule]
    assert [finding.level for finding in said if message in finding.message] == [level]


@pytest.mark.parametrize("objects", GOOD, ids=range(len(GOOD)))
def test_nothing_is_said_about_what_is_right(objects: list[Any]) -> None:
    assert found(*objects) == ()


def rules_of_the_source() -> set[str]:
    text = "".join(path.read_text() for path in Path(package.__file__).parent.glob("*.py"))
    calls = re.findall(r'(?:error|warning|info|unsatisfiable\w*|\))\(\s*"([a-z-]+)"', text)
    return {*calls, *re.findall(r'say\(\s*"\w+",\s*"([a-z-]+)"', text)}


def test_every_rule_is_tested() -> None:
    tested = {rule for rule, *_ in SPEAKS} | {"mps-exclusive", "duplicate-field"}
    assert rules_of_the_source() == tested


def test_every_rule_is_documented() -> None:
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", RULES.read_text(), re.MULTILINE)) == sorted(rules_of_the_source())


def test_a_finding_says_where() -> None:
    document = Document(
        {"kind": "List", "items": [claim(config(sharing={"strategy": "x"}))]},
        {(): 1, ("items", 0): 3, ("items", 0, "spec", "devices", "config", 0): 20},
    )
    (finding,) = [each for each in lint("b.yaml", [document], BOTH) if each.rule == "config"]
    assert (finding.file, finding.object) == ("b.yaml", "ResourceClaim x/shared")
    assert (finding.path, finding.line) == ("spec.devices.config[0].opaque.parameters", 20)


def test_a_field_that_is_there_twice() -> None:
    document = Document(claim(), {("spec", "devices"): 7}, (("spec", "devices"),))
    (finding,) = lint("a.yaml", [document], BOTH)
    assert (finding.rule, finding.level, finding.line) == ("duplicate-field", "warning", 7)


def test_gates_decide() -> None:
    shared = claim(config(sharing=MPS))
    assert rules(shared) == []
    assert rules(shared, gates=feature_gates({"MPSSupport": True})) == [("warning", "mps-exclusive")]
    assert rules(shared, gates=feature_gates({"MPSSupport": True}, "0.4.0")) == []
    (finding,) = found(shared, gates=feature_gates())
    assert '"MPS" is selected as the GPU sharing strategy, but the "MPSSupport" feature gate is not' in finding.message


def test_the_version_decides() -> None:
    index = claim(requests=[request(cel="device.attributes['gpu.nvidia.com'].index == 0")])
    assert rules(index, gates=feature_gates({}, "25.3.2")) == []
    assert rules(index, gates=feature_gates({}, "25.8.0")) == [("error", "missing-attribute")]


@pytest.mark.parametrize(
    "kind", ["ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job", "CronJob", "Deployment"]
)
def test_pods_in_whatever_makes_them(kind: str) -> None:
    inner: Object = {"template": {"spec": pod(uses={})["spec"]}}
    spec = {"jobTemplate": {"spec": inner}} if kind == "CronJob" else inner
    (finding,) = found({"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec})
    assert finding.rule == "pod-claim"
    assert finding.path.endswith("template.spec.resourceClaims[0]")
    assert finding.path.startswith("spec.jobTemplate" if kind == "CronJob" else "spec.template")


@pytest.mark.parametrize(
    ("cel", "small"),
    [
        (memory("40Gi"), True),
        (f"({memory('40Gi')})", True),
        (memory("40Gi").replace("'", '"'), True),
        ("quantity('40Gi').compareTo(device.capacity['gpu.nvidia.com'].memory) <= 0", True),
        ("device.capacity['gpu.nvidia.com'].memory.isGreaterThan(quantity('39Gi'))", True),
        (f"true && {memory('40Gi')}", True),
        (memory("40Gi", "<"), False),
        ("device.capacity['gpu.nvidia.com'].memory.isLessThan(quantity('40Gi'))", False),
        (f"!({memory('40Gi')})", False),
        (f"{memory('40Gi')} ? true : false", False),
        ("device.attributes['gpu.nvidia.com'].uuid == '&& x'", False),
        (memory("forty"), False),
    ],
)
def test_forms_of_expressions(cel: str, small: bool) -> None:
    product = attribute("productName", "NVIDIA L4")
    said = rules(claim(requests=[request(cel=f"{product} && {cel}")]))
    assert (("error", "unsatisfiable") in said) is small


@pytest.mark.parametrize(
    ("cel", "holds"),
    [
        ("device.attributes['gpu.nvidia.com'].productName.lowerAscii().contains('a100')", True),
        ("device.attributes['gpu.nvidia.com'].productName.contains('a100')", False),
        ("device.attributes['gpu.nvidia.com'].productName.startsWith('NVIDIA A100')", True),
        ("device.attributes['gpu.nvidia.com'].productName.endsWith('-40GB')", True),
        ("device.attributes['gpu.nvidia.com'].productName != 'NVIDIA L4'", True),
        ("'Ampere' == device.attributes['gpu.nvidia.com'].architecture", True),
        ("device.driver == 'other.com'", False),
        ("'profile' in device.attributes['gpu.nvidia.com']", False),
    ],
)
def test_expressions_that_some_gpu_satisfies(cel: str, holds: bool) -> None:
    assert (rules(claim(requests=[request(cel=cel)])) == []) is holds


def test_a_guard_hides_what_is_missing() -> None:
    guard = "'profile' in device.attributes['gpu.nvidia.com']"
    said = rules(claim(requests=[request(cel=f"{guard} && {attribute('profile', '1g.5gb')}")]))
    assert said == [("warning", "unsatisfiable")]


@pytest.mark.parametrize("version", ["v1", "v1beta2", "v1beta1"])
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)
def test_the_demos_are_clean(strategy: Strategy, version: str) -> None:
    partitions = [
        Device("n1", profile, "mig", None, memory, f"MIG-{profile}", profile, "GPU-1")
        for profile, memory in (("3g.20gb", "19968Mi"), ("2g.10gb", "9856Mi"), ("1g.5gb", "4864Mi"))
    ]
    context = template_context(strategy, f"resource.k8s.io/{version}", partitions, workload="")
    manifests = render_manifests(packaged("templates", "demos", strategy.template), context)
    assert found(*manifests) == ()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


WRONG = st.sampled_from(
    [None, 0, -1, 1.5, True, "", "x", "24Gi", [], {}, [None], [[]], ["x"], {"x": None}, {"name": 1}]
)
STREAM = [
    template(
        claim(mps(defaultPerDevicePinnedMemoryLimit={"0": "1Gi"}), requests=[request(cel=memory("24Gi")), EITHER])
    ),
    claim(config("MigDeviceConfig", MPS, requests=["part"]), requests=[MIG], constraints=[{"requests": ["part"]}]),
    deployment(2, TEMPLATE),
    pod(initContainers=[container(resources={"limits": {"nvidia.com/gpu": 1}})], securityContext={"runAsUser": 1}),
    device_class("c", attribute("type", "mig"), config()),
]
PLACES = list(places(STREAM))[1:]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), WRONG), min_size=1, max_size=4))
def test_no_manifest_is_too_wrong(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    stream = copy.deepcopy(STREAM)
    for path, value in changes:
        part: Any = stream
        for key in path[:-1]:
            if not isinstance(part, dict | list) or (isinstance(part, dict) and key not in part):
                break
            if isinstance(part, list) and not (isinstance(key, int) and key < len(part)):
                break
            part = part[key]
        else:
            if isinstance(part, dict) or (
                isinstance(part, list) and isinstance(path[-1], int) and path[-1] < len(part)
            ):
                part[path[-1]] = copy.deepcopy(value)
    for finding in found(*stream):
        assert finding.message
        assert finding.level in ("error", "warning", "info")
