"""Messages on standard error, and the exit statuses.

Exit status: 0 done or nothing to do; 1 a machine's slot is out of date or missing (--check, check);
2 wrong usage, or standard output cannot be written; 3 refused, nothing was written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import typer

OUT_OF_DATE, USAGE, REFUSED = 1, 2, 3


def note(text: str) -> None:
    """Print one message."""
    typer.echo(f"autocard: {text}", err=True)


def warn(warnings: Iterable[str]) -> None:
    """Print each warning."""
    for warning in warnings:
        note(f"warning: {warning}")


def fail(text: str, status: int) -> NoReturn:
    """Print a message and end the command with that exit status."""
    note(text)
    raise SystemExit(status)
