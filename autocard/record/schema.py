"""The JSON Schema of a record, and the docstring of each field."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from autocard.record.run_record import SCHEMA_VERSION, RunRecord


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `autocard.json`, described by the fields' docstrings."""
    schema = RunRecord.model_json_schema()
    schema["$id"] = f"autocard-{SCHEMA_VERSION}.schema.json"
    for name, part in _parts(RunRecord):
        target = schema if part is RunRecord else schema["$defs"].get(name)
        if target is None:
            continue
        for field, words in field_docs(part):
            target["properties"][field].setdefault("description", words)
    return schema


def _parts(part: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield (name, class) of *part* and of all the parts in it."""
    yield part.__name__, part
    for field in part.model_fields.values():
        for inner in _models(field.annotation):
            yield from _parts(inner)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that *annotation* names, containers opened."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def field_docs(part: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield (field, docstring below it) of the class *part*, read from its source."""
    (node,) = ast.parse(inspect.getsource(part)).body
    if not isinstance(node, ast.ClassDef):
        return
    for statement, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            yield statement.target.id, after.value.value
