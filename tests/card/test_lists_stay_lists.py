"""Lists in cards that we make: tight, in one piece, read by a CommonMark parser of the test's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from autocard.card.fact import Fact
from autocard.card.fill import new_card
from autocard.card.fill.fill import fill
from autocard.card.update import update
from autocard.record import RunRecord, from_json

RECORDS = Path(__file__).parents[1] / "contract" / "records"
RUNS = ("gpus", "lora", "full-fine-tuning", "dpo-lora", "sentence-embeddings", "two-hosts")
FORMS = new_card.SHIPPED


def record(run: str) -> RunRecord:
    return from_json((RECORDS / run / "autocard.json").read_text(encoding="utf-8"))


def made(folder: Path, run: str, form: str | None) -> str:
    card = folder / "README.md"
    update(card, record(run), template=form)
    return card.read_text(encoding="utf-8")


def tokens(text: str) -> list[Token]:
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return MarkdownIt("commonmark").enable("table").parse(body)


def loose_lists(text: str) -> list[str]:
    """Return the text of paragraphs that stand in a list and are not hidden: the list is loose."""
    found, depth = [], 0
    for number, token in enumerate(parsed := tokens(text)):
        depth += (token.type == "list_item_open") - (token.type == "list_item_close")
        if depth and token.type == "paragraph_open" and not token.hidden:
            found.append(parsed[number + 1].content)
    return found


def split_lists(text: str) -> list[str]:
    """Return the comments that stand between two lists with nothing else between them."""
    top = [token for token in tokens(text) if token.level == 0 and token.nesting >= 0]
    found = []
    for before, comment, after in zip(top, top[1:], top[2:], strict=False):
        is_comment = comment.type == "html_block" and comment.content.startswith("<!-- - ")
        if before.type == after.type == "bullet_list_open" and is_comment:
            found.append(comment.content)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("run", RUNS)
def test_each_list_of_a_new_card_is_tight_and_in_one_piece(
    tmp_path: Path, run: str, form: str
) -> None:
    text = made(tmp_path, run, form)

    assert loose_lists(text) == []
    assert split_lists(text) == []
    assert "\n\n\n" not in text
    assert "[optional]" not in text


@pytest.mark.parametrize("run", RUNS)
def test_comments_are_about_a_quarter_of_a_new_card_at_most(tmp_path: Path, run: str) -> None:
    text = made(tmp_path, run, None)

    comments = sum(map(len, re.findall(r"<!--.*?-->", text, re.DOTALL)))
    assert comments / len(text) < 0.27


def test_an_item_that_is_shown_later_joins_the_list_above_the_hidden_ones(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    update(card, record("gpus"))
    later = record("gpus").model_copy(
        update={"facts": {"license": "MIT", "developers": "Ada", "repo": "here", "demo": "there"}}
    )

    update(card, later)

    text = card.read_text(encoding="utf-8")
    assert split_lists(text) == []
    assert loose_lists(text) == []
    assert "- **Repository:** here\n- **Demo:** there\n<!-- - **Paper:**" in text
    assert not update(card, later).changed


def test_a_card_of_0_1_0_gets_its_comments_out_of_its_lists_and_keeps_a_persons_words(
    tmp_path: Path,
) -> None:
    card = tmp_path / "README.md"
    for name in ("README.md", "autocard.json"):
        (tmp_path / name).write_bytes((RECORDS / "gpus" / name).read_bytes())
    before = card.read_text(encoding="utf-8").replace(
        "- **Model type:**", "- **Nickname:** Tiny\n- **Model type:**"
    )
    card.write_text(before, encoding="utf-8")

    update(card, record("gpus"))

    text = card.read_text(encoding="utf-8")
    assert split_lists(text) == []
    assert "- **Nickname:** Tiny\n- **Model type:**" in text
    assert len(re.findall("<!-- - ", text)) == len(re.findall("<!-- - ", before))
    assert not update(card, record("gpus")).changed


def test_a_persons_own_comment_between_items_stays_where_it_is() -> None:
    card = (
        "# M\n\n## Environmental Impact\n\n- **Hours used:** TBD\n<!-- mine -->\n- **Owner:** us\n"
    )

    after = fill(card, {"hours_used": Fact("3 h")}, {}, remembered={}).text

    assert "- **Hours used:** 3 h\n<!-- mine -->\n- **Owner:** us\n" in after


def test_a_persons_own_form_keeps_its_optional_and_its_guidance(tmp_path: Path) -> None:
    form = tmp_path / "form.md"
    form.write_text(
        "# {{ model_id }}\n\n## Facts [optional]\n\n<!-- Lab rule 7. -->\n\n"
        "- **Hours used [optional]:** TBD\n",
        encoding="utf-8",
    )

    text = made(tmp_path, "gpus", str(form))

    assert (
        "## Facts [optional]\n\n<!-- Lab rule 7. -->\n\n- **Hours used [optional]:** 10.5 s" in text
    )
