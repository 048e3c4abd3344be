"""Facts made harmless before they go into a card: none can break the form or leave its slot.

One rule: no text is trusted. Each one is parsed between two known neighbors; if they come out
changed, it is shown as plain words instead.
"""

from __future__ import annotations

import re

from markdown_it.token import Token

from autocard.card.fact import cell as table_cell
from autocard.card.fact import escape, plain
from autocard.card.markdown import line_labels
from autocard.card.markdown.parser import inline_parser, parser

_TEMPLATE = re.compile(r"\{(?=[{%#])")
"""The beginning of a template expression: `{{`, `{%`, `{#`."""
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]{0,30})[\s/>]")
"""`<details>`, `</b>`, `<img src=…`."""
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
_FOLD = "details"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line and paragraph separators, halves of surrogate pairs."""
_PROBE_ITEMS = 2
"""Items of the list in the probe of `_line_is_safe`."""
_EMPTY = ("text", "")
"""A token of markdown-it-py without content, which may stand beside emphasis."""
_HEAD = [("strong_open", ""), ("text", "a:"), ("strong_close", "")]
_TAIL = [
    ("html_inline", "<!--b-->"),
    ("softbreak", ""),
    ("strong_open", ""),
    ("text", "c:"),
    ("strong_close", ""),
    ("text", " "),
    ("code_inline", "d"),
]
"""Types and contents of the tokens before and behind a text in the probe of `_line_is_safe`."""


def line(text: str, *, cell: bool = False) -> str:
    """Return *text* as one line of Markdown for a labelled line or (*cell*) a table cell.

    Nothing in it stays open at its end.
    """
    cleaned = _without_templates(plain(text))
    if cell:
        cleaned = table_cell(cleaned)
    return cleaned if _line_is_safe(cleaned) else escape(text)


def block(text: str) -> str:
    r"""Return *text* as whole blocks of Markdown, "\n" between lines, no headings, nothing open."""
    lines = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    while lines and not lines[0].strip():
        del lines[0]
    whole = "\n".join(lines).rstrip()
    shown = whole.lstrip(" \t")  # a card that is read again has no indent of its first line
    if _block_is_safe(shown):
        return shown
    longest = max((len(run) for run in re.findall("`+", whole)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{whole}\n{fence}"


def _without_templates(text: str) -> str:
    """Return *text* without openings of template expressions; one with code spans stays."""
    return text if "`" in text else _TEMPLATE.sub(r"{\\", text)


def _line_is_safe(text: str) -> bool:
    if not text or line_labels.trim(text, 0, len(text)) != (0, len(text)):
        return False
    # On the page, it may stand between a label and a comment, with another label below it.
    probe = f"**a:** {text} <!--b-->\n**c:** `d`"
    children = inline_parser().parseInline(probe)[0].children or []
    tokens = [(child.type, child.content) for child in children]
    tail = [token for token in tokens[-8:] if token != _EMPTY]
    head = [token for token in tokens[:4] if token != _EMPTY]
    if tail != _TAIL or head[:3] != _HEAD:
        return False
    if any(kind == "html_inline" and content != "<!--b-->" for kind, content in tokens):
        return False
    blocks = parser().parse(f"- **a:** {text}\n- z\n")
    return [token.type for token in blocks].count("inline") == _PROBE_ITEMS


def _block_is_safe(text: str) -> bool:
    env: dict[str, dict[str, object]] = {}
    tokens = parser().parse(f"a\n\n{text}\n\n# z\n", env)
    if env.get("references"):
        return False
    headings = [token for token in tokens if token.type == "heading_open"]
    last = text.count("\n") + 4
    if len(headings) != 1 or headings[0].level != 0 or headings[0].map != [last, last + 1]:
        return False
    opened = _Opened()
    return all(opened.add(token) for token in tokens) and not opened.folds


class _Opened:
    """Follows the HTML of a block: a fold may be closed in a later token, all else may not."""

    def __init__(self) -> None:
        self.folds = 0
        """How many folds (`<details>`) are open."""

    def add(self, token: Token) -> bool:
        """Return whether *token* closes each comment and tag that it opens, folds apart."""
        if token.type not in ("html_block", "inline"):
            return True
        left_open = _left_open(token.content)
        if left_open is None:
            return False
        folds = left_open.pop(_FOLD, 0)
        is_apart = token.type == "html_block" and token.level == 0
        self.folds += folds
        return not any(left_open.values()) and self.folds >= 0 and (is_apart or not folds)


def _left_open(html: str) -> dict[str, int] | None:
    """Return element → how often it is opened more than closed in *html*.

    None: a comment is left open.
    """
    if html.count("<!--") != html.count("-->"):
        return None
    opened: dict[str, int] = {}
    for slash, name in _TAG.findall(re.sub("`[^`\n]*`", "", html)):
        if name.lower() not in _VOID_ELEMENTS:
            opened[name.lower()] = opened.get(name.lower(), 0) + (-1 if slash else 1)
    return opened
