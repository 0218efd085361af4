"""Terraform or OpenTofu: rendered variables, the process with its live events, and typed errors."""

from drakit.terraform.runner import ApplySummary, Plan, Terraform

__all__ = ["ApplySummary", "Plan", "Terraform"]
