"""The jark blueprint with the real provider, and the emulated AWS that it plans against."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from drakit.packaged import packaged
from drakit.stack.model import Stack
from drakit.targets.jark_variables import jark_variables
from drakit.terraform.tfvars import render_tfvars

PROVIDER = "registry.terraform.io/hashicorp/aws"
# Terraform's implied local mirrors, then wherever a machine keeps its software.
MIRRORS = ("~/.terraform.d/plugins", "~/.local/share/terraform/plugins", "/usr/share/terraform/plugins")
ROOTS = ("/opt", "/usr/local", "/usr/local/share", "/srv", "/var/lib", "/var/cache")
TEMPLATE = packaged("templates", "tfvars", "jark.tfvars.j2")
# Of nobody: the rehearsal asks only that they look like what they are.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAREHEARSAL0000000", "AWS_SECRET_ACCESS_KEY": "rehearsal"}


def unavailable(reason: str) -> NoReturn:
    """Skip, saying why; on a CI machine fail, for there nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def plugin_folder() -> Path | None:
    """Where the AWS provider lies on this machine, in the layout of a filesystem mirror."""
    if named := os.environ.get("DRAKIT_TF_PLUGIN_DIR"):
        return Path(named)
    mirrors = [Path(mirror).expanduser() for mirror in MIRRORS]
    mirrors += [folder for root in ROOTS for depth in ("*", "*/*") for folder in Path(root).glob(depth)]
    return next((mirror for mirror in mirrors if (mirror / PROVIDER).is_dir()), None)


@dataclass(frozen=True)
class Blueprint:
    """A copy of the blueprint, initialised. `endpoint`: where AWS is; nowhere by default."""

    executable: Path
    folder: Path
    endpoint: str = "http://127.0.0.1:9"

    def terraform(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Terraform in the copy."""
        return run_terraform(self.executable, self.folder, *arguments, AWS_ENDPOINT_URL=self.endpoint)

    def plan(self, stack: Stack, **values: Any) -> dict[str, Any]:
        """The plan for a new stack as JSON. `values`: variables in place of those that the stack has."""
        (self.folder / "blueprint.tfvars").write_text(render_stack(stack))
        (self.folder / "more.tfvars.json").write_text(json.dumps(values))
        planned = self.terraform(
            "plan", "-input=false", "-no-color", "-out=plan", "-var-file=blueprint.tfvars", "-var-file=more.tfvars.json"
        )
        assert planned.returncode == 0, planned.stdout + planned.stderr
        return json.loads(self.terraform("show", "-json", "plan").stdout)  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def executable() -> Path:
    """The real Terraform or OpenTofu: DRAKIT_TERRAFORM, or the one on PATH."""
    found = os.environ.get("DRAKIT_TERRAFORM") or shutil.which("terraform") or shutil.which("tofu")
    if not found:
        unavailable("neither terraform nor tofu is on PATH, and DRAKIT_TERRAFORM is not set")
    return Path(found)


@pytest.fixture(scope="session")
def initialised(executable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the blueprint with the real provider: found on this machine, or downloaded from the registry."""
    folder = tmp_path_factory.mktemp("jark") / "blueprint"
    shutil.copytree(packaged("blueprints", "jark"), folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    local = plugin_folder()
    options = [f"-plugin-dir={local}"] if local else []
    try:
        made = run_terraform(executable, folder, "init", "-input=false", "-no-color", *options)
    except subprocess.TimeoutExpired:
        unavailable("the AWS provider is not on this machine, and its registry did not answer in two minutes")
    if made.returncode:
        unavailable(f"the AWS provider cannot be had; DRAKIT_TF_PLUGIN_DIR may name its folder: {made.stderr.strip()}")
    return folder


@pytest.fixture
def blueprint(executable: Path, initialised: Path, tmp_path: Path) -> Blueprint:
    """A copy of the blueprint of the test's own, initialised, without AWS."""
    return _copy(executable, initialised, tmp_path / "blueprint")


@pytest.fixture(scope="module")
def rehearsed(
    executable: Path, initialised: Path, emulated_aws: str, tmp_path_factory: pytest.TempPathFactory
) -> Blueprint:
    """A copy of the blueprint for the tests of a module, which only plan, with the emulated AWS."""
    return _copy(executable, initialised, tmp_path_factory.mktemp("rehearsed") / "blueprint", emulated_aws)


@pytest.fixture(scope="session")
def emulated_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an emulated AWS, in a process of its own."""
    if importlib.util.find_spec("moto") is None:
        unavailable("the emulated AWS needs the extra drakit[rehearse], which is not installed")
    folder = tmp_path_factory.mktemp("aws")
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "drakit.rehearsal", "--port", "0", "--folder", str(folder / "clusters")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("Serving AWS at "), (folder / "log").read_text()
        yield line.removeprefix("Serving AWS at ").strip()
    finally:
        server.terminate()
        server.communicate(timeout=60)


def run_terraform(
    executable: Path, folder: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Terraform with an environment of ours alone, so that no configuration or credentials of the user get in."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TF_CLI_CONFIG_FILE": os.devnull,
        "CHECKPOINT_DISABLE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **CREDENTIALS,
        **variables,
    }
    return subprocess.run(
        [executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def render_stack(stack: Stack, **options: Any) -> str:
    """The variables that drakit writes for a stack."""
    return render_tfvars(TEMPLATE, {"stack": stack, **jark_variables(stack, **options)})


def _copy(executable: Path, initialised: Path, folder: Path, endpoint: str = Blueprint.endpoint) -> Blueprint:
    # Links: the provider alone has some 700 MB.
    shutil.copytree(initialised, folder, symlinks=True)
    return Blueprint(executable, folder, endpoint)
