"""The worker seen from the training process: start it, send to it, receive from it, end it.

Rule: nothing here blocks the training for longer than it says, and nothing here raises because the
worker is gone: that is a state (`alive`), not a failure. A socket instead of pipes, because writing
to a socket whose other end is gone can be kept from raising SIGPIPE, which programs are free to set
to its deadly default. No thread, no signal handler, POSIX only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from autocard import files
from autocard.energy.worker import protocol
from autocard.energy.worker.protocol import Answer, Command, Quit, Start, WorkerOrder
from autocard.energy.worker.step_counter import StepCounter
from autocard.errors import UnavailableError

EXIT_S = 0.3
"""Seconds that the worker gets to end by itself."""
EXIT_IN_LEG_S = 2.0
"""The same where it has a leg to close: a training that failed ends the process, and its last tick
is unwritten."""

_KEPT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
)
"""Variables that the worker gets. No SLURM_*, CUDA_*, CODECARBON_*: CodeCarbon fails with them."""

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from autocard.energy.worker.worker_main import main; main()"
)

_NO_SIGNAL: int = getattr(socket, "MSG_NOSIGNAL", 0)


class WorkerProcess:
    """One worker process."""

    def __init__(self, order: WorkerOrder) -> None:
        """Start it with *order*; returns at once.

        Raises:
            UnavailableError: no process can be started here.
        """
        self._out = b""
        self._in = b""
        self.busy = False
        """Whether it measures a leg."""
        ours, theirs = self._pair()
        self._socket = ours
        self._identity = _identity(ours.fileno())
        self.steps: StepCounter | None = None
        """The count of steps that it reads; None: this system has no memory for one."""
        with contextlib.suppress(OSError):
            self.steps = StepCounter()
        shared = None if self.steps is None else self.steps.file
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - this package's own module
                    [sys.executable, "-I", "-c", _BOOT],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=environment(),
                    start_new_session=True,  # a Ctrl-C in the terminal is not for the worker
                    pass_fds=() if shared is None else (shared,),
                )
        except (OSError, ValueError) as exc:
            ours.close()
            msg = f"no process for the measurement could be started ({type(exc).__name__})"
            raise UnavailableError(msg) from exc
        finally:
            if self.steps is not None:
                self.steps.drop()
        self._out += json.dumps(search_path()).encode() + b"\n"
        self._send(Start(order, shared))

    @staticmethod
    def _pair() -> tuple[socket.socket, socket.socket]:
        if not sys.executable or not hasattr(socket, "AF_UNIX"):
            msg = "no process for the measurement can be started here"
            raise UnavailableError(msg)
        ours, theirs = socket.socketpair()
        ours.settimeout(0.0)
        # macOS, where MSG_NOSIGNAL does not exist
        no_signal: int | None = getattr(socket, "SO_NOSIGPIPE", None)
        if no_signal is not None:
            ours.setsockopt(socket.SOL_SOCKET, no_signal, 1)
        return ours, theirs

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def end_in_words(self) -> str:
        """How it ended."""
        code: int | None = self._process.poll()
        if code is None:
            return "it runs"
        return f"exit status {code}" if code >= 0 else f"killed by signal {-code}"

    @property
    def pid(self) -> int:
        """Of the process."""
        pid: int = self._process.pid
        return pid

    def send(self, command: Command) -> None:
        """Send *command*; what the socket cannot take now goes with the next one. Never waits."""
        self._send(command)

    def _send(self, message: Start | Command) -> None:
        self._out += protocol.encode(message)
        if not self._is_ours():
            return
        with contextlib.suppress(OSError):
            while self._out:
                sent = self._socket.send(self._out, _NO_SIGNAL)
                self._out = self._out[sent:]

    def receive(self, wait_s: float = 0.0) -> list[Answer]:
        """Return the answers that have come; if there are none, wait *wait_s* seconds for one.

        Raises:
            UnavailableError: an answer cannot be read.
        """
        until = time.monotonic() + wait_s
        while True:
            closed = self._take()
            *lines, self._in = self._in.split(b"\n")
            left_s = until - time.monotonic()
            if lines or closed or left_s <= 0:
                return [protocol.decode_answer(line) for line in lines]
            poll = select.poll()  # not select(): a training may hold more than 1,024 files open
            poll.register(self._socket, select.POLLIN)
            poll.poll(max(left_s * 1000.0, 1.0))

    def _take(self) -> bool:
        """Move what the socket holds into the buffer; return whether its other end is closed."""
        if not self._is_ours():
            return True
        try:
            while data := self._socket.recv(65536):
                self._in += data
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def end(self) -> None:
        """End it: it gets a moment to finish, then it is killed together with what it started."""
        self.send(Quit())
        self.drop()
        try:
            self._process.wait(EXIT_IN_LEG_S if self.busy else EXIT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)  # its own session, so its own group
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(EXIT_S)

    def drop(self) -> None:
        """Close our end of the socket; the worker ends when no process holds it any more."""
        if self._is_ours():
            self._socket.close()

    def _is_ours(self) -> bool:
        """Return whether the descriptor is still our socket's.

        A program that closes all of its descriptors gives the number to the next file that it
        opens. That one is neither written to nor read nor closed.
        """
        if _identity(self._socket.fileno()) == self._identity:
            return True
        self._socket.detach()
        return False

    def disown(self) -> None:
        """Forget the worker, in a fork of its parent, which must not end it or wait for it."""
        self.drop()
        self._process.returncode = 0  # or subprocess warns that it still runs


def _identity(descriptor: int) -> tuple[int, int] | None:
    """Return what identifies an open file; None: it is closed."""
    try:
        status = os.fstat(descriptor)
    except (OSError, OverflowError):
        return None
    return status.st_dev, status.st_ino


def search_path() -> list[str]:
    """Return `sys.path` for a process that starts in another folder."""
    entries = [files.absolute(Path(entry)) for entry in sys.path]
    return [str(entry) for entry in entries if entry is not None]


def environment() -> dict[str, str]:
    """Return the worker's variables: search paths, nothing that configures CodeCarbon."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # No ~/.codecarbon.config is read: there is no file below a device.
    return {
        **kept,
        "HOME": os.devnull,
        "CODECARBON_LOG_LEVEL": "critical",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
