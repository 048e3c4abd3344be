"""The layers of docs/dev/architecture.md: a package imports from its own and from those below it, never from above."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

import autocard
from support import ROOT

PACKAGE = Path(autocard.__file__).parent
ARCHITECTURE = ROOT / "docs" / "dev" / "architecture.md"

LAYERS = [
    ["__main__"],
    ["__init__"],
    ["cli"],
    ["command_line"],
    ["doctor"],
    ["callback"],
    ["runtime"],
    ["card_guard"],
    ["hub"],
    ["trainers"],
    ["distributed"],
    ["capture"],
    ["reconcile", "export"],
    ["energy"],
    ["card"],
    ["totals"],
    ["record"],
    ["settings"],
    ["files", "units", "schema", "commands", "console", "weak_identity"],
    ["guard", "process_mark"],
    ["errors", "_version"],
]
"""From the top to the bottom; two of one layer do not import each other."""

sys.path.insert(0, str(ROOT / "docs" / "dev"))

import measure_code  # noqa: E402 - what makes the figures of the page


def layer_of(module: str) -> int:
    """Return the layer of a dotted name inside the package; 0 is the top."""
    room = module.split(".", maxsplit=1)[0]
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def modules() -> dict[str, set[str]]:
    """Return module → modules that it imports anywhere in it, for type checkers too; names inside the package."""
    inside = {}
    for name, used in measure_code.imports_of(PACKAGE).items():
        short = name.removeprefix("autocard").removeprefix(".") or "__init__"
        inside[short] = {
            one.removeprefix("autocard").removeprefix(".") or "__init__" for one in used
        }
    return inside


MODULES = modules()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_its_own_package_and_from_those_below(name):
    own = layer_of(name)
    room = name.split(".")[0]

    upwards = {
        used
        for used in MODULES[name]
        if layer_of(used) < own or (layer_of(used) == own and used.split(".")[0] != room)
    }

    assert upwards == set()


def test_no_modules_import_each_other_in_a_circle():
    assert measure_code.circles(PACKAGE) == []


def test_an_upward_import_would_be_found(tmp_path):
    package = tmp_path / "autocard"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from autocard.b import x\n")
    (package / "b.py").write_text("def f():\n    from autocard import a\n")

    assert measure_code.imports_of(package)["autocard.b"] == {"autocard.a"}
    assert measure_code.circles(package) == [{"autocard.a", "autocard.b"}]


def test_the_page_shows_the_packages_in_the_order_of_the_layers():
    page = ARCHITECTURE.read_text(encoding="utf-8").partition("## Four rules")[0]
    shown = re.findall(r"(?m)^\| `([\w/. ·`]+)` \|", page)
    rooms = [room.strip("` /") for row in shown for room in row.split("·")]
    rooms = [room.removesuffix(".py") for room in rooms]

    order = [layer_of(room) for room in rooms]

    assert order == sorted(order)
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert packages <= set(rooms)


def test_each_package_says_what_it_is():
    without = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("__init__.py"))
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]

    assert without == []


def test_the_page_names_modules_that_there_are():
    """The tables of moved modules and of changes; the first of several names has the folder."""
    page = ARCHITECTURE.read_text(encoding="utf-8")
    moved = re.findall(r"(?m)^\| `[\w/.]+` \| `([\w/.]+)`", page.partition("## Moved modules")[2])
    changed = page.partition("## Finding a room")[2].partition("## Figures")[0]
    places = re.findall(r"`(\w+/[\w/.]+\.py)`", re.sub(r"(?m)^(\|[^|]*)\|[^|]*\|", r"\1|", changed))

    assert len(moved) > 140
    assert len(places) > 3
    gone = {"fill/merge.py"}
    assert [name for name in {*moved, *places} - gone if not (PACKAGE / name).exists()] == []
