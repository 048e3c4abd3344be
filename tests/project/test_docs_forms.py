"""docs/forms.md shows what happens: its form and its words are filled as it says."""

from __future__ import annotations

import re

import pytest

from autocard.card.form.label_files import _KEYS, load
from autocard.card.form.placeholders import find
from autocard.card.update import update
from support import ROOT, records

PAGE = ROOT / "docs" / "forms.md"


@pytest.fixture(scope="module")
def page():
    if not PAGE.exists():
        pytest.skip("the docs are not beside the tests")
    return PAGE.read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_pages_form_is_filled_as_the_page_says(page, tmp_path):
    form, title, lines = blocks(page, "markdown")
    (words,) = blocks(page, "yaml")
    (tmp_path / "README.md").write_text(form, encoding="utf-8")
    (tmp_path / "autocard.labels.yaml").write_text(words, encoding="utf-8")

    update(tmp_path / "README.md", records.lora_on_cpu())

    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert title in text
    assert lines in text
    assert "## Grenzen\n\n(bitte ergänzen)\n" in text
    assert "\n## Umweltwirkung\n" in text
    assert "## Environmental Impact" not in text


def test_the_pages_table_names_each_key_of_the_file(page):
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(_KEYS)


@pytest.mark.parametrize(
    "placeholder",
    [
        "[More Information Needed]",
        "...",
        "TBD",
        "[Insert hours]",
        "[TODO: hours]",
        "{name}",
        "<<dotted.name>>",
    ],
)
def test_what_the_page_calls_a_placeholder_is_one(page, placeholder):
    assert find(placeholder, load().names) is not None
    assert placeholder.split()[0].strip("[]:") in page
