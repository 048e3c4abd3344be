"""What all parts of a record share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from autocard import files

Scalar = str | int | float | bool | None

Status = Literal["finished", "stopped", "interrupted"]

DIGITS = 300

LARGEST_INTEGER = 10**DIGITS
"""Whole numbers up to it can be a float, too."""


class Frozen(BaseModel):
    """The base of all parts: they cannot be changed, and keys of a newer autocard are kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        ser_json_inf_nan="null",
        protected_namespaces=(),
        defer_build=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _of_whole_characters(cls, data: Any) -> Any:
        """Replace halves of surrogate pairs: one of them would make the whole part invalid.

        File names that are not UTF-8 have them.
        """
        return whole(data) if isinstance(data, dict) else data


def whole(value: Any) -> Any:
    """Return *value* with every text in it of whole characters: no halves of surrogate pairs."""
    if isinstance(value, str):
        return files.whole(value)
    if isinstance(value, dict):
        return {whole(key): whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (
            type(value)([whole(item) for item in value]) if type(value) in (list, tuple) else value
        )
    return value
