"""`drakit scale`: change how many nodes groups have, and wait until their devices can be claimed."""

from drakit.commands.scale.intent import Intent, Request, question
from drakit.commands.scale.story import scale

__all__ = ["Intent", "Request", "question", "scale"]
