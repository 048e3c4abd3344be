"""Exports: a record written in another format. Each module of this package is one format.

A module defines `export(record: RunRecord) -> str`. The file `annex_xi.py` is the format
`annex-xi`; a file whose name begins with an underscore is a helper. An export computes nothing: it
arranges what the record has.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module

from autocard.record import RunRecord


def formats() -> list[str]:
    """Return the names of the formats that there are, in alphabetical order."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name.replace("_", "-") for name in modules if not name.startswith("_"))


def export(record: RunRecord, format_name: str) -> str:
    """Return *record* in the format of that name.

    Raises:
        ValueError: there is no such format.
    """
    if format_name not in formats():
        msg = f"no export format {format_name!r}"
        raise ValueError(msg)
    module = import_module(f"{__name__}.{format_name.replace('-', '_')}")
    write: Callable[[RunRecord], str] = module.export
    return write(record)
