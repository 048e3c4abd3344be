"""Facts that people give stay in their places: no forged heading, HTML, image, key of the front matter or rule."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from autocard.card.fields import facts as texts_of
from autocard.card.fill import author_text, sanitize
from autocard.card.fill.new_card import SHIPPED
from autocard.card.front import yaml_text
from autocard.card.update import update
from support import records

PAYLOADS = {
    "heading": "a\n\n# Forged\n\nb",
    "setext heading": "a\n\nForged\n===\n\nb",
    "second setext heading": "a\n\nForged\n---\n",
    "front matter": "x\n---\nlicense: forged\n---\n",
    "front matter first": "---\nlicense: forged\n---\n",
    "script": "<script>alert('Forged')</script>",
    "event": "x <img src=x onerror=alert(1)> y",
    "comment": "x <!-- Forged",
    "declaration": "<!DOCTYPE x>",
    "iframe": "a\n\n<iframe src='https://example.org'></iframe>\n\nb",
    "image": "![x](https://example.org/x.png)",
    "image in a list": "- a\n- ![x][y]\n\n[y]: https://example.org/x.png",
    "definition": "[More Information Needed]: https://example.org\n",
    "script in a link": "[x](javascript:alert(1))",
    "open code": "a\n\n```\nb",
    "open code of tildes": "~~~~ html\n# b",
    "rule": "a\n\n***\n\nb",
    "heading in a quote": "> # Forged",
    "heading in a list": "1. # Forged",
    "details": "<details><summary>Forged</summary>\n\n# Forged\n",
    "bidirectional": "a\u202eb\u2066c",
    "template": "{{ model_id }} {% if x %}",
    "line separator": "a\u2028# Forged",
    "carriage return": "a\r# Forged\r\n\r\n# Forged",
    "tab": "\t<b>\n\n#\tForged",
    "table": "a | b\n--- | ---\n# c | <b>",
    "tag over lines": "<a\nhref='x'>y</a>",
    "surrogate": "a\ud800b",
}
FACTS = (
    "developers",
    "model_description",
    "model_id",
    "direct_use",
    "citation_bibtex",
    "license",
    "model_card_contact",
)
HARMLESS = "QQword"
OF_THE_FACTS = frozenset({"Uses", "Direct Use", "Citation", "BibTeX"})
"""Our sections for these facts: one is added only where its words stand nowhere else in the card, and
here all facts have the same words."""


def card(tmp_path, facts, template=None, old=None):
    path = tmp_path / "README.md"
    if old is not None:
        path.write_text(old, encoding="utf-8")
    record = records.lora_on_cpu().model_copy(update={"facts": facts})
    update(path, record, template=template)
    return path.read_text(encoding="utf-8")


def shape(text):
    """Return what a reader of *text* gets beside words: front matter's keys, headings, HTML, images, rules."""
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    tokens = MarkdownIt("commonmark").enable("table").parse(text[head.end() :] if head else text)
    headings = [
        inline.content for token, inline in pairwise(tokens) if token.type == "heading_open"
    ]
    inner = [child for token in tokens for child in token.children or ()]
    html = [token.content.strip() for token in [*tokens, *inner] if token.type.startswith("html")]
    shown = [one for one in html if not one.startswith("<!--") or not one.endswith("-->")]
    images = sum(child.type == "image" for child in inner)
    rules = sum(token.type == "hr" for token in tokens)
    links = sorted({str(child.attrs["href"]) for child in inner if child.type == "link_open"})
    return sorted(yaml.safe_load(head[1]) if head else []), headings, shown, images, rules, links


FORM = """\
---
{{ card_data }}
---
# {{ model_id }}

{{ model_description }}

- **Developers:** {{ developers }}
- **License:** {{ license }}

**Contact:** {{ model_card_contact }}

{{ direct_use }}
More: {{ citation_bibtex }}

## End
"""


@pytest.mark.parametrize("template", [*SHIPPED, "own"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_no_fact_reaches_out_of_a_new_card(tmp_path, name, template):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    if template == "own":
        (tmp_path / "form.md.j2").write_text(FORM)
        template = str(tmp_path / "form.md.j2")

    plain = shape(card(tmp_path / "a", dict.fromkeys(FACTS, HARMLESS), template))
    text = card(tmp_path / "b", dict.fromkeys(FACTS, PAYLOADS[name]), template)
    found = shape(text)

    below_title, expected = (
        [title for title in one[1][1:] if title not in OF_THE_FACTS] for one in (found, plain)
    )
    assert below_title == expected
    assert len(set(found[1][1:])) == len(found[1][1:])
    assert not [title for title in found[1] if title in ("Forged", "# Forged")]
    assert (found[0], *found[2:5]) == (plain[0], *plain[2:5])
    assert not any("javascript" in link for link in found[5])
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]", text)
    assert "{{" not in text
    if "license" in found[0]:
        assert text.count("\nlicense: forged") == 0


EXISTING = """\
# A

## Uses

### Direct Use

[More Information Needed]

- **Developed by:** [More Information Needed]

## End
"""


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_fact_reaches_out_of_its_slot_in_a_card_that_exists(tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    plain = shape(
        card(tmp_path / "a", {"developers": HARMLESS, "direct_use": HARMLESS}, old=EXISTING)
    )
    found = shape(
        card(
            tmp_path / "b",
            {"developers": PAYLOADS[name], "direct_use": PAYLOADS[name]},
            old=EXISTING,
        )
    )

    assert found[:5] == plain[:5]


def test_what_people_reasonably_write_stays_as_it_is():
    text = (
        "The *team* of **A & B** ([site](https://example.org), <https://example.org>, `a <b>`), 5 < 6.\n\n"
        "1. one\n2. two\n   - three\n\n> quoted\n\n| a | b |\n| --- | --- |\n| c | d |\n\n"
        "```bibtex\n@misc{x,\n  title = {# not a heading <b>}\n}\n```"
    )

    assert author_text.block(text) == text
    record = records.lora_on_cpu().model_copy(update={"facts": {"direct_use": text}})
    assert texts_of(record)["direct_use"].block == text


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(alphabet="ab `*_|<>[]{}()#\\!/:&\n\t-=+~.1'\"%\u202e", max_size=60))
def test_any_text_becomes_text_that_stays(text):
    for cleaned in (author_text.block(text), author_text.variable(text), author_text.line(text)):
        tokens = MarkdownIt("commonmark").enable("table").parse(f"a\n\n{cleaned}\n\n# z\n")
        kinds = {token.type for token in tokens} | {
            child.type for token in tokens for child in token.children or ()
        }
        assert kinds.isdisjoint({"html_block", "html_inline", "image", "hr"})
        assert [token.type for token in tokens].count("heading_open") == 1
        assert tokens[-2].content == "z"


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(alphabet="ab `*_|<>[]{}()#\\!/:&\n\t-=+~.1'\"%\u202e", max_size=60))
def test_cleaning_twice_changes_nothing(text):
    assert author_text.block(author_text.block(text)) == author_text.block(text)


@pytest.mark.parametrize(
    "value",
    ["{{ PWN }}", "{% x %}", "{# x #}", "a\u202eb", "a\u2028b", "\u200b", "\ud800", "\ufeff"],
)
def test_a_value_of_the_front_matter_holds_no_template_expression_and_nothing_invisible(value):
    text = yaml_text.scalar(value)

    assert not re.search(
        "[\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\ufeff\ud800-\udfff]|\\{[{%#]", text
    )
    assert yaml.safe_load(text) == value.replace("\ud800", "?")


def test_labels_of_the_model_are_code_of_one_direction():
    record = records.lora_on_cpu()
    labels = ["x\u202eevil", "a\u2066b", "plain", "é😀"]
    model = record.model.model_copy(update={"labels": labels})

    text = texts_of(record.model_copy(update={"model": model}))["get_started_code"].body()

    line = next(line for line in text.splitlines() if line.startswith("labels"))
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
    assert "é😀" in line
    assert (
        json.loads(re.sub(r"\\U([0-9a-f]{8})", lambda m: "\\u" + m[1][4:], line.partition("=")[2]))
        == labels
    )


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("a\n\n<details>\n<summary>How</summary>\n\n| a | b |\n|---|---|\n\n</details>", True),
        ("<details>\n<summary>How</summary>\n\nwords", False),
        ("words\n\n</details>", False),
        ("</details>\n\nwords\n\n<details>", False),
        ("> <details>\n\nwords\n\n</details>", False),
        ("<div>\n\nwords\n\n</div>", False),
    ],
)
def test_only_a_fold_that_is_closed_in_the_same_text_may_hold_markdown(text, stays):
    assert (sanitize.block(text) == text) is stays
