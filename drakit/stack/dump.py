"""Stack files as text: the effective one of `drakit config show`, and the one `drakit init` writes."""

import io

from ruamel.yaml import YAML

from drakit.errors import UsageError
from drakit.stack.model import Stack
from drakit.stack.names import shown, suggestion


def dump_stack(stack: Stack) -> str:
    """The stack file that says all of `stack`, defaults included. It parses to an equal stack."""
    yaml = YAML(pure=True)
    yaml.width = 4096
    text = io.StringIO()
    yaml.dump(stack.model_dump(mode="json", by_alias=True, exclude_none=True), text)
    return text.getvalue()


def template(target: str) -> str:
    """A stack file to start from: commented, and valid as it is.

    Raises:
        UsageError: there is no such target.
    """
    if target not in _TEMPLATES:
        advice = suggestion(target, _TEMPLATES, "targets")
        raise UsageError(f"There is no target {shown(target)}; {advice}", code="unknown-target")
    return _TEMPLATES[target]


_SANDBOX = """\
# A drakit stack. Every field is optional; `drakit config show` prints the defaults too.
apiVersion: drakit/v1
target: sandbox                  # a real Kubernetes on this machine with simulated GPU nodes; `eks` for AWS
name: sandbox
kubernetesVersion: "1.33"        # or "1.35"

# All node groups. `drakit scale g6=1` starts nodes between min and max.
nodeGroups:
  core: {instanceType: m5.xlarge, min: 1, max: 8, desired: 1}
  g6:   {instanceType: g6.4xlarge, min: 0, max: 8, desired: 0}       # 1 L4
  p4d:  {instanceType: p4d.24xlarge, min: 0, max: 2, desired: 0}     # 8 A100 40 GB, can be partitioned with MIG
  p4de: {instanceType: p4de.24xlarge, min: 0, max: 2, desired: 0}    # 8 A100 80 GB, can be partitioned with MIG

gpu:
  draDriver:
    version: 0.4.1
    featureGates: {TimeSlicingSettings: true, MPSSupport: true}      # time-slicing and MPS need them
"""

_EKS = """\
# A drakit stack. Every field is optional; `drakit config show` prints the defaults too.
apiVersion: drakit/v1
target: eks                      # Amazon EKS
name: jark
kubernetesVersion: "1.33"        # "1.33" to "1.36"; support of 1.33 costs $0.50 an hour more than of later ones

aws:
  region: us-west-2
  # profile: my-profile          # of the AWS configuration
  vpcCidr: 10.1.0.0/21
  availabilityZones: 2
  endpointAccess: [0.0.0.0/0]    # who may reach the Kubernetes API; better your own, such as [203.0.113.0/24]

# All node groups. GPU groups start at 0 nodes; `drakit scale g6=1` starts one and shows its price first.
nodeGroups:
  core: {instanceType: m5.xlarge, min: 2, max: 8, desired: 2}
  g6:   {instanceType: g6.4xlarge, min: 0, max: 2, desired: 0}       # 1 L4
  p4d:                                                               # 8 A100 40 GB
    instanceType: p4d.24xlarge
    min: 0
    max: 1
    desired: 0
    # mig: all-balanced                                              # partitions its GPUs
    # reservation: {id: cr-0123456789abcdef0, type: capacity-block}  # or odcr

gpu:
  operator:  {enabled: true, version: v26.3.3}
  draDriver: {enabled: true, version: 0.4.1, featureGates: {TimeSlicingSettings: true, MPSSupport: true}}

addons:                          # Helm releases beside NVIDIA's
  kuberay: false
  argoWorkflows: false
  argoEvents: false
  jupyterhub: false
  awsLoadBalancerController: false
  efsCsiDriver: false
  kubePrometheusStack: false
limits: {maxHourlyCost: 50}      # US dollars; above it drakit asks first
"""

_TEMPLATES = {"sandbox": _SANDBOX, "eks": _EKS}
