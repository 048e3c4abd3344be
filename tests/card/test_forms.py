"""Blanks of new cards: the Hub's template, the shipped forms, and users' files."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from pathlib import Path

import pytest

from autocard.card.fact import Fact
from autocard.card.fill import new_card
from autocard.card.fill.fill import fill
from autocard.card.fill.hidden_slots import hide
from autocard.card.form.label_files import load
from autocard.card.markdown.document import Document
from autocard.errors import SettingsError
from support import ROOT


@pytest.mark.parametrize("name", [None, *new_card.SHIPPED])
def test_each_shipped_template_can_be_used(name):
    new_card.check_template(name)

    assert "\n# " in "\n" + new_card.blank(name, {})


def test_the_default_is_the_template_of_the_installed_huggingface_hub():
    path = Path(find_spec("huggingface_hub").origin).parent / "templates" / "modelcard_template.md"
    theirs = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("#") and "{" not in line
    ]

    ours = new_card.blank(None, {}).splitlines()

    assert [line for line in theirs if line.removesuffix(" [optional]") not in ours] == []
    assert "[optional]" not in "".join(ours)


def test_only_what_a_person_gave_is_set_in_a_blank():
    text = new_card.blank(None, {"license": "mit", "developers": "  "})

    assert "- **License:** mit\n" in text
    assert "- **Developed by:** [More Information Needed]\n" in text
    assert "- **Hours used:** [More Information Needed]\n" in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("huggingfase", r"Did you mean huggingface\?"),
        ("no/such/file.md", "huggingface, annotated, compact, czi, imageomics, peft"),
    ],
)
def test_an_unknown_template_is_refused_with_the_nearest_name_or_all_of_them(name, words):
    with pytest.raises(SettingsError, match=f"template '{name}': .*{words}"):
        new_card.check_template(name)


def test_the_shipped_forms_are_the_default_and_the_markdown_files_of_the_folder():
    folder = ROOT / "templates"

    assert set(new_card.SHIPPED) == {"huggingface", *(file.stem for file in folder.glob("*.md"))}


def test_unreadable_templates_are_refused(tmp_path):
    binary = tmp_path / "form.md"
    binary.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match="not UTF-8"):
        new_card.check_template(str(binary))
    with pytest.raises(SettingsError, match="cannot be read"):
        new_card.check_template(str(tmp_path))


def test_a_template_that_no_card_can_be_made_from_is_refused_before_training(tmp_path):
    form = tmp_path / "form.md"
    form.write_text("---\nlicense: [\n---\n# A\n")

    with pytest.raises(SettingsError, match="No card can be made"):
        new_card.check_template(str(form))


def test_a_markdown_file_is_a_template_as_it_stands(tmp_path):
    form = tmp_path / "form.md"
    form.write_bytes(b"# A\r\n\r\n- **Hours used:** ...\r\n")

    assert new_card.blank(str(form), {}) == "# A\r\n\r\n- **Hours used:** ...\r\n"


def test_a_jinja_file_asks_with_placeholders_where_nobody_gave_anything(tmp_path):
    form = tmp_path / "form.md.jinja"
    form.write_text(
        "# {{ model_id }}\n{% if paper %}P: {{ paper }}\n{% endif %}- **License:** {{ a.b.c }} {{ license }}\n"
    )

    text = new_card.blank(str(form), {"license": "mit"})

    assert text == "# [More Information Needed]\n- **License:** [More Information Needed] mit\n"


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% for a in range(10 ** 9) %}{% endfor %}",
        "{{ 1 / 0 }}",
        "{% include '/etc/passwd' %}",
        "{% if %}",
    ],
)
def test_a_template_that_reaches_out_is_refused_or_gives_nothing(tmp_path, hostile):
    form = tmp_path / "form.jinja"
    form.write_text(f"# A\n\n{hostile}\n")

    with contextlib.suppress(SettingsError):
        text = new_card.blank(str(form), {})
        assert text == "# A\n\n[More Information Needed]\n"


def test_double_braces_that_are_no_jinja_stay(tmp_path):
    form = tmp_path / "form.md"
    form.write_text("# A\n\n$$\\frac{{a b}{c}}$$\n")

    assert new_card.blank(str(form), {}) == "# A\n\n$$\\frac{{a b}{c}}$$\n"


FACTS = {
    "hours_used": Fact("12 h"),
    "training_data": Fact("2,000 rows"),
    "software": Fact("s", "- torch 2"),
}


@pytest.mark.parametrize("name", new_card.SHIPPED)
def test_a_hidden_blank_shows_no_placeholder_and_fills_again_to_the_same(name):
    filled = fill(new_card.blank(name, {}), FACTS, {"library_name": "peft"}, remembered={})

    text, slots = hide(filled.text, load(), filled.slots)
    again = fill(text, FACTS, {"library_name": "peft"}, remembered=slots)

    shown = "\n".join(
        text_of
        for section in Document(text).sections
        for text_of in shown_blocks(text, section)
        if text_of.strip()
    )
    assert not any(
        mark in shown for mark in ("More Information", "...", "{{", "`hours", "[Project")
    )
    assert "12 h" in shown
    assert again.text == text
    assert again.slots == slots


def shown_blocks(text, section):
    return [text[block.start : block.end] for block in section.blocks if block.kind != "comment"]


def test_a_hidden_place_is_shown_when_its_fact_is_known():
    blank = "# A\n\n## Uses\n\n### Direct Use\n\n...\n\n## Model Details\n\n- **Paper:** ...\n- **Hours used:** ...\n"
    filled = fill(blank, {"hours_used": Fact("12 h")}, {}, remembered={})
    text, slots = hide(filled.text, load(), filled.slots)

    facts = {
        "hours_used": Fact("12 h"),
        "paper": Fact("[P](https://example.org)"),
        "direct_use": Fact("Read.", "Read it."),
    }
    shown = fill(text, facts, {}, remembered=slots)

    assert "<!--\n## Uses" in text
    assert "## Uses\n\n### Direct Use\n\nRead it.\n" in shown.text
    assert "- **Hours used:** 12 h\n- **Paper:** [P](https://example.org)\n" in shown.text
    assert "<!--" not in shown.text


def test_what_a_person_wrote_into_a_hidden_place_stays():
    blank = "# A\n\n## Uses\n\n### Direct Use\n\n...\n\n## Training Data\n\n...\n"
    filled = fill(blank, FACTS, {}, remembered={})
    text, slots = hide(filled.text, load(), filled.slots)
    edited = text.replace("<!--\n### Direct Use", "### Direct Use").replace(
        "for whom.\n-->", "for whom."
    )

    again = fill(edited, {**FACTS, "direct_use": Fact("x")}, {}, remembered=slots)

    assert again.text == edited
