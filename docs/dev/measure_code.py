"""Print the figures of docs/dev/architecture.md for a package folder.

Usage: python docs/dev/measure_code.py [FOLDER]
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

STACK = {"_getframe", "currentframe", "_current_frames", "stack", "f_back", "f_locals"}
"""Names used only by code that inspects the call stack."""
DENSE = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.IfExp, ast.Lambda)


def main(folder: Path) -> None:
    """Print a figure per line."""
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in sources.items()}
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    lines = sum(text.count("\n") for text in sources.values())
    code, comments = _code_lines(sources.values())
    dense = sum(isinstance(node, DENSE) for node in nodes)
    inner = sum(_inner_imports(tree) for tree in trees.values())
    longest = max(sources, key=lambda path: sources[path].count("\n"))
    print(f"modules: {len(sources)}")
    print(f"lines: {lines}, of code {code}")
    print(f"longest module: {longest.relative_to(folder)}, {sources[longest].count(chr(10))} lines")
    print(
        "comprehensions, conditional expressions and lambdas per 100 lines of code: "
        f"{100 * dense / code:.1f}"
    )
    print(f"lines with a comment: {100 * comments / code:.1f} %")
    print(f"Any: {sum(isinstance(node, ast.Name) and node.id == 'Any' for node in nodes)}")
    print(f"imports inside functions: {inner}")
    print(
        "stack inspections: "
        f"{sum(isinstance(node, ast.Attribute) and node.attr in STACK for node in nodes)}"
    )
    print(f"circles of imports: {len(circles(folder))}")


def _code_lines(texts: object) -> tuple[int, int]:
    """Return the lines that hold code, docstrings not counted, and those that hold a comment."""
    code = comments = 0
    for text in texts:  # type: ignore[attr-defined]
        skip = _docstring_lines(ast.parse(text))
        numbers: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                comments += "noqa" not in token.string and "type: ignore" not in token.string
            elif token.string.strip():
                numbers |= set(range(token.start[0], token.end[0] + 1))
        code += len(numbers - skip)
    return code, comments


def _docstring_lines(tree: ast.AST) -> set[int]:
    """Return the lines of bare strings: docstrings, and the words below fields and constants."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            found |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def _inner_imports(tree: ast.AST) -> int:
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    found = {
        id(node)
        for one in functions
        for node in ast.walk(one)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return len(found)


def imports_of(folder: Path) -> dict[str, set[str]]:
    """Return module → modules of the package that it imports, those for type checkers included."""
    names = {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts): path
        for path in folder.rglob("*.py")
    }
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    return {name: set(_imported(path, names)) - {name} for name, path in names.items()}


def _imported(path: Path, names: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module in names:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in names else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)


def circles(folder: Path) -> list[set[str]]:
    """Return the sets of modules that import each other round."""
    uses = {name: used for name, used in imports_of(folder).items() if name.count(".")}
    while free := {name for name, used in uses.items() if not used & uses.keys()}:
        uses = {name: used for name, used in uses.items() if name not in free}
    # What is left imports a circle or is in one: take off those that nothing imports.
    while free := uses.keys() - set().union(*uses.values()) if uses else set():
        uses = {name: used for name, used in uses.items() if name not in free}
    return [set(uses)] if uses else []


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "autocard"
    )
