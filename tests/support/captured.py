"""What a capture returns, as most tests look at it: its value, and its gaps by their paths in the record."""

from __future__ import annotations

from autocard.record.gaps import under


def value_of(name, capture, missing, *arguments, **more):
    """Return the value of what *capture* returns; note its gaps in *missing*, below *name*."""
    part = capture(*arguments, **more)
    missing.update(under(name, part.gaps))
    return part.value
