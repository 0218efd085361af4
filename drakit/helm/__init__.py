"""Helm releases: listed, installed, upgraded, recovered, uninstalled; Helm's complaints as typed errors."""

from drakit.helm.releases import Helm, InstalledRelease, Release

__all__ = ["Helm", "InstalledRelease", "Release"]
