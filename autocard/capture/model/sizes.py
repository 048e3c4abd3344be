"""How many numbers a parameter holds, whatever it is packed or sharded into."""

from __future__ import annotations

from typing import Any

from autocard.errors import UnavailableError


def size_of(parameter: Any) -> int:
    """Return how many numbers *parameter* holds: all of it where it is sharded or packed."""
    whole = getattr(parameter, "ds_numel", None)
    if whole is not None:
        return int(whole)
    if type(parameter).__name__ == "Params4bit":
        # Two weights in each byte of what the packed tensor is stored in.
        return int(parameter.numel()) * 2 * int(parameter.element_size())
    if type(parameter).__name__ in {"UninitializedParameter", "UninitializedBuffer"}:
        msg = "some layers get their size only at the first batch"
        raise UnavailableError(msg)
    return int(parameter.numel())
