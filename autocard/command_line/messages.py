"""Messages on standard error, and the exit statuses.

Exit status: 0 done or nothing to do; 1 a machine's slot is out of date or missing (--check, check);
2 wrong usage, or standard output cannot be written; 3 refused, nothing was written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NoReturn

OUT_OF_DATE, USAGE, REFUSED = 1, 2, 3


def note(text: str) -> None:
    """Print one message."""
    if sys.stderr is not None:  # closed
        sys.stderr.write(f"autocard: {text}\n")
        sys.stderr.flush()


def warn(warnings: Iterable[str]) -> None:
    """Print each warning."""
    for warning in warnings:
        note(f"warning: {warning}")


def fail(text: str, status: int) -> NoReturn:
    """Print a message and end the command with that exit status."""
    note(text)
    raise SystemExit(status)
