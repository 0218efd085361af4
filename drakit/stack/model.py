"""What a stack file says, as values. Names are camelCase in the file and snake_case here."""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from drakit.dra.catalogue import INSTANCE_TYPES, nearest_instance_type
from drakit.dra.mig import layout
from drakit.stack.names import shown, suggestion
from drakit.stack.targets import DEFAULT_TARGET, TARGETS, Target

_DNS_LABEL = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_REGION = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"
_INSTANCE_TYPE = r"^[a-z][a-z0-9-]{1,30}\.[a-z0-9-]{1,30}$"
_RESERVATION = r"^cr-[0-9a-f]{8,17}$"
_VERSION = r"^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"
_CHART_VERSION = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$"
_LABEL_KEY = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
_LABEL_VALUE = r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
_TAG_KEY = r"^[A-Za-z0-9 _.:/=+@-]{1,128}$"
_TAG_VALUE = r"^[A-Za-z0-9 _.:/=+@-]{0,256}$"
_GATE = r"^[A-Z][A-Za-z0-9]{0,62}$"
_CIDR = r"^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$"
_PRINTABLE = r"^[^\p{Cc}\p{Zl}\p{Zp}\u{61c}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}]+$"

PATTERNS: Mapping[str, str] = {
    _DNS_LABEL: "is not a DNS label of at most 40 characters (lower-case letters, digits and -)",
    _REGION: "is not an AWS region, such as us-west-2",
    _INSTANCE_TYPE: "is not an instance type, such as g6.4xlarge",
    _RESERVATION: "is not the id of a capacity reservation, such as cr-0123456789abcdef0",
    _VERSION: "is not a version, such as v26.3.3",
    _CHART_VERSION: "is not a version, such as 0.4.1 (without v)",
    _LABEL_KEY: "is not a Kubernetes label or taint key",
    _LABEL_VALUE: "is not a Kubernetes label or taint value",
    _BUCKET: "is not the name of an S3 bucket",
    _TAG_KEY: "is not the key of an AWS tag",
    _TAG_VALUE: "is not the value of an AWS tag",
    _GATE: "is not the name of a feature gate, such as MPSSupport",
    _CIDR: "is not an IPv4 CIDR block, such as 203.0.113.0/24",
    _PRINTABLE: "is not one line of text",
}
"""What is wrong with a text that does not match a pattern of the model."""

Text = Annotated[StrictStr, Field(pattern=_PRINTABLE)]
Name = Annotated[StrictStr, Field(pattern=_DNS_LABEL)]
LabelKey = Annotated[StrictStr, Field(pattern=_LABEL_KEY)]
LabelValue = Annotated[StrictStr, Field(pattern=_LABEL_VALUE)]
TagKey = Annotated[StrictStr, Field(pattern=_TAG_KEY)]
TagValue = Annotated[StrictStr, Field(pattern=_TAG_VALUE)]
Cidr = Annotated[StrictStr, Field(pattern=_CIDR)]
GateName = Annotated[StrictStr, Field(pattern=_GATE)]


def _target(data: Mapping[str, Any]) -> Target:
    return TARGETS[data.get("target", DEFAULT_TARGET)]


def _cidr(value: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"{shown(value)} is not an IPv4 CIDR block: {error}") from error


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True)


_OF_KUBERNETES = ("kubernetes.io", "k8s.io", "eks.amazonaws.com")
"""Prefixes of labels that EKS reserves: its API, "Label cannot contain reserved prefixes"; and the kubelet its own."""
_OF_NODES = ("node.kubernetes.io", "kubelet.kubernetes.io")
"""Those under which a node may have labels of its own: the NodeRestriction admission plugin."""


class Aws(_Section):
    """Where on AWS, and the network. Only the eks target reads it."""

    region: Annotated[StrictStr, Field(pattern=_REGION, description="AWS region.")] = "us-west-2"
    profile: Annotated[Text | None, Field(description="Profile of the AWS configuration; null for the default.")] = None
    vpc_cidr: Annotated[Cidr, Field(description="Primary CIDR block of the VPC, /16 to /24.")] = "10.1.0.0/21"
    availability_zones: Annotated[StrictInt, Field(ge=2, le=4, description="Number of availability zones.")] = 2
    endpoint_access: Annotated[
        tuple[Cidr, ...],
        Field(description="CIDR blocks that may reach the public API endpoint; an empty list makes it private."),
    ] = ("0.0.0.0/0",)  # EKS's own default; access still takes an IAM identity

    tags: Annotated[
        Mapping[TagKey, TagValue], Field(description="Tags of everything that is made, beside drakit's own.")
    ] = {}
    state_bucket: Annotated[
        StrictStr | None,
        Field(pattern=_BUCKET, description="S3 bucket for Terraform's state; null keeps it beside the stack file."),
    ] = None

    @field_validator("vpc_cidr")
    @classmethod
    def _vpc_size(cls, value: str) -> str:
        # EC2 takes /16 to /28, and EKS asks for 16 free addresses in each subnet, which is an eighth of it.
        if not 16 <= _cidr(value).prefixlen <= 24:
            raise ValueError(f"{shown(value)} is not between /16 and /24")
        return value

    @field_validator("endpoint_access")
    @classmethod
    def _blocks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for block in value:
            _cidr(block)
        return value


class Reservation(_Section):
    """An EC2 capacity reservation that a node group runs in."""

    id: Annotated[StrictStr, Field(pattern=_RESERVATION, description="Id of the reservation.")]
    type: Annotated[
        Literal["capacity-block", "odcr"],
        Field(description="A Capacity Block for ML, or an On-Demand Capacity Reservation."),
    ] = "capacity-block"


class Taint(_Section):
    """A taint of a node group's nodes."""

    key: Annotated[LabelKey, Field(description="Key of the taint.")]
    value: Annotated[LabelValue, Field(description="Value of the taint.")] = ""
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"],
        Field(description="What it does to pods without a toleration."),
    ] = "NoSchedule"


class NodeGroup(_Section):
    """A group of nodes of one instance type: on EKS a managed node group."""

    instance_type: Annotated[StrictStr, Field(pattern=_INSTANCE_TYPE, description="EC2 instance type.")] = "g6.4xlarge"
    min: Annotated[StrictInt, Field(ge=0, le=1000, description="Fewest nodes.")] = 0
    # EKS refuses a maximum of 0.
    max: Annotated[StrictInt, Field(ge=1, le=1000, description="Most nodes, at least 1.", validate_default=True)] = 2
    desired: Annotated[StrictInt, Field(ge=0, le=1000, description="Nodes that it starts with; min if omitted.")] = (
        Field(default_factory=lambda data: data.get("min", 0), validate_default=True)
    )
    mig: Annotated[
        LabelValue | None,
        Field(description="MIG configuration of the group's GPUs, such as all-balanced; null for whole GPUs."),
    ] = None
    reservation: Annotated[Reservation | None, Field(description="Capacity reservation that the nodes run in.")] = None
    labels: Annotated[
        Mapping[LabelKey, LabelValue], Field(description="Labels of its nodes, beside drakit's own.")
    ] = {}
    taints: Annotated[tuple[Taint, ...], Field(description="Taints of its nodes, beside drakit's own.")] = ()
    efa: Annotated[
        StrictBool, Field(description="Whether every network card of its nodes has an Elastic Fabric Adapter.")
    ] = False

    @field_validator("max")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min", 0):
            raise ValueError(f"max {value} is below min {info.data['min']}")
        return value

    @field_validator("desired")
    @classmethod
    def _between(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min", 0):
            raise ValueError(f"desired {value} is below min {info.data['min']}")
        if value > info.data.get("max", value):
            raise ValueError(f"desired {value} is above max {info.data['max']}")
        return value

    @field_validator("mig")
    @classmethod
    def _can_be_partitioned(cls, value: str | None, info: ValidationInfo) -> str | None:
        known = INSTANCE_TYPES.get(info.data.get("instance_type", ""))
        if value is not None and known is not None and not (known.gpu and known.gpu.mig):
            has = f"its {known.gpu.product_name} has no MIG" if known.gpu else "it has no GPU"
            raise ValueError(f"{known.name} cannot be partitioned: {has}")
        if value is not None and known is not None and known.gpu is not None:
            layout(known.gpu, value)
        return value


class Operator(_Section):
    """The NVIDIA GPU Operator."""

    enabled: Annotated[StrictBool, Field(description="Whether it is installed.")] = True
    version: Annotated[StrictStr, Field(pattern=_VERSION, description="Version of its chart.")] = "v26.3.3"


class DraDriver(_Section):
    """The NVIDIA DRA driver for GPUs."""

    enabled: Annotated[StrictBool, Field(description="Whether it is installed.")] = True
    version: Annotated[StrictStr, Field(pattern=_CHART_VERSION, description="Version of its chart.")] = "0.4.1"
    feature_gates: Annotated[Mapping[GateName, StrictBool], Field(description="Feature gates of the driver.")] = {
        "TimeSlicingSettings": True,
        "MPSSupport": True,
    }


class GpuSoftware(_Section):
    """What makes GPUs usable in the cluster."""

    operator: Annotated[Operator, Field(description="The NVIDIA GPU Operator.")] = Operator()
    dra_driver: Annotated[DraDriver, Field(description="The NVIDIA DRA driver for GPUs.")] = DraDriver()


class Addons(_Section):
    """Optional parts of the JARK stack."""

    kuberay: Annotated[StrictBool, Field(description="The KubeRay operator.")] = False
    argo_workflows: Annotated[StrictBool, Field(description="Argo Workflows.")] = False
    argo_events: Annotated[StrictBool, Field(description="Argo Events.")] = False
    jupyterhub: Annotated[StrictBool, Field(description="JupyterHub.")] = False
    aws_load_balancer_controller: Annotated[
        StrictBool, Field(description="The AWS Load Balancer Controller, with its IAM role.")
    ] = False
    efs_csi_driver: Annotated[StrictBool, Field(description="The CSI driver of Amazon EFS, with its IAM role.")] = False
    kube_prometheus_stack: Annotated[
        StrictBool, Field(description="Prometheus, Grafana and their operator, with the GPUs' metrics.")
    ] = False


class Limits(_Section):
    """Beyond these, drakit asks first."""

    max_hourly_cost: Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False, description="US dollars per hour.")] = 50.0


class Stack(_Section):
    """A stack: the desired state of a cluster with GPUs."""

    api_version: Annotated[Literal["drakit/v1"], Field(description="Version of the stack file's format.")] = "drakit/v1"
    target: Annotated[
        Literal["sandbox", "eks"],
        Field(description="Where the stack runs: simulated on this machine, or on Amazon EKS."),
    ] = "sandbox"
    name: Annotated[Name, Field(description="Name of the stack and its cluster; the target's if omitted.")] = Field(
        default_factory=lambda data: _target(data).name
    )
    blueprint: Annotated[Text, Field(description="The target's blueprint, or on EKS a folder of your own.")] = Field(
        default_factory=lambda data: _target(data).blueprint
    )
    kubernetes_version: Annotated[
        StrictStr, Field(description='Minor version of Kubernetes, such as "1.33"; each target offers its own.')
    ] = Field(
        default_factory=lambda data: _target(data).kubernetes_versions[0],
        json_schema_extra={"enum": [*sorted({each for kind in TARGETS.values() for each in kind.kubernetes_versions})]},
    )
    aws: Annotated[Aws, Field(description="Where on AWS, and the network.")] = Aws()
    node_groups: Annotated[
        Mapping[Name, NodeGroup],
        Field(description="The node groups by name, all of them; the target's if omitted."),
    ] = Field(
        default_factory=lambda data: {
            name: NodeGroup.model_validate(group) for name, group in _target(data).node_groups.items()
        }
    )
    gpu: Annotated[GpuSoftware, Field(description="What makes GPUs usable in the cluster.")] = GpuSoftware()
    addons: Annotated[Addons, Field(description="Optional parts of the JARK stack.")] = Addons()
    charts: Annotated[
        Text,
        Field(
            description="Helm charts: upstream (the publishers'), builtin (drakit's stand-ins), or a folder of charts; "
            "the target's if omitted."
        ),
    ] = Field(default_factory=lambda data: _target(data).charts)
    limits: Annotated[Limits, Field(description="Beyond these, drakit asks first.")] = Limits()

    @field_validator("blueprint")
    @classmethod
    def _blueprint_of_target(cls, value: str, info: ValidationInfo) -> str:
        targets = [_target(info.data)] if "target" in info.data else list(TARGETS.values())
        names = [each.blueprint for each in targets]
        if not any(each.own_blueprint for each in targets) and value not in names:
            raise ValueError(f"target {info.data['target']} has no blueprint but {names[0]}")
        return _one_of_or_folder(value, names, "built-in blueprints of the target")

    @field_validator("charts")
    @classmethod
    def _charts(cls, value: str) -> str:
        return _one_of_or_folder(value, ["upstream", "builtin"], "choices")

    @field_validator("kubernetes_version")
    @classmethod
    def _offered(cls, value: str, info: ValidationInfo) -> str:
        offered = _target(info.data).kubernetes_versions
        if "target" in info.data and value not in offered:
            target = info.data["target"]
            raise ValueError(f"target {target} does not offer {shown(value)}; it offers {', '.join(offered)}")
        return value

    @field_validator("node_groups", mode="wrap")
    @classmethod
    def _known_to_target(
        cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Mapping[str, NodeGroup]:
        # Around the groups' own validation, so that what is wrong with one group does not hide this about another.
        problems = [] if _target(info.data).any_instance_type else _unknown_types(value)
        if info.data.get("target") == "eks":
            problems += _refused_labels(value)
        try:
            groups: Mapping[str, NodeGroup] = handler(value)
        except ValidationError as error:
            problems += [
                InitErrorDetails(type=each["type"], loc=each["loc"], input=each["input"], ctx=each.get("ctx", {}))
                for each in error.errors(include_url=False)
            ]
        if problems:
            raise ValidationError.from_exception_data("nodeGroups", problems)
        return groups


def _one_of_or_folder(value: str, names: list[str], kind: str) -> str:
    if value in names or value.startswith((".", "~")) or "/" in value:
        return value
    raise ValueError(f"{shown(value)} is not built in, and a folder has a slash; {suggestion(value, names, kind)}")


def _unknown_types(groups: object) -> list[InitErrorDetails]:
    """A problem for each group with an instance type, well written, that the catalogue does not know."""
    problems = []
    for name, group in groups.items() if isinstance(groups, Mapping) else ():
        type_ = group.get("instanceType") if isinstance(group, Mapping) else getattr(group, "instance_type", None)
        if isinstance(type_, str) and "." in type_ and type_ not in INSTANCE_TYPES:
            message = f"{shown(type_)} cannot be simulated; did you mean {nearest_instance_type(type_[:60])}?"
            error = PydanticCustomError("instance_type", "{message}", {"message": message})
            problems.append(InitErrorDetails(type=error, loc=(name, "instanceType"), input=type_))
    return problems


def _refused_labels(groups: object) -> list[InitErrorDetails]:
    """A problem for each label that Kubernetes takes and EKS does not: found by it when the control plane is there."""
    problems = []
    for name, group in groups.items() if isinstance(groups, Mapping) else ():
        labels = group.get("labels") if isinstance(group, Mapping) else getattr(group, "labels", None)
        for key, value in labels.items() if isinstance(labels, Mapping) else ():
            if why := _why_eks_refuses(key, value):
                error = PydanticCustomError("label", "{message}", {"message": f"EKS refuses {shown(key)}: {why}"})
                problems.append(InitErrorDetails(type=error, loc=(name, "labels", str(key)), input=value))
    return problems


def _why_eks_refuses(key: object, value: object) -> str:
    prefix = str(key).rpartition("/")[0]
    if prefix.endswith(_OF_KUBERNETES) and prefix not in _OF_NODES:
        return "labels of Kubernetes and EKS are their own"
    if len(str(key)) > 63:
        return "a key has at most 63 characters"
    return "" if value != "" else "it needs a value"


def builtin_stack() -> Stack:
    """The stack of `drakit up` without a stack file: the sandbox with every default."""
    return Stack()
