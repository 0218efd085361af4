"""The programs drakit drives: found on the machine, or built from pinned Go modules into the user's cache folder."""

from drakit.tools.catalogue import DEFAULT_KUBERNETES, HELM, TERRAFORM, TERRAFORM_FOR_EKS, TOOLS, Tool, controlplane
from drakit.tools.ensure import ToolStatus, ensure, list_tools
from drakit.tools.find import FoundTool, find

__all__ = [
    "DEFAULT_KUBERNETES",
    "HELM",
    "TERRAFORM",
    "TERRAFORM_FOR_EKS",
    "TOOLS",
    "FoundTool",
    "Tool",
    "ToolStatus",
    "controlplane",
    "ensure",
    "find",
    "list_tools",
]
