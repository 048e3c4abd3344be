"""The matrix of set-ups: each is trained, no oracle finds a false field, and docs/dev/matrix.md has what was judged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from support import ROOT, SUPPORT

PAGE = ROOT / "docs" / "dev" / "matrix.md"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """Name of a set-up → what the oracles say; all trained in one process, with a watch of its own."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TRUTH_FINDINGS", "HF_HUB_CACHE")
    }
    command = [
        sys.executable,
        str(SUPPORT / "train_setups.py"),
        str(tmp_path_factory.mktemp("setups")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_each_setup_is_trained_or_says_what_it_lacks(matrix):
    assert {name: one["trace"] for name, one in matrix.items() if "failed" in one} == {}
    assert len([one for one in matrix.values() if "judged" in one]) >= 100


def test_no_statement_about_a_setup_is_false(matrix):
    assert {name: one["false"] for name, one in matrix.items() if one.get("false")} == {}


def test_the_oracles_take_a_fifth_of_the_time_at_most(matrix):
    done = [one for one in matrix.values() if "judged" in one]

    assert sum(one["oracles_s"] for one in done) <= 0.2 * sum(one["seconds"] for one in done)


@pytest.mark.skipif(not PAGE.is_file(), reason="the documents are not beside the tests")
def test_the_page_has_each_setup_and_the_subjects_that_were_judged(matrix):
    rows = re.findall(r"(?m)^\| (.+?) \| (.+?) \| (\d*) ?\|$", PAGE.read_text(encoding="utf-8"))
    page = {
        name: {re.sub(r" \d+$", "", one) for one in judged.split(", ")}
        for name, judged, false in rows
        if false
    }
    subjects = {name: _split(one["judged"]) for name, one in matrix.items() if "judged" in one}

    assert {
        name: subjects[name] ^ page.get(name, set())
        for name in subjects
        if subjects[name] != page.get(name)
    } == {}
    assert [name for name in page if name not in matrix] == []
    told = {name: int(false) for name, _, false in rows if false}
    found = {name: len(matrix[name]["false"] + matrix[name]["pending"]) for name in subjects}
    assert {name: count for name, count in found.items() if count > told[name]} == {}


def _split(judged: dict[str, int]) -> set[str]:
    return {part for subject in judged for part in subject.split(", ")}
