"""What a stack is made from: the target's blueprint, or a folder of the user's own.

Such a folder is no module of drakit's: it is copied as it is and given those of the blueprint jark's variables that it
declares. What drakit cannot do without, and what would be ignored without a word, is refused before the work.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from drakit.engine.files import file_errors
from drakit.errors import UsageError
from drakit.packaged import packaged
from drakit.stack.model import Stack

REQUIRED = ("name", "region", "eks_cluster_version", "tags", "node_groups")
"""The variables that a blueprint for EKS must declare: without them drakit finds neither the cluster nor its nodes."""
MOST_BYTES = 10 * 2**20
"""As much as a blueprint may have: modules and templates are small, and a folder named by mistake is not."""

_Asked = Callable[[Stack], bool]

FIELDS: Mapping[str, tuple[str, _Asked]] = {
    "vpc_cidr": ("aws.vpcCidr", lambda stack: "vpc_cidr" in stack.aws.model_fields_set),
    "availability_zones_count": ("aws.availabilityZones", lambda s: "availability_zones" in s.aws.model_fields_set),
    "cluster_endpoint_public_access_cidrs": (
        "aws.endpointAccess",
        lambda s: "endpoint_access" in s.aws.model_fields_set,
    ),
    "enable_aws_load_balancer_controller": (
        "addons.awsLoadBalancerController",
        lambda stack: stack.addons.aws_load_balancer_controller,
    ),
    "enable_aws_efs_csi_driver": ("addons.efsCsiDriver", lambda stack: stack.addons.efs_csi_driver),
    "capacity_block_reservation_id": ("reservation of type capacity-block", lambda stack: _has_block(stack)),
}
"""Variables that a blueprint may leave out while the stack file does not ask for what they stand for."""

# Terraform's own parser is the judge; these find what `terraform fmt` would leave at the beginning of a line.
_VARIABLE = re.compile(r'^[ \t]*variable[ \t]+"?([A-Za-z_][A-Za-z0-9_-]*)"?[ \t]*\{', re.MULTILINE)
_BACKEND = re.compile(r'^[ \t]*(backend[ \t]+"?\w+"?|cloud)[ \t]*\{', re.MULTILINE)
_OUTSIDE = re.compile(r'^[ \t]*source[ \t]*=[ \t]*"(\.\./[^"]*)"', re.MULTILINE)
_ASSIGNMENT = re.compile(r"^(?=[A-Za-z_][A-Za-z0-9_-]*[ \t]*=)", re.MULTILINE)
_READ_BY_TERRAFORM = (".tf", ".tf.json", ".tfvars", ".tfvars.json")
_TERRAFORMS = re.compile(r".*\.(tfstate|tfstate\..*|tfplan)|blueprint\.tfvars")


def own_blueprint(stack: Stack, root: Path) -> Path | None:
    """The folder that the stack file names as its blueprint; None for a built-in one.

    Args:
        root: the folder of the stack file.
    """
    if not _is_path(stack.blueprint):
        return None
    return (root / Path(stack.blueprint).expanduser()).resolve()


def check_blueprint(stack: Stack, root: Path) -> None:
    """Refuse a folder that cannot be the stack's blueprint. Changes nothing.

    Raises:
        UsageError: blueprint-not-found, or blueprint-unusable and why.
    """
    folder = own_blueprint(stack, root)
    if folder is None:
        return
    if not folder.is_dir():
        raise UsageError(
            f"There is no blueprint folder {folder}.",
            hint="`blueprint` in the stack file is relative to the file.",
            code="blueprint-not-found",
        )
    if (folder / "infra" / "base" / "terraform").is_dir():
        raise _unusable(folder, "it is a checkout of ai-on-eks, whose node groups are no variables of its blueprint")
    with file_errors(folder):
        names = declared_variables(folder)
        text = "".join(path.read_text(errors="replace") for path in sorted(folder.glob("*.tf")))
    if not names and not text:
        raise _unusable(folder, "it has no .tf file")
    if missing := [name for name in REQUIRED if name not in names]:
        raise _unusable(folder, f"it declares no variable {', '.join(missing)}")
    if unheard := [field for name, (field, asked) in FIELDS.items() if name not in names and asked(stack)]:
        lacking = [name for name, (_, asked) in FIELDS.items() if name not in names and asked(stack)]
        raise _unusable(folder, f"{', '.join(unheard)} would be ignored: it declares no variable {', '.join(lacking)}")
    if found := _BACKEND.search(text):
        raise _unusable(folder, f"it has a block `{found[1]}`, and drakit keeps the state: see aws.stateBucket")
    if found := _OUTSIDE.search(text):
        raise _unusable(folder, f"the module {found[1]} is outside of it, and only the folder is copied")
    blueprint_files(folder)


def declared_variables(folder: Path) -> frozenset[str]:
    """The names of the variables that the configuration in `folder` declares, its modules not counted."""
    names = {name for path in folder.glob("*.tf") for name in _VARIABLE.findall(path.read_text(errors="replace"))}
    for path in folder.glob("*.tf.json"):
        try:
            variables = json.loads(path.read_text(errors="replace")).get("variable", {})
        except (ValueError, AttributeError):
            continue  # Terraform says what is wrong with it
        for each in variables if isinstance(variables, list) else [variables]:
            names |= set(each)
    return frozenset(names)


def blueprint_files(folder: Path) -> Mapping[str, bytes]:
    """The files of a blueprint of one's own, by their paths in `folder`: all but hidden ones and Terraform's own.

    Raises:
        UsageError: there are more than `MOST_BYTES` of them.
    """
    found: dict[str, bytes] = {}
    size = 0
    with file_errors(folder):
        for path in visible_files(folder):
            size += path.stat().st_size
            if size > MOST_BYTES:
                raise _unusable(folder, f"it has more than {MOST_BYTES // 2**20} MiB")
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def visible_files(folder: Path) -> Iterator[Path]:
    """The files below `folder` that are not hidden, and not the states, plans and variables of Terraform and drakit."""
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "terraform.tfstate.d")
        for name in sorted(files):
            if not name.startswith(".") and not _TERRAFORMS.fullmatch(name):
                yield Path(where, name)


def of_a_blueprint(folder: Path) -> Iterator[Path]:
    """The files in a stack's working folder that came from a blueprint: what Terraform reads, and all in subfolders."""
    return (path for path in visible_files(folder) if path.parent != folder or path.name.endswith(_READ_BY_TERRAFORM))


def only_declared(tfvars: str, names: Collection[str]) -> str:
    """The assignments of a .tfvars file that drakit rendered, those of `names` alone.

    Each begins at the beginning of a line, and no line of a value does: `drakit.terraform.tfvars` indents maps and
    lists, and writes line ends in strings as escapes.
    """
    return "".join(part for part in _ASSIGNMENT.split(tfvars) if part.partition("=")[0].strip() in names)


def _is_path(blueprint: str) -> bool:
    # As the stack file's model tells a folder from a name.
    return blueprint.startswith((".", "~")) or "/" in blueprint


def _has_block(stack: Stack) -> bool:
    reservations = (group.reservation for group in stack.node_groups.values())
    return any(each is not None and each.type == "capacity-block" for each in reservations)


def _unusable(folder: Path, why: str) -> UsageError:
    builtin = packaged("blueprints", "jark")
    return UsageError(
        f"The blueprint {folder} cannot be used: {why}.",
        hint=f"Begin with a copy of drakit's, `cp -r {builtin} {folder.name}-jark`, and change that.",
        code="blueprint-unusable",
    )
