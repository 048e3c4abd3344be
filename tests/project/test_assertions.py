"""Tests can fail: no assertion of this suite is true whatever the code does, and no test is without one."""

from __future__ import annotations

import ast

import pytest

from support import TESTS

FILES = sorted(TESTS.rglob("*.py"))
ALWAYS_TRUE_CALLS = {"json.dumps", "str", "repr", "print", "id", "type", "to_json"}
"""What they return is never empty."""
WIDE = {"Exception", "BaseException"}
CHECKS = ("raises", "warns", "fail", "check_call", "validate", "assert_allclose")
"""Calls that fail a test, beside assertions."""
OF_A_CHECK = {"hold", "filled", "after", "run"}
"""Functions of test modules in which the assertions of their tests stand; a time limit is a check,
too."""


def cannot_fail(test: ast.expr) -> bool:
    """Return whether *test* is true by its form."""
    if isinstance(test, ast.Constant | ast.JoinedStr):
        return bool(getattr(test, "value", True)) or isinstance(test, ast.JoinedStr)
    if isinstance(test, ast.Tuple | ast.List | ast.Set | ast.Lambda):
        return True
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return any(cannot_fail(one) for one in test.values)
    if isinstance(test, ast.Compare):
        return any(ast.dump(test.left) == ast.dump(other) for other in test.comparators)
    return isinstance(test, ast.Call) and ast.unparse(test.func) in ALWAYS_TRUE_CALLS


def findings(text: str) -> list[str]:
    """Return each assertion of a module that cannot fail, and each expectation of any exception with any message."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assert) and cannot_fail(node.test):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
        raises = (
            isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.raises" and node.args
        )
        matched = raises and any(one.arg == "match" for one in node.keywords)
        if (
            raises
            and not matched
            and WIDE
            & {ast.unparse(one) for one in ast.walk(node.args[0]) if isinstance(one, ast.Name)}
        ):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def without_a_check(text: str) -> list[str]:
    """Return the tests of a module that hold no assertion and call nothing that fails."""
    found = []
    for test in ast.walk(ast.parse(text)):
        if not isinstance(test, ast.FunctionDef) or not test.name.startswith("test_"):
            continue
        calls = {
            ast.unparse(node.func).rpartition(".")[2]
            for node in ast.walk(test)
            if isinstance(node, ast.Call)
        }
        must = any(
            node.arg == "check" and ast.unparse(node.value) == "True" for node in keywords(test)
        )
        asserts = any(isinstance(node, ast.Assert) for node in ast.walk(test))
        if not asserts and not must and not calls & {*CHECKS, *OF_A_CHECK}:
            found.append(test.name)
    return found


def keywords(node):
    return [one for one in ast.walk(node) if isinstance(one, ast.keyword)]


def test_each_assertion_can_fail_and_each_test_has_one():
    texts = {str(file): file.read_text(encoding="utf-8") for file in FILES}

    assert {file: found for file, text in texts.items() if (found := findings(text))} == {}
    assert {file: found for file, text in texts.items() if (found := without_a_check(text))} == {}


@pytest.mark.parametrize(
    "statement",
    [
        "assert json.dumps(told)",
        "assert x or True",
        "assert 'words'",
        "assert (a == b, 'why')",
        "assert f'{a}'",
        "assert a == a",
        "with pytest.raises(Exception): f()",
        "with pytest.raises((ValueError, Exception)): f()",
    ],
)
def test_what_cannot_fail_is_found(statement):
    assert len(findings(statement)) == 1
    assert findings("assert a == b\nwith pytest.raises(ValueError): f()") == []


def test_a_test_without_a_check_is_found():
    assert without_a_check("def test_a():\n    f()\n\ndef test_b():\n    assert f()\n") == [
        "test_a"
    ]
