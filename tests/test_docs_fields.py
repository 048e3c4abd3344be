"""The table of docs/fields.md: up to date, complete, and naming tests that exist."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documents are not beside the tests")


@pytest.fixture(scope="module")
def fields():
    before = list(sys.path)
    sys.path.insert(0, str(DOCS))
    import make_fields

    yield make_fields
    sys.path[:] = before


def test_the_table_is_what_the_code_makes_of_it_today():
    check = subprocess.run([sys.executable, str(DOCS / "make_fields.py"), "--check"], capture_output=True, check=False)

    assert check.returncode == 0, f"run: python docs/make_fields.py\n{check.stderr.decode()[-2000:]}"


def test_each_field_has_a_proof(fields):
    assert [leaf for leaf, _ in fields.leaves(fields.parts.RunRecord) if fields.proof_of(leaf) is None] == []


def test_each_proof_names_tests_that_exist(fields):
    there = fields.test_names()

    assert [name for proof in fields.proofs.PROOFS.values() for name in proof.tests if name not in there] == []


def test_no_proof_is_of_a_field_that_is_gone(fields):
    leaves = [f"{leaf}." for leaf, _ in fields.leaves(fields.parts.RunRecord)]

    proved = fields.proofs.PROOFS
    assert [path for path in proved if not any(leaf.startswith((f"{path}.", f"{path}[")) for leaf in leaves)] == []
