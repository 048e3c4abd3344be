"""The worker process: what it runs, from its start to its end."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable

from autocard.energy.worker import protocol
from autocard.energy.worker.child_process import leave, settle
from autocard.energy.worker.events import Closed, Events
from autocard.energy.worker.service import Service
from autocard.errors import UnavailableError

LINGER_S = 8.0
"""Seconds after which a hanging library does not keep this process from ending."""


def _listen(events: Events) -> None:
    """Put what comes over the socket into *events*, until it is closed."""
    with contextlib.suppress(OSError, ValueError, UnavailableError):
        for line in sys.stdin:
            events.put(protocol.decode_command(line))
    events.put(Closed())
    # A library that hangs (a driver, nvidia-smi) must not keep this process alive when the
    # training process is gone.
    time.sleep(LINGER_S)
    leave(1)


def _start_thread(work: Callable[[Events], None], events: Events) -> None:
    threading.Thread(target=work, args=(events,), daemon=True).start()


def main() -> None:
    """Serve the process at the other end of the standard streams until it closes them."""
    settle()
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        # Job managers send these to every process. The training decides what they mean; here the
        # end of the socket counts.
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # what libraries print must not get between the answers
    try:
        start = protocol.decode_start(sys.stdin.readline())
    except UnavailableError:
        leave(1)
    events: Events = queue.SimpleQueue()
    service = Service(start, out)
    _start_thread(_listen, events)
    _start_thread(service.prepare, events)
    service.serve(events)
    leave(0)
