"""Ctrl-C and SIGTERM: say what is on the disk and how to go on, and be gone within seconds, whatever is computing."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from evop.files.lock import what_is_safe

GRACE = 3.5
"""Seconds for what was measured to get its answer after a first Ctrl-C; then it is interrupted again."""
LAST = 1.2
"""Seconds after that, or after a command, for tidying up; then the process ends as it stands, which loses nothing."""
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""The signals that are answered, and what is said of them."""
if hasattr(signal, "SIGHUP"):  # Windows has none
    WORDS[signal.SIGHUP] = "its terminal is gone"


class Stopping:
    """Whether this process was told to stop, by which signal, and what was on the disk then."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.safe = ""
        self.ended = False

    def note(self, number: int) -> None:
        """Note a signal; the first one counts."""
        if self.signal is None:
            self.safe, self.signal = what_is_safe(), signal.Signals(number)

    def interrupt(self, number: int, frame: FrameType | None = None) -> None:
        """Answer a signal in the main thread.

        Raises:
            KeyboardInterrupt: it is not at its end already.
        """
        self.note(number)
        if not self.ended:
            raise KeyboardInterrupt

    def end(self) -> int:
        """Say on one line what is safe, and return the exit code: 128 and the number of the signal."""
        self.note(signal.SIGINT)
        assert self.signal is not None
        if not self.ended:
            self.ended = True
            with suppress(OSError):  # of a terminal that is gone
                print(f"\nevop: {WORDS[self.signal]}; {self.safe}", file=sys.stderr, flush=True)
        return 128 + self.signal


@contextmanager
def answered() -> Iterator[Stopping]:
    """Answer signals while a command runs.

    A thread of its own sees them come, for the main one may be far away in a library; it interrupts the main thread
    again where that takes long, and ends the process where that does not help.
    """
    stopping = Stopping()
    told, tells = socket.socketpair()
    tells.setblocking(False)
    wakeup = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    heard = [number for number in WORDS if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stopping.interrupt) for number in heard}
    over = threading.Event()
    threading.Thread(target=_watch, args=(told, stopping, over), name="signals", daemon=True).start()
    try:
        yield stopping
    finally:
        over.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            if not stopping.ended:  # else the process is at its end, and another signal changes nothing
                signal.signal(number, handler)
        tells.close()


def _watch(told: socket.socket, stopping: Stopping, over: threading.Event) -> None:
    """Wait for a signal, then see to it that the process ends."""
    while (number := told.recv(1)) and number[0] not in WORDS:
        pass
    if not number:  # the command is over
        told.close()
        return
    stopping.note(number[0])
    if not over.wait(GRACE):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    time.sleep(LAST)  # what is torn down at the end of a process may hang too
    os._exit(stopping.end())
