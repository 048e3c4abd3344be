"""Cards before and after: `before.md` is filled and becomes `after.md`, to the byte.

Where one changes on purpose, `python tests/contract/make.py stories` writes it again: the diff is
what is reviewed.
"""

from __future__ import annotations

import pytest
import stories


@pytest.mark.parametrize("name", stories.names())
def test_the_card_of_the_story_ends_as_it_is_told(name, tmp_path):
    once, twice = stories.after(name, tmp_path)

    assert once.decode() == (stories.FOLDER / name / "after.md").read_bytes().decode()
    assert twice == once


def test_there_are_stories_of_many_kinds():
    assert len(stories.names()) >= 10
    assert all(stories.told(name)["about"] for name in stories.names())


@pytest.mark.parametrize("name", sorted(stories.OF_A_RECORD))
def test_a_story_that_begins_with_a_frozen_card_begins_with_the_present_one(name):
    before = (stories.FOLDER / name / "before.md").read_text(encoding="utf-8")

    assert before == stories.before_of_record(name)
