"""`drakit demo`: the story is in `story`; one demo is in `run`, what is looked at before in `preflight`."""

from drakit.commands.demo.story import demo, demo_manifests, price

__all__ = ["demo", "demo_manifests", "price"]
