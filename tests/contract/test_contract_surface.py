"""What other programs and people rely on is there: more may be added, nothing goes, and statuses stay."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import surface

HERE = Path(__file__).parent / "surface"


def frozen(part):
    return json.loads((HERE / f"{part}.json").read_text(encoding="utf-8"))


def lost(then, now, path=""):
    """Return what of *then* is not in *now*: of mappings and lists each element, of the rest the value."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            line
            for name, part in then.items()
            for line in (
                lost(part, now[name], f"{path}.{name}") if name in now else [f"{path}.{name}"]
            )
        ]
    if isinstance(then, list) and isinstance(now, list):
        return [f"{path}: {part}" for part in then if part not in now]
    return [] if then == now else [f"{path}: {then!r}, now {now!r}"]


ARGUMENTS = {"R": "RUN"}
"""How `--help` called an argument, and calls it now: calls do not name it."""


@pytest.mark.parametrize("part", ["commands", "names", "settings", "labels", "forms"])
def test_nothing_that_was_public_is_gone(part):
    then = frozen(part)
    if part == "commands":
        then = {name: [ARGUMENTS.get(one, one) for one in words] for name, words in then.items()}

    assert then
    assert lost(then, json.loads(json.dumps(getattr(surface, part)()))) == []


def alternatives(node):
    """Return the members of a union, however Python writes it: `X | None`, Optional[X], Union[X, None]."""
    if isinstance(node, ast.BinOp):
        return [*alternatives(node.left), *alternatives(node.right)]
    if isinstance(node, ast.Subscript) and node.value.id == "Optional":
        return [*alternatives(node.slice), "None"]
    if isinstance(node, ast.Subscript) and node.value.id == "Union":
        return [ast.unparse(member).replace("NoneType", "None") for member in node.slice.elts]
    return [ast.unparse(node)]


def types_by_path(lines):
    """Return path → the types that its value may have, of lines such as `run.id: str | None`."""
    fields = dict(line.split(": ", maxsplit=1) for line in lines)
    return {
        path: alternatives(ast.parse(types, mode="eval").body) for path, types in fields.items()
    }


def test_each_field_may_still_have_each_type_that_it_had():
    then, now = types_by_path(frozen("fields")), types_by_path(surface.fields())

    assert then
    assert lost(then, now) == []


def test_keywords_of_the_callback_have_the_defaults_that_they_had():
    then, now = frozen("names")["AutoCardCallback"], surface.names()["AutoCardCallback"]

    assert {name: now[name] for name in then} == then


def test_each_typical_call_ends_with_the_status_that_it_had(tmp_path):
    now = surface.statuses(tmp_path)

    then = frozen("statuses")
    assert set(then.values()) == {0, 1, 2, 3}
    assert {name: now[name] for name in then} == then


def test_the_json_schema_still_has_each_part_each_key_and_its_type():
    then, now = frozen("schema"), surface.schema()

    for name, part in {"RunRecord": then, **then["$defs"]}.items():
        present = now if name == "RunRecord" else now["$defs"][name]
        assert lost(part["properties"], present["properties"], name) == []
        assert set(present.get("required", [])) == set(part.get("required", []))


def test_the_change_log_names_the_version_and_the_commit_that_is_frozen():
    changes = HERE.parents[2] / "CHANGELOG.md"
    told = json.loads((HERE.parent / "frozen.json").read_text(encoding="utf-8"))

    section = (
        changes.read_text(encoding="utf-8")
        .partition(f"## [{told['version']}]")[2]
        .partition("\n## [")[0]
    )
    assert f"Commit `{told['commit']}`" in section


def test_what_is_lost_is_found():
    assert lost(types_by_path(["a: str | int"]), types_by_path(["a: Optional[str]"])) == [".a: int"]
    assert lost({"a": [1, 2], "b": {"c": 1}}, {"a": [2], "b": {}, "d": 1}) == [".a: 1", ".b.c"]
    assert lost({"a": 1}, {"a": 2}) == [".a: 1, now 2"]
