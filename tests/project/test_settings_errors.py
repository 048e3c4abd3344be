"""The page of wrong settings is up to date, and each message says where the mistake is and what to do."""

from __future__ import annotations

import sys

import pytest

from autocard.card.form.fact_list import fact_names
from autocard.settings.sources import PERSONS_FACTS
from support import ROOT

sys.path.insert(0, str(ROOT / "docs"))

import make_settings_errors as pages

WRONG = [wrong for table in pages.TABLES.values() for wrong in table]


def test_the_page_is_what_the_script_makes():
    assert pages.OUT.read_text(encoding="utf-8") == pages.page(), (
        "run: python docs/make_settings_errors.py"
    )


def test_the_table_has_sixty_wrong_settings_and_no_two_are_the_same():
    given = {wrong.given() for wrong in WRONG}

    assert len(given) == len(WRONG)
    assert len(WRONG) >= 60


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.given())
def test_a_message_is_short_and_begins_with_the_place_of_the_mistake(wrong):
    for line in wrong.message().splitlines():
        assert line.startswith(("argument ", "AUTOCARD_", "CODECARBON_", pages.HOME, "--"))
        assert len(line) <= 400
        assert line.endswith((".", "?", "autocard facts"))


def test_facts_that_are_taken_for_settings_are_facts():
    assert set(PERSONS_FACTS) <= set(fact_names())
