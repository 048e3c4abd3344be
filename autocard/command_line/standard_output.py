"""Standard output and standard error of the command line, on any terminal, file or pipe.

Rules: no character of a text ends a command, whatever the console's encoding; no escape sequence is
written where NO_COLOR or a dumb terminal asks for none; and where standard output cannot be written
(closed, on a full disk, a pipe that is no longer read) the failure has an exception of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autocard import console

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""A sequence that sets color or style: ESC [1m."""


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
        environ: where NO_COLOR and TERM are looked up.
    """

    def __init__(self, stream: Any, environ: Mapping[str, str] = os.environ) -> None:
        """Wrap *stream*."""
        self._stream = stream
        self._plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"

    def write(self, text: str) -> int:
        """Write *text*, in characters that the stream can show."""
        if self._stream is None:
            if text:
                msg = "it is closed"
                raise OutputError(msg)
            return 0
        shown = _ESCAPE.sub("", text) if self._plain else text
        with _as_output_error():
            self._stream.write(console.readable(shown, self._stream))
        return len(text)

    def write_data(self, text: str) -> None:
        """Write *text* that is to be read by programs as UTF-8, if no person watches.

        On a terminal, and where PYTHONIOENCODING asks for an encoding, it is written as `write`
        does.
        """
        buffer = getattr(self._stream, "buffer", None)
        if buffer is None or self.isatty() or os.environ.get("PYTHONIOENCODING"):
            self.write(text)
            return
        with _as_output_error():
            self._stream.flush()
            buffer.write(text.encode("utf-8", "backslashreplace"))

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


class Messages(Output):
    """Standard error: what cannot be written there is lost, and changes no exit status."""

    def write(self, text: str) -> int:
        """Write *text* if the stream can be written."""
        try:
            super().write(text)
        except (OutputError, ValueError):
            self.discard()
        return len(text)

    def flush(self) -> None:
        """Write what is buffered if the stream can be written."""
        try:
            super().flush()
        except (OutputError, ValueError):
            self.discard()


@contextlib.contextmanager
def _as_output_error() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputError(
            exc.strerror or type(exc).__name__, quiet=exc.errno == errno.EPIPE
        ) from exc
