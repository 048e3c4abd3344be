"""Standard output of the command line, whose failures have an exception of their own.

It can be closed, on a full disk, or a pipe that is no longer read.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import Any


class OutputError(Exception):
    """Standard output cannot be written.

    Attributes:
        quiet: its reader has gone, as `head` does: no message is needed.
    """

    def __init__(self, why: str, *, quiet: bool = False) -> None:
        """Use *why* as the message."""
        super().__init__(why)
        self.quiet = quiet


class Output:
    """A text stream whose writing raises `OutputError` where it fails.

    Args:
        stream: what is written to; None: it is closed.
    """

    def __init__(self, stream: Any) -> None:
        """Wrap *stream*."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write *text*."""
        if self._stream is None:
            if text:
                msg = "it is closed"
                raise OutputError(msg)
            return 0
        with _as_output_error():
            return int(self._stream.write(text))

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of *lines*."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is buffered."""
        if self._stream is not None:
            with _as_output_error():
                self._stream.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream is not None and bool(self._stream.isatty())

    def discard(self) -> None:
        """Drop what is buffered, or Python fails on it again when it exits."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _as_output_error() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputError(
            exc.strerror or type(exc).__name__, quiet=exc.errno == errno.EPIPE
        ) from exc
