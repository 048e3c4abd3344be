"""Gaps: facts that are not there, each with its reason.

A capture returns a `Part`: a value together with the gaps in it. Gaps are relative to their part.
`PartBuilder.include` puts a part into another one, `joined` puts parts into a list, and
`runtime/assemble.py` puts them into the record. Each of the three puts the name of the place in
front (`under`), so the path in `RunRecord.missing` is complete when the record is put together.
Only `gaps_in` takes paths apart, those of records and ledger entries that were read from files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from autocard.guard import guard
from autocard.record.run_record import RunRecord

T = TypeVar("T")

Gaps = Mapping[str, str]
"""Field of a part → why it is not there. A dot leads into an inner part; "" is the part itself."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """A part of the record with its gaps."""

    value: T
    gaps: Gaps = field(default_factory=dict)


class PartBuilder(Generic[T]):
    """Collects the fields of one part: each gets a value, or a gap with the reason.

    ```python
    part = PartBuilder(Precision, "precision")
    with part.guard("regime"):
        part.fields["regime"] = regime_of(model)
    if not uses_cuda:
        part.gaps["tf32"] = "no CUDA device was used"
    return part.build()
    ```
    """

    def __init__(self, make: Callable[..., T], name: str) -> None:
        """Begin without fields.

        Args:
            make: gets the fields as keywords and returns the part, as its class does.
            name: of the part in the record, for the log.
        """
        self.fields: dict[str, Any] = {}
        self.gaps: dict[str, str] = {}
        self._make = make
        self._name = name

    @contextlib.contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Run the body; if it cannot get *name*, note the gap and go on; "" is the part itself."""
        failed: dict[str, str] = {}
        with guard(_path(self._name, name), failed):
            yield
        for reason in failed.values():
            self.gaps[name] = reason

    def put(self, name: str, value: Any, why_none: str) -> None:
        """Set the field *name*; where *value* is None, note the gap with the reason *why_none*."""
        self.fields[name] = value
        if value is None:
            self.gaps[name] = why_none

    def include(self, name: str, part: Part[Any]) -> None:
        """Take the value of *part* for the field *name*, and its gaps."""
        self.fields[name] = part.value
        self.gaps.update(under(name, part.gaps))

    def build(self) -> Part[T]:
        """Return the part of the fields that were found."""
        return Part(self._make(**self.fields), dict(self.gaps))


def joined(parts: Iterable[Part[T]]) -> Part[list[T]]:
    """Return *parts* as one list."""
    values: list[T] = []
    gaps: dict[str, str] = {}
    for index, part in enumerate(parts):
        values.append(part.value)
        gaps.update(under(str(index), part.gaps))
    return Part(values, gaps)


def under(name: str, gaps: Gaps) -> dict[str, str]:
    """Return *gaps* of a part as gaps of what holds it as *name*; "" leaves them as they are."""
    return {_path(name, inner): reason for inner, reason in gaps.items()}


def why(gaps: Gaps, path: str) -> str | None:
    """Return the reason of the gap at *path*, or of a part that holds it; None: there is none."""
    while path:
        if path in gaps:
            return gaps[path]
        path = path.rpartition(".")[0]
    return gaps.get("")


def gaps_in(gaps: Gaps, path: str) -> dict[str, str]:
    """Return those of *gaps* that are in the part at *path*, relative to it.

    For gaps that were read from a file, which has them by their paths.
    """
    inside = f"{path}."
    found = {}
    for name, reason in gaps.items():
        if name == path:
            found[""] = reason
        elif name.startswith(inside):
            found[name.removeprefix(inside)] = reason
    return found


def gaps_at(missing: Gaps, path: str) -> dict[str, str]:
    """Return `gaps_in` of a record; what holds the part may be the reason for all of it."""
    of_whole = why(missing, path)
    gaps = gaps_in(missing, path)
    return gaps if of_whole is None else {**gaps, "": of_whole}


def without(missing: Gaps, path: str) -> dict[str, str]:
    """Return *missing*, the gaps of a record, without those of the part at *path*."""
    inside = f"{path}."
    return {
        name: reason
        for name, reason in missing.items()
        if name != path and not name.startswith(inside)
    }


def _path(*names: str) -> str:
    return ".".join(name for name in names if name)


def empty_leaves(part: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every leaf of *part* that is None; *path* stands before each."""
    if part is None:
        yield path
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from empty_leaves(getattr(part, name), _path(path, name))
    elif isinstance(part, list):
        for index, item in enumerate(part):
            yield from empty_leaves(item, _path(path, str(index)))
    # A value in a mapping (a config, hyperparameters) may be None and mean it.


def unexplained(record: RunRecord) -> list[str]:
    """Return the paths of leaves that are None and have no reason in `missing`."""
    return [path for path in empty_leaves(record) if record.why_missing(path) is None]
