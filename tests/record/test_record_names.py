"""The building: imports go down only, and every figure of the record says its unit."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import types
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

import autocard
from autocard import record

PACKAGE = Path(autocard.__file__).parent

HEAVY = {
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "datasets",
    "codecarbon",
    "pandas",
    "pynvml",
}
CORE = [
    "record",
    "units",
    "settings",
    "files",
    "guard",
    "errors",
    "totals",
    "card",
    "reconcile",
    "cli",
]


def modules() -> dict[str, Path]:
    """Return dotted name inside the package → file."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if "templates" not in path.parts
    }


def imports(path: Path, *, runtime_only: bool = False) -> set[str]:
    """Return the dotted names that a file imports, those for type checkers left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    nodes = tree.body if runtime_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if id(node) in typed:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("name", [name for name in modules() if name.split(".")[0] in CORE])
def test_the_core_imports_nothing_heavy(name):
    assert {used.split(".")[0] for used in imports(modules()[name])} & HEAVY == set()


@pytest.mark.parametrize(
    "name", [name for name in modules() if name.split(".")[0] in {"capture", "energy"}]
)
def test_captures_and_meters_import_heavy_libraries_only_inside_functions(name):
    assert {
        used.split(".")[0] for used in imports(modules()[name], runtime_only=True)
    } & HEAVY <= ALLOWED_HEAVY


ALLOWED_HEAVY = {"pynvml"}
"""A file of Python with no library behind it: nvidia-ml-py loads the driver's only when it is asked
to."""


@pytest.mark.parametrize("name", modules())
def test_each_module_says_what_it_is(name):
    docstring = ast.get_docstring(ast.parse(modules()[name].read_text(encoding="utf-8")))

    assert docstring
    assert len(docstring) > 20


# The record's fields

UNITS = (
    "_s",
    "_j",
    "_kwh",
    "_g",
    "_bytes",
    "_w",
    "_l",
    "_g_per_kwh",
    "_per_s",
    "_year",
    "_hz",
    "_px",
)
COUNTS = {
    *(
        "global_step",
        "max_steps",
        "step",
        "step_begin",
        "step_end",
        "repeated_steps",
        "earlier_steps",
        "epochs",
        "effective_batch_size",
        *("tokens_without_padding", "packed_texts", "longest_input_rows"),
        *("step_samples", "epoch_samples", "epoch_steps"),
    ),
    *(
        "parameters_total",
        "parameters_trainable",
        "tokens",
        "flops",
        "rows",
        "vocabulary_count",
        "max_length",
    ),
    *(
        "longest_input",
        "count",
        "nodes",
        "gpus_allocated",
        "cpu_count",
        "cpu_count_node",
        "world_size",
    ),
    *("nodes_allocated", "tasks", "restarts", "launcher_restarts", "launcher_nodes"),
    *("processes", "processes_reporting", "trials", "trials_unfinished"),
    *(
        "losses_summed",
        "losses_summed_last",
        "nodes_expected",
        "nodes_reporting",
        "seed",
        "schema_version",
        "flops_estimate",
        "parallelism",
    ),
}
RATIOS = {"cpu_share", "pue", "value", "train_loss", "probability", "peak_share", "ratio"}
"""Without a unit by their nature; what a metric's value counts, the metric says."""


def parts() -> dict[str, type[BaseModel]]:
    return {
        name: part
        for name, part in inspect.getmembers(record, inspect.isclass)
        if issubclass(part, record.Frozen)
        and part is not record.Frozen
        and part.__module__.startswith(record.__name__)
    }


def kinds(annotation) -> set[type]:
    """Return the types that an annotation allows, containers opened."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        return set().union(*(kinds(argument) for argument in typing.get_args(annotation)), set())
    return {annotation} if isinstance(annotation, type) else set()


@pytest.mark.parametrize("name", parts())
def test_each_number_of_the_record_ends_in_its_unit_or_is_a_listed_count_or_ratio(name):
    hints = typing.get_type_hints(parts()[name])
    nameless = []
    for field in parts()[name].model_fields:
        numbers = kinds(hints[field]) & {int, float}
        in_container = re.search(r"\b(dict|list)\[", str(hints[field]))
        if (
            numbers
            and not in_container
            and not field.endswith(UNITS)
            and field not in COUNTS | RATIOS
        ):
            nameless.append(field)

    assert nameless == []


def test_a_number_without_a_unit_would_be_found():
    hints = typing.get_type_hints(record.Time)

    assert kinds(hints["wall_clock_s"]) & {int, float}
    assert not "wall_clock".endswith(UNITS)


@pytest.mark.parametrize("name", parts())
def test_each_field_of_the_record_has_a_docstring(name):
    body = ast.parse(inspect.getsource(parts()[name])).body[0].body
    described = {
        statement.target.id
        for statement, after in itertools.pairwise(body)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(after, ast.Expr)
        and isinstance(getattr(after.value, "value", None), str)
    }
    # A part's own docstring says what it is.
    of_parts = {
        field
        for field, hint in typing.get_type_hints(parts()[name]).items()
        if kinds(hint) & set(parts().values())
    }

    assert set(parts()[name].model_fields) - described - of_parts == set()
