"""`drakit lint`: what it reads, what it assumes, and how it ends."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from drakit.cli.app import run
from tests.conftest import Drakit

CLAIM = """\
apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: shared, namespace: x}
spec:
  devices:
    requests:
    - name: gpu
      exactly: {deviceClassName: gpu.nvidia.com}
    config:
    - opaque:
        driver: gpu.nvidia.com
        parameters:
          apiVersion: resource.nvidia.com/v1beta1
          kind: GpuConfig
          sharing: {strategy: MPS}
"""
BAD = CLAIM.replace("strategy: MPS", "strategy: mps")
UNKNOWN = "unknown GPU sharing strategy: mps, supported GPU sharing strategies: TimeSlicing, MPS"
Start = Callable[..., "subprocess.Popen[str]"]


def test_a_good_file(folder: Path, drakit: Drakit) -> None:
    (folder / "a.yaml").write_text(CLAIM)
    outcome = drakit("lint", "a.yaml")
    assert outcome.status == 0
    assert outcome.result["findings"] == []
    assert (outcome.result["file"], outcome.result["driver"]) == ("a.yaml", "0.4.1")
    assert {"MPSSupport", "TimeSlicingSettings"} <= set(outcome.result["featureGates"])
    assert [path.name for path in folder.iterdir()] == ["a.yaml"]


def test_an_error_is_told_with_its_place(folder: Path, drakit: Drakit) -> None:
    (folder / "a.yaml").write_text(f"---\n# nothing\n---\n{BAD}")
    outcome = drakit("lint", "a.yaml")
    assert outcome.status == outcome.document["exitCode"] == 2
    assert (outcome.error["code"], outcome.error["message"]) == ("lint", "a.yaml: 1 error found.")
    where = "spec.devices.config[0].opaque.parameters"
    assert outcome.result["findings"] == [
        {
            "file": "a.yaml",
            "object": "ResourceClaim x/shared",
            "path": where,
            "level": "error",
            "message": f"object at {where} is invalid: {UNKNOWN}",
            "rule": "config",
            "line": 15,
        }
    ]


def test_for_people(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "a.yaml").write_text(BAD)
    assert run(["lint", "a.yaml"]) == 2
    said = capfd.readouterr()
    first, path, *message, last = said.out.splitlines()
    assert first == "a.yaml:12: error: ResourceClaim x/shared [config]"
    assert path == "  spec.devices.config[0].opaque.parameters"
    assert " ".join(line.strip() for line in message).endswith(f"is invalid: {UNKNOWN}")
    assert max(map(len, said.out.splitlines())) <= 80
    assert last == "1 error; driver 0.4.1, feature gates: MPSSupport, TimeSlicingSettings"
    assert said.err.startswith("error: a.yaml: 1 error found.")


def test_warnings_are_no_failure(folder: Path, drakit: Drakit, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "a.yaml").write_text(CLAIM + "          sharing: {strategy: TimeSlicing}\n")
    outcome = drakit("lint", "a.yaml")
    assert outcome.status == 0
    assert [finding["rule"] for finding in outcome.result["findings"]] == ["duplicate-field"]
    assert run(["lint", "a.yaml"]) == 0
    assert "1 warning; driver" in capfd.readouterr().out


def test_gates_and_version_are_the_stacks(folder: Path, drakit: Drakit) -> None:
    (folder / "a.yaml").write_text(CLAIM)
    (folder / "drakit.yaml").write_text("gpu: {draDriver: {version: 25.12.0, featureGates: {MPSSupport: false}}}\n")
    outcome = drakit("lint", "a.yaml")
    assert (outcome.status, outcome.result["driver"]) == (2, "25.12.0")
    assert outcome.result["findings"][0]["message"].endswith("is invalid: unknown GPU sharing strategy: MPS")
    (folder / "other.yaml").write_text(
        "gpu: {draDriver: {featureGates: {MPSSupport: true, TimeSlicingSettings: true}}}\n"
    )
    assert drakit("lint", "a.yaml", "-f", "other.yaml").status == 0


def test_gates_and_version_by_option(folder: Path, drakit: Drakit) -> None:
    (folder / "a.yaml").write_text(CLAIM)
    assert drakit("lint", "a.yaml", "--gates", "TimeSlicingSettings=true").status == 2
    assert drakit("lint", "a.yaml", "--gates", "MPSSupport=true", "--driver", "v0.4.0").result["findings"] == []
    assert drakit("lint", "a.yaml", "--gates", "", "--driver", "25.3.2").status == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--gates", "MpsSupport=true"], "invalid-gates", "unrecognized feature gate: MpsSupport"),
        (["--gates", "MPSSupport"], "invalid-gates", "missing bool value for MPSSupport"),
        (["--gates", "MPSSupport=maybe"], "invalid-gates", "invalid value of MPSSupport=maybe"),
        (["--gates", "MPSSupport=true,DynamicMIG=true"], "invalid-gates", "DynamicMIG is currently mutually exclusive"),
        (["--gates", "DeviceMetadata=false", "--driver", "25.12.0"], "invalid-gates", "unrecognized feature gate"),
        (["--driver", "0.4.2"], "unknown-driver-version", "did you mean 0.4.1?"),
    ],
)
def test_a_driver_that_would_not_start(folder: Path, drakit: Drakit, options: list[str], code: str, said: str) -> None:
    (folder / "a.yaml").write_text(CLAIM)
    outcome = drakit("lint", "a.yaml", *options)
    assert (outcome.status, outcome.error["code"], outcome.result) == (2, code, {})
    assert said in outcome.error["message"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.yaml is empty: there are no objects in it."),
        (b"# only this\n---\n---\n", "a.yaml is empty"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "a.yaml is a binary file"),
        (b"\x89PNG\r\n\x1a\n", "a.yaml:1: the byte 0x89 is no UTF-8 text"),
        ("kind: x".encode("utf-16"), "is no UTF-8 text"),
        (b"x" * (2**20 + 1), "a.yaml is larger than 1 MiB."),
        (b"a: b: c\n", "a.yaml:1: mapping values are not allowed here"),
        (b"a:\n\t- b\n", "a.yaml:2: a tab stands where spaces must"),
        (b"a: [1,\n", "a.yaml:2: "),
        (b'{"a": 1,}}', "a.yaml:1: "),
        (b"a: *b\n", "a.yaml:1: there is no anchor &b"),
        (b"a: &a [*a]\n", "a.yaml:1: there is no anchor &a"),
        (b"? [a]\n: b\n", "a.yaml:1: a key must be a word"),
        (b"a: \x01\n", "a.yaml:1: the character U+0001 may not stand in YAML"),
        (b'"\\ud800"\n---\n', "a.yaml"),
        (b"[" * 5000, "a.yaml:1: "),
        (b"a: " + b"[" * 100 + b"]" * 100, "a.yaml:1: it is nested deeper than 64 levels"),
        (b"a: [" + b"1," * 100_001 + b"]", "a.yaml:1: it has more than 100000 parts"),
        (
            b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 10)) for c in range(98, 106)),
            "parts",
        ),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_is_no_manifest(folder: Path, drakit: Drakit, content: bytes, said: str) -> None:
    (folder / "a.yaml").write_bytes(content)
    outcome = drakit("lint", "a.yaml")
    if outcome.error["code"] != "lint":  # valid YAML may still be no object
        assert (outcome.status, outcome.error["code"]) == (2, "unreadable-manifest")
        assert outcome.error["hint"]
    assert said in outcome.error["message"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuch.yaml", "There is no file nosuch.yaml."),
        ("", "There is no file ."),
        (".", "it is a folder; `cat FOLDER/*.yaml | drakit lint -`"),
        ("/dev/zero", "/dev/zero cannot be read: it is a device, not a file."),
        ("/dev/null", "it is a device, not a file"),
        ("a\0b", "cannot be read: embedded null byte"),
        ("x" * 300, "File name too long"),
        ("loop", "Too many levels of symbolic links"),
    ],
    ids=repr,
)
def test_a_file_that_cannot_be_read(folder: Path, drakit: Drakit, name: str, said: str) -> None:
    (folder / "loop").symlink_to("loop")
    outcome = drakit("lint", name)
    assert (outcome.status, outcome.error["code"]) == (2, "unreadable-manifest")
    assert said in outcome.error["message"]


def test_without_a_file(folder: Path, drakit: Drakit) -> None:
    outcome = drakit("lint")
    assert outcome.status == 2
    assert "FILE|-" in outcome.error["message"]


def test_standard_input(folder: Path) -> None:
    read, write = os.pipe()
    os.write(write, BAD.encode())
    os.close(write)
    saved = os.dup(0)
    os.dup2(read, 0)
    try:
        assert run(["lint", "-", "-o", "json"]) == 2
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(read)


def test_a_pipe_that_says_nothing_can_be_interrupted(folder: Path, drakit_process: Start) -> None:
    os.mkfifo(folder / "pipe")
    process = drakit_process("lint", "pipe")
    try:
        # It opens once drakit reads from it.
        with (folder / "pipe").open("w"):
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert json.loads(said)["error"]["code"] == "interrupted"


@pytest.mark.parametrize("suffix", ["", "\n", f"\n{json.dumps({'apiVersion': 'v1', 'kind': 'Namespace'})}\n"])
def test_json(folder: Path, drakit: Drakit, suffix: str) -> None:
    obj = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "a"}, "spec": {"spec": {}}}
    (folder / "a.json").write_text(json.dumps(obj, indent="\t") + suffix)
    outcome = drakit("lint", "a.json")
    assert [finding["rule"] for finding in outcome.result["findings"]] == ["template-spec"]


def test_yaml_as_kubectl_reads_it(folder: Path, drakit: Drakit) -> None:
    text = """\
apiVersion: v1
kind: List
items:
- &claim
  apiVersion: resource.k8s.io/v1
  kind: ResourceClaim
  metadata: {name: 2024-01-01}
  spec: &spec
    devices:
      requests: [{name: "gpu", exactly: {deviceClassName: gpu.nvidia.com, count: 010}}]
      config:
      - opaque:
          driver: gpu.nvidia.com
          parameters:
            <<: {apiVersion: resource.nvidia.com/v1beta1, kind: MigDeviceConfig}
            kind: GpuConfig
            sharing:
              strategy: MPS
              mpsConfig: {defaultPerDevicePinnedMemoryLimit: {7: 1e9, 8: 1Gi}, defaultActiveThreadPercentage: on}
- <<: *claim
  metadata: {name: second}
  spec: *spec
"""
    (folder / "a.yaml").write_text(text)
    messages = [finding["message"] for finding in drakit("lint", "a.yaml").result["findings"]]
    bool_for_int = (
        "cannot unmarshal bool into Go struct field MpsConfig.sharing.mpsConfig.defaultActiveThreadPercentage"
    )
    assert [bool_for_int in message for message in messages] == [True, True]
    (folder / "a.yaml").write_text(text.replace(": on}", ": 50.0}"))
    findings = drakit("lint", "a.yaml").result["findings"]
    # 010 is eight, as it is to Go's YAML: 7 is an index of it, 8 is none.
    assert [finding["message"].partition(";")[0] for finding in findings] == [
        "invalid device: invalid device index: 8"
    ] * 2
    assert [finding["object"] for finding in findings] == ["ResourceClaim 2024-01-01", "ResourceClaim second"]
