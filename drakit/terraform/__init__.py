"""Terraform or OpenTofu: rendered variables, the process with its live events, and typed errors."""

from drakit.terraform.plan import ApplySummary, Plan
from drakit.terraform.runner import Terraform

__all__ = ["ApplySummary", "Plan", "Terraform"]
