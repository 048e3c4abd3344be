"""Lines for the person at the terminal or in the notebook, apart from the log.

One rule: a line never raises, never stands behind a progress bar, and consists of characters that
its stream can show. Imports the standard library only; IPython and tqdm are asked where the program
has imported them.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, TextIO

_IN_ASCII = str.maketrans(
    {"×": "x", "→": "->", "–": "-", "—": "-", "…": "...", "·": "-", "≥": ">=", "≤": "<="}
)
"""Characters of our own texts, for streams that cannot show them."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What would break the line or command the terminal, as a newline in the name of a folder."""


def say(line: str, html: str = "") -> None:
    """Show a line: in a notebook as an output, else on standard error.

    Args:
        line: without a newline.
        html: what a notebook shows instead.
    """
    line = _CONTROL.sub("?", line)
    with contextlib.suppress(OSError, ValueError):  # closed, or its reader has gone
        if _in_notebook():
            _display(line, html)
        elif sys.stderr is not None:
            _write(sys.stderr, f"{readable(line, sys.stderr)}\n")


def readable(text: str, stream: Any) -> str:
    """Return *text* in characters that *stream* can show; others as their escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except LookupError:  # a stream of the program's own, with a name of its own
        return text
    except UnicodeEncodeError:
        data = text.translate(_IN_ASCII).encode(encoding, "backslashreplace")
        return data.decode(encoding)
    return text


def readable_json(text: str, stream: Any) -> str:
    """Return the JSON *text* with the escapes of JSON for what *stream* cannot show.

    Programs read JSON as UTF-8, so on a stream of another encoding all of it is ASCII.
    """
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-")
    target = "utf-8" if encoding in {"utf-8", "utf8"} else "ascii"
    return text.encode(target, "autocard-json").decode(target)


def _json_escapes(error: UnicodeError) -> tuple[str, int]:
    """Return the escapes of JSON for what cannot be encoded: two beyond the first 65,536."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    pairs = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    units = [pairs[at : at + 2].hex() for at in range(0, len(pairs), 2)]
    return "".join(f"\\u{unit}" for unit in units), error.end


codecs.register_error("autocard-json", _json_escapes)


def _write(stream: TextIO, text: str) -> None:
    with _without_bars(stream):
        stream.write(text)
        stream.flush()


@contextlib.contextmanager
def _without_bars(stream: TextIO) -> Iterator[None]:
    """Clear tqdm's open progress bars for the body, and draw them again below its output."""
    bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if bars is None or not hasattr(bars, "external_write_mode"):
        yield
        return
    with bars.external_write_mode(file=stream):
        yield


# -- notebooks -------------------------------------------------------------------------------------


def _in_notebook() -> bool:
    """Return whether this process is a kernel of Jupyter, and not one forked from it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    session = getattr(getattr(shell, "kernel", None), "session", None)
    return getattr(session, "pid", None) == os.getpid()


def _display(line: str, html: str) -> None:
    shown: Mapping[str, str] = {"text/plain": line}
    if html:
        shown = {**shown, "text/html": html}
    import_module("IPython.display").display(shown, raw=True)
