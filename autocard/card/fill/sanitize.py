"""Facts on their way into a card: what could break the form, or reach out of its slot, is made harmless here.

One rule: nothing is taken on trust. Each text is parsed between two known neighbours; if they come
out changed, it is shown as plain words instead.
"""

from __future__ import annotations

import re

from autocard.card.fact import cell as table_cell
from autocard.card.fact import escape, plain
from autocard.card.markdown import line_labels
from autocard.card.markdown.parser import inline_parser, parser

_TEMPLATE = re.compile(r"\{(?=[{%#])")
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]{0,30})[\s/>]")
_VOID_ELEMENTS = frozenset(
    (
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    )
)
"""Elements without an end tag: https://html.spec.whatwg.org/multipage/syntax.html#void-elements."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def line(text: str, *, cell: bool = False) -> str:
    """Return *text* as one line of Markdown that ends where it ends, for a labelled line or (*cell*) a table cell."""
    one = _outside_code(plain(text))
    if cell:
        one = table_cell(one)
    return one if _line_is_safe(one) else escape(text)


def block(text: str) -> str:
    r"""Return *text* as whole blocks of Markdown, "\n" between its lines: no headings, nothing left open."""
    lines = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    whole = "\n".join(lines).rstrip()
    if _block_is_safe(whole):
        return whole
    longest = max((len(run) for run in re.findall("`+", whole)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{whole}\n{fence}"


def _outside_code(text: str) -> str:
    """Return *text* without openings of template expressions, code spans left alone."""
    parts = re.split("(`+)", text)
    if len(parts) == 1:
        return _TEMPLATE.sub(r"{\\", text) if _TEMPLATE.search(text) else text
    return text


def _line_is_safe(text: str) -> bool:
    if not text or line_labels.trim(text, 0, len(text)) != (0, len(text)):
        return False
    # What comes before and after on the page: a label, a comment, another label in the same
    # paragraph.
    probe = f"**a:** {text} <!--b-->\n**c:** `d`"
    children = inline_parser().parseInline(probe)[0].children or []
    tail = [(child.type, child.content) for child in children[-8:]]
    head = [(child.type, child.content) for child in children[:4]]
    expected_tail = [
        ("html_inline", "<!--b-->"),
        ("softbreak", ""),
        ("text", ""),
        ("strong_open", ""),
        ("text", "c:"),
        ("strong_close", ""),
        ("text", " "),
        ("code_inline", "d"),
    ]
    if [one for one in tail if one != ("text", "")] != [
        one for one in expected_tail if one != ("text", "")
    ][-8:]:
        return False
    if [one for one in head if one != ("text", "")][:3] != [
        ("strong_open", ""),
        ("text", "a:"),
        ("strong_close", ""),
    ]:
        return False
    if any(child.type == "html_inline" and child.content != "<!--b-->" for child in children):
        return False
    blocks = parser().parse(f"- **a:** {text}\n- z\n")
    return [token.type for token in blocks].count("inline") == 2  # noqa: PLR2004


def _block_is_safe(text: str) -> bool:
    env: dict[str, dict[str, object]] = {}
    tokens = parser().parse(f"a\n\n{text}\n\n# z\n", env)
    if env.get("references"):
        return False
    headings = [token for token in tokens if token.type == "heading_open"]
    last = text.count("\n") + 4
    if len(headings) != 1 or headings[0].level != 0 or headings[0].map != [last, last + 1]:
        return False
    return all(
        _is_closed(token.content) for token in tokens if token.type in ("html_block", "inline")
    )


def _is_closed(html: str) -> bool:
    """Return whether each comment and each tag that opens in *html* is closed there; in prose this asks too much."""
    if html.count("<!--") != html.count("-->"):
        return False
    opened: dict[str, int] = {}
    for slash, name in _TAG.findall(re.sub("`[^`\n]*`", "", html)):
        if name.lower() not in _VOID_ELEMENTS:
            opened[name.lower()] = opened.get(name.lower(), 0) + (-1 if slash else 1)
    return not any(opened.values())
