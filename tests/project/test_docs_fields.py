"""The table of docs/dev/fields.md: up to date, complete, and naming tests that exist."""

import subprocess
import sys

import pytest

from support import ROOT

DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documents are not beside the tests")


@pytest.fixture(scope="module")
def fields():
    before = list(sys.path)
    sys.path.insert(0, str(DOCS))
    import make_fields

    yield make_fields
    sys.path[:] = before


def test_the_table_is_what_the_code_makes_of_it_today():
    check = subprocess.run(
        [sys.executable, str(DOCS / "make_fields.py"), "--check"], capture_output=True, check=False
    )

    assert check.returncode == 0, (
        f"run: python docs/make_fields.py\n{check.stderr.decode()[-2000:]}"
    )


def leaves_of(fields):
    return [leaf for leaf, _ in fields.leaves(fields.parts.RunRecord)]


def test_each_field_has_a_proof_of_its_own(fields):
    assert [leaf for leaf in leaves_of(fields) if fields.proofs.proof_of(leaf) is None] == []


def test_a_field_is_not_proved_by_what_proves_its_part(fields):
    assert "precision" in fields.proofs.PROOFS
    assert fields.proofs.proof_of("precision.matmul_precision") is None
    assert fields.proofs.proof_of("run.weather") is None


def test_each_proof_names_tests_that_exist(fields):
    tests = {test for leaf in leaves_of(fields) for test in fields.proofs.proof_of(leaf).tests}

    assert [test for test in sorted(tests) if not fields.proofs.text_of(test)] == []


def test_one_test_of_each_proof_names_the_field(fields):
    found = {leaf: fields.proofs.proof_of(leaf).tests for leaf in leaves_of(fields)}

    bare = [
        leaf
        for leaf, tests in found.items()
        if not any(fields.proofs.names_it(test, leaf) for test in tests)
    ]
    assert bare == []


def test_a_test_that_does_not_name_a_field_is_known_as_such(fields):
    test = "project/test_docs_fields.py::test_the_table_is_what_the_code_makes_of_it_today"

    assert fields.proofs.names_it(test, "a.returncode")
    assert not fields.proofs.names_it(test, "energy.gpu_kwh")


def test_no_proof_is_of_a_field_that_is_gone(fields):
    leaves = [f"{leaf}." for leaf in leaves_of(fields)]

    proved = [
        *fields.proofs.PROOFS,
        *(leaf for few in fields.proofs.FIELDS_BY_TEST.values() for leaf in few),
    ]
    assert [
        path
        for path in proved
        if not any(leaf.startswith((f"{path}.", f"{path}[")) for leaf in leaves)
    ] == []
