"""Records as JSON text and files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autocard import files
from autocard._version import __version__
from autocard.errors import RecordError
from autocard.record.base import DIGITS, LARGEST_INTEGER, whole
from autocard.record.finite import finite
from autocard.record.limits import impossible
from autocard.record.run_record import RECORD_NAME, SCHEMA_VERSION, RunRecord

MAX_BYTES = 16 * 1024 * 1024
"""A larger file is not a record of autocard."""


def to_json(record: RunRecord) -> str:
    """Return *record* as the text of an `autocard.json`; what is not finite is left out."""
    raw = finite(record).model_dump(warnings=False)
    return json.dumps(whole(raw), indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def from_json(text: str, where: str = RECORD_NAME, *, check_figures: bool = True) -> RunRecord:
    """Read the text of an `autocard.json`; *where* names the file in errors.

    Args:
        text: of the file.
        where: name of the file.
        check_figures: refuse figures that cannot be; False: the texts in it are wanted, not the
            figures.

    Raises:
        RecordError: not JSON, of a newer schema, or with a leaf of a wrong type or a figure that
            cannot be (named).
    """
    raw = _json_object(text, where)
    _check_version(raw, where)
    too_long = next(_too_long(raw, ""), None)
    if too_long is not None:
        msg = (
            f"{where}: {too_long}: a number with more digits than a number can have here. "
            "The record was not read."
        )
        raise RecordError(msg)
    try:
        record = RunRecord.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors()[0]
        leaf = ".".join(str(key) for key in first["loc"])
        msg = f"{where}: {leaf}: {first['msg']}. The record was not read."
        raise RecordError(msg) from exc
    fault = next(impossible(record), None) if check_figures else None
    if fault is not None:
        msg = f"{where}: {fault.path}: {fault.reason}. The record was not read."
        raise RecordError(msg)
    return record


def _json_object(text: str, where: str) -> dict[str, Any]:
    """Return the JSON object in *text*; *where* names the file in errors."""
    if len(text) > MAX_BYTES:
        msg = f"{where}: {len(text)} characters; a record has at most {MAX_BYTES}. It was not read."
        raise RecordError(msg)
    try:
        raw = json.loads(text, parse_constant=_number, parse_float=_number, parse_int=_integer)
    except (ValueError, RecursionError, MemoryError) as exc:
        position = f"line {exc.lineno}" if isinstance(exc, json.JSONDecodeError) else "somewhere"
        msg = (
            f"{where}: {position}: this is not JSON. The record was not read. "
            "Is the file cut short?"
        )
        raise RecordError(msg) from exc
    if not isinstance(raw, dict):
        kind = type(raw).__name__
        msg = f"{where}: a record is a JSON object, this is a {kind}. It was not read."
        raise RecordError(msg)
    return raw


def _check_version(raw: dict[str, Any], where: str) -> None:
    """Raise `RecordError` where *raw* has no schema version, or one that is newer than ours."""
    version = raw.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        msg = (
            f"{where}: schema_version: missing, or not a whole number. "
            "This is not a record of autocard."
        )
        raise RecordError(msg)
    if version > SCHEMA_VERSION:
        msg = (
            f"{where}: schema_version: {version} is newer than {SCHEMA_VERSION}, which autocard "
            f"{__version__} reads. It was not read. Go on with: pip install --upgrade autocard"
        )
        raise RecordError(msg)


def _integer(text: str) -> int | float:
    """Return the whole number in *text*; infinity where it is too long to be converted quickly."""
    value = int(text) if len(text) <= DIGITS + 1 else 0
    return value if 0 < abs(value) <= LARGEST_INTEGER or text in ("0", "-0") else math.inf


def _too_long(value: Any, path: str) -> Iterator[str]:
    """Yield the paths of the numbers in *value* that `_integer` did not convert."""
    if isinstance(value, float) and math.isinf(value):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _too_long(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _too_long(item, f"{path}.{index}" if path else str(index))


def _number(text: str) -> float:
    """Return the number in *text*.

    Raises:
        ValueError: it is NaN, Infinity or 1e999, which Python reads and JSON does not have.
    """
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def load(path: Path, *, check_figures: bool = True) -> RunRecord:
    """Read the record at *path*, a file or a folder that holds an `autocard.json`.

    Args:
        path: of the file or folder.
        check_figures: as in `from_json`.

    Raises:
        RecordError: there is none, or it cannot be read.
    """
    file = path / RECORD_NAME if files.is_folder(path) else path
    try:
        text = files.read_text(file, MAX_BYTES)
    except FileNotFoundError as exc:
        msg = (
            f"{file}: there is no such record. "
            "Train with AutoCardCallback, or name one with --record."
        )
        raise RecordError(msg) from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        msg = f"{file}: cannot be read ({reason}). Nothing was done."
        raise RecordError(msg) from exc
    return from_json(text, str(file), check_figures=check_figures)
