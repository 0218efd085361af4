"""Moments in time as people say them: on this machine's clock, and from now."""

from datetime import datetime, timedelta

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def local(moment: datetime) -> str:
    """A moment on this machine's clock: `Tue 2026-11-24 12:30 CET`."""
    return moment.astimezone().strftime("%a %Y-%m-%d %H:%M %Z")


def relative(moment: datetime, now: datetime) -> str:
    """How far a moment is: `in 3 h`, `2 d ago`, `in 40 min`, `now`.

    Rounded down, so that what is left is never said to be more than it is; days from two on.
    """
    distance = abs(moment - now)
    if distance < MINUTE:
        return "now"
    units = ((DAY, "d", 2 * DAY), (HOUR, "h", HOUR), (MINUTE, "min", MINUTE))
    unit, name = next((unit, name) for unit, name, least in units if distance >= least)
    amount = f"{distance // unit} {name}"
    return f"in {amount}" if moment > now else f"{amount} ago"


def duration(hours: float) -> str:
    """A length of time: `24 h`, `23 h 30 min`, `7 d`."""
    minutes = round(hours * 60)
    days, rest = divmod(minutes, 24 * 60)
    if days >= 2 and rest == 0:
        return f"{days} d"
    whole, left = divmod(minutes, 60)
    return f"{whole} h {left} min" if left else f"{whole} h"
