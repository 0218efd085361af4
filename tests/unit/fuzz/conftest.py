"""What every test of bad input is held to: it ends, and it takes no more memory than its input warrants."""

import signal
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import pytest

HANGS_AFTER_SECONDS = 300
"""Far beyond what any of these takes: what runs as long would run for ever."""


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """Ends a test that hangs with a traceback of where, instead of the whole run without one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"it still ran after {HANGS_AFTER_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANGS_AFTER_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def at_most() -> Callable[[int], AbstractContextManager[None]]:
    """A block that may take so many bytes of memory, at its peak."""

    @contextmanager
    def block(limit: int) -> Iterator[None]:
        tracemalloc.start()
        try:
            yield
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak <= limit

    return block
