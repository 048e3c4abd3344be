"""What tools leave in cards and no person wrote: repeated lists, the word None, TRL's licence."""

from __future__ import annotations

import pytest

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill

VERSIONS = Fact("PEFT 0.21.2", "- PEFT 0.21.2\n- Transformers 5.23.0")
BLOCK = "### Framework versions\n\n\n- PEFT 0.5.0\n"


def test_repeated_lists_of_versions_become_one() -> None:
    card = "# M\n\n## Uses\n\nMany.\n\n" + "\n".join([BLOCK] * 5)

    first = fill(card, {"framework_versions": VERSIONS}, {}, remembered={})

    assert first.text.count("Framework versions") == 1
    assert first.text.count("- PEFT 0.21.2") == 1
    assert "0.5.0" not in first.text
    assert first.text.startswith("# M\n\n## Uses\n\nMany.\n\n")
    again = fill(first.text, {"framework_versions": VERSIONS}, {}, remembered=first.slots)
    assert again.text == first.text


def test_a_repeated_heading_with_words_of_a_person_stays() -> None:
    mine = "### Framework versions\n\n- PEFT 0.5.0\n- my own fork of PEFT\n"
    card = f"# M\n\n{BLOCK}\n{mine}"

    after = fill(card, {"framework_versions": VERSIONS}, {}, remembered={}).text

    assert mine in after


def test_the_word_none_is_no_base_model() -> None:
    card = "---\nbase_model: None\nlicense: mit\n---\n# M\n"

    known = fill(card, {}, {"base_model": "org/base"}, remembered={}).text
    unknown = fill(card, {}, {"library_name": "peft"}, remembered={}).text

    assert "base_model: org/base\n" in known
    assert "base_model" not in unknown
    assert "license: mit\n" in known
    assert "license: mit\n" in unknown


@pytest.mark.parametrize(
    ("line", "stays"),
    [("licence: license\n", False), ("licence: mit\n", True), ("license: license\n", True)],
)
def test_trls_licence_goes_and_a_persons_stays(line: str, stays: bool) -> None:
    card = f"---\n{line}tags:\n- trl\n---\n# M\n"

    after = fill(card, {}, {"library_name": "peft"}, remembered={}).text

    assert (line in after) is stays
