"""A client of torch's TCP store that can be closed while it waits for an answer.

torch's own client waits without a limit where the server does not answer, and a thread that is
inside torch when Python ends aborts the process. Its socket belongs to torch and has no handle in
Python. So the client connects to a relay in this process, which passes bytes on to the store. Both
sockets of the relay are this module's own, and no other socket of the process is ever looked at or
touched. When they close, the client's call fails at once.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from datetime import timedelta
from typing import Any

from autocard.errors import UnavailableError

CONNECT_S = 15.0
"""Seconds that connecting to the store may take. Torch looks up the name of each end of a
connection, which takes 5 s and more where no name server answers."""
ANSWER_S = 10.0
"""Seconds that the store may take for one answer; it needs less than a millisecond when all is
well."""
_CHUNK_BYTES = 1 << 16
_END_S = 0.5
"""Seconds that the relay's own thread gets to end."""
_LOOPBACK = "127.0.0.1"
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)
"""`poll` where there is one: `select` takes no descriptor above 1,023, and a training may hold more
files open."""


class Relay:
    """Passes bytes between a local connection and a server, until one closes or is overdue."""

    def __init__(self, host: str, port: int) -> None:
        """Connect to the server, and wait on a loopback port for the one local connection.

        Raises:
            OSError: the server cannot be reached, or no port can be opened.
        """
        self._server = socket.create_connection((host, port), CONNECT_S)
        try:
            self._listener = socket.create_server((_LOOPBACK, 0), backlog=1)
        except OSError:
            self._server.close()
            raise
        self.port = int(self._listener.getsockname()[1])
        self._local: socket.socket | None = None
        self._overdue_s: float | None = None
        self._closed = False
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="autocard-store", daemon=True)
        self._thread.start()

    def expect_answer(self, within_s: float) -> None:
        """Close the connection if the exchange takes longer than *within_s* seconds from now."""
        self._overdue_s = time.monotonic() + within_s

    def answered(self) -> None:
        """End what `expect_answer` began."""
        self._overdue_s = None

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed."""
        return self._closed

    def close(self) -> None:
        """Close the connection: a waiting call fails at once. A forked process closes nothing."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        for one in (self._listener, self._local, self._server):
            if one is not None:
                # Shut down first: this wakes the relay's own thread, which a mere close() would
                # leave waiting.
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(_END_S)

    def _run(self) -> None:
        try:
            self._listener.settimeout(CONNECT_S)
            self._local, _ = self._listener.accept()
            self._listener.close()
            for one in (self._local, self._server):
                one.settimeout(ANSWER_S)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with _Selector() as selector:
                for one in (self._local, self._server):
                    selector.register(one, selectors.EVENT_READ)
                while self._pass_on(selector, self._local, self._server):
                    pass
        except (OSError, ValueError):  # ValueError: of the selector, where close() came between
            pass
        finally:
            self.close()

    def _pass_on(
        self, selector: selectors.BaseSelector, local: socket.socket, server: socket.socket
    ) -> bool:
        """Pass on what has arrived; return False if one side has closed or an answer is overdue."""
        overdue_s = self._overdue_s  # read once: another thread changes it
        wait_s = None if overdue_s is None else max(0.0, overdue_s - time.monotonic())
        ready = [key.fileobj for key, _ in selector.select(wait_s)]
        if not ready:
            return self._overdue_s != overdue_s  # another exchange has begun, or none is under way
        for one, other in ((local, server), (server, local)):
            if one in ready:
                data = one.recv(_CHUNK_BYTES)
                if not data:
                    return False
                other.sendall(data)
        return True


class StoreClient:
    """A client of its own of the TCP store that a process group uses."""

    store: Any
    """The client, once it is connected."""

    def __init__(self, store: Any) -> None:
        """Reach the server of *store*, a `torch.distributed.TCPStore`; `connect` follows.

        Raises:
            UnavailableError: the server cannot be reached.
        """
        try:
            self._relay = Relay(store.host, store.port)
        except OSError as exc:
            why = exc.strerror or type(exc).__name__
            msg = f"the process group's store cannot be reached ({why})"
            raise UnavailableError(msg) from exc

    def connect(self) -> None:
        """Connect the client, which `close` may end.

        Raises:
            UnavailableError: the server does not answer.
        """
        from torch.distributed import TCPStore  # noqa: PLC0415 - heavy, and loaded here

        self._relay.expect_answer(CONNECT_S)
        try:
            timeout = timedelta(seconds=CONNECT_S)
            self.store = TCPStore(
                _LOOPBACK,
                self._relay.port,
                is_master=False,
                timeout=timeout,
                wait_for_workers=False,
            )
        except RuntimeError as exc:
            self._relay.close()
            msg = f"the process group's store does not answer ({type(exc).__name__})"
            raise UnavailableError(msg) from exc
        self._relay.answered()

    @property
    def is_closed(self) -> bool:
        """Whether the connection was closed, by this process or because an answer was overdue."""
        return self._relay.is_closed

    def expect_answer(self) -> None:
        """Note that a call of the store begins; close the connection after `ANSWER_S`."""
        self._relay.expect_answer(ANSWER_S)

    def answered(self) -> None:
        """Note that the call is over."""
        self._relay.answered()

    def close(self) -> None:
        """Close the connection; a call that waits for an answer fails at once."""
        self._relay.close()
