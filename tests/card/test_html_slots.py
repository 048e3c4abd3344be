"""Labelled values in HTML: found, filled with HTML, refreshed, and nothing else touched."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from autocard.card.fact import Fact
from autocard.card.fill.fill import fill

FACTS = {
    "hours_used": Fact("12 h 24 min wall-clock"),
    "base_model": Fact("[org/tiny\\_model](https://huggingface.co/org/tiny_model)"),
    "learning_rate": Fact("5e-05"),
    "optimizer": Fact("`AdamW` (a < b & c)"),
}


class Texts(HTMLParser):
    """The words that a browser shows, by element."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: list[str | None] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(dict(attrs)["href"])


def card(html: str) -> str:
    return f"# M\n\n## Environmental Impact\n\n{html}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<li><b>Hours used:</b> TBD</li>", "<li><b>Hours used:</b> 12 h 24 min wall-clock</li>"),
        ("<li><b>Hours used:</b></li>", "<li><b>Hours used:</b> 12 h 24 min wall-clock</li>"),
        ("<li><strong>Hours used</strong>: ____</li>", "<li><strong>Hours used</strong>: 12 h 24 min wall-clock</li>"),
        ("<li>Hours used: TBD</li>", "<li>Hours used: 12 h 24 min wall-clock</li>"),
        ("<tr><td>Hours used</td><td>TBD</td></tr>", "<tr><td>Hours used</td><td>12 h 24 min wall-clock</td></tr>"),
        ("<tr><th>Hours used</th><td></td></tr>", "<tr><th>Hours used</th><td>12 h 24 min wall-clock</td></tr>"),
        ("<tr>\n<td><b>Learning rate</b></td>\n<td>n/a</td>\n</tr>", "<tr>\n<td><b>Learning rate</b></td>\n<td>5e-05</td>\n</tr>"),
        ("<dt>Hours used</dt><dd>TBD</dd>", "<dt>Hours used</dt><dd>12 h 24 min wall-clock</dd>"),
        ("<p><b>Hours used:</b> TBD<br><b>Learning rate:</b> TBD</p>", "<p><b>Hours used:</b> 12 h 24 min wall-clock<br><b>Learning rate:</b> 5e-05</p>"),
    ],
)  # fmt: skip
def test_a_labelled_value_in_html_is_filled(before: str, after: str) -> None:
    wrapped = f"<div>\n{before}\n</div>"

    filled = fill(card(wrapped), FACTS, {}, remembered={}).text

    assert f"<div>\n{after}\n</div>" in filled
    assert filled.count("Hours used") == before.count("Hours used") or "Hours" not in before


def test_a_whole_list_is_filled_and_the_section_is_not_added_again() -> None:
    html = "<ul>\n<li><b>Hours used:</b> TBD</li>\n<li><b>Cloud Provider:</b> ours</li>\n</ul>"

    filled = fill(card(html), FACTS, {}, remembered={})

    assert filled.text.count("## Environmental Impact") == 1
    assert "<li><b>Cloud Provider:</b> ours</li>" in filled.text
    again = fill(filled.text, FACTS, {}, remembered=filled.slots)
    assert again.text == filled.text


def test_what_is_written_into_html_is_html_that_shows_the_same_words() -> None:
    html = "<ul>\n<li><b>Base model:</b> TBD</li>\n<li><b>Optimizer:</b> TBD</li>\n</ul>"

    filled = fill(card(html), FACTS, {}, remembered={}).text

    block = filled[filled.index("<ul>") : filled.index("</ul>")]
    shown = Texts(block)
    assert "org/tiny_model" in "".join(shown.texts)
    assert "AdamW (a < b & c)" in "".join(shown.texts)
    assert shown.links == ["https://huggingface.co/org/tiny_model"]


def test_a_value_of_ours_in_html_is_refreshed() -> None:
    html = "<ul>\n<li><b>Hours used:</b> TBD</li>\n</ul>"
    first = fill(card(html), FACTS, {}, remembered={})

    later = {**FACTS, "hours_used": Fact("20 h 00 min wall-clock")}
    second = fill(first.text, later, {}, remembered=first.slots)

    assert "<li><b>Hours used:</b> 20 h 00 min wall-clock</li>" in second.text


@pytest.mark.parametrize(
    "html",
    [
        "<ul>\n<li><b>Hours used:</b> about a day</li>\n</ul>",
        "<ul>\n<!-- <li><b>Hours used:</b> TBD</li> -->\n<li>ok</li>\n</ul>",
        "<pre>\n<li><b>Hours used:</b> TBD</li>\n</pre>",
        "<ul>\n<li><b>Hours used:</b> <i>TBD</i> by us</li>\n</ul>",
    ],
)
def test_words_of_people_comments_and_code_in_html_stay(html: str) -> None:
    assert html in fill(card(html), FACTS, {}, remembered={}).text
