"""Text that a person gives as a fact → Markdown that stays in the place where it is put.

One rule: paragraphs, lists, tables, quotes, emphasis, links and code stay as they were written.
What would reach out of the place (a heading, a rule, HTML, an image, a link's definition, a code
block without an end, a template expression) is shown as it was typed. The result is parsed again in
each kind of place that forms have, before it is used.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from autocard.card.fact import escape, plain

_LONGEST = 100_000
"""Characters that are read as Markdown; a longer text is shown as it was typed."""
_ROUNDS = 8
"""Repairs that are tried: escaping one thing may show another (a heading inside of what was HTML).
"""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters, halves of surrogate pairs, and what changes the direction of text or shows
nothing."""
_ATX = re.compile(r"(?<!\\)#")
_LEADING_MARKS = re.compile(r"^[ \t]*(?:(?:>|[-+*]|\d{1,9}[.)])[ \t]*)*")
_RULE = re.compile(r"[-=*_](?=[-=*_ \t]*$)")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)")
_ACTIVE_MARKS = re.compile(
    r"(?<!\\)(?:"
    # `<b>`, `<!--`, but not `<https://example.org>`
    r"<(?=[A-Za-z/!?])(?!https?://[^<>\s]*>)(?![\w.+-]+@[\w.-]+>)"
    r"|!(?=\[)"
    r"|\](?=\(\s*<?\s*(?:javascript|vbscript|data|file)\s*:)"
    r")",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"\{(?=[{%#])")
_DEFINITION = re.compile(r"^([ \t>*+\-0-9.)]*)\[(?=[^\]]*\]:)", re.MULTILINE)

_BLOCK = "a\n\n{}\n\n# z"
_PLACES = (_BLOCK, "a\n{}\n\n# z", "- **a:** {}\n\n# z", "**a:** {}\n\n# z", "# a {}\n\n# z")
"""Where forms put a variable: below a heading, behind a line, in a labelled line, in the title."""
_ACTIVE = frozenset({"html_block", "html_inline", "image", "hr"})


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


@lru_cache(maxsize=256)
def block(text: str) -> str:
    """Return *text* as whole blocks of Markdown, with blank lines before and after, that reach out of nothing."""
    cleaned = (
        _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n").rstrip()
    )
    if len(cleaned) > _LONGEST:
        return _typed(cleaned)
    for _ in range(_ROUNDS):
        repaired = _repair(cleaned)
        if repaired == cleaned:
            return cleaned if _stays_in(_BLOCK, cleaned) else _typed(cleaned)
        cleaned = repaired
    return _typed(cleaned)


def line(text: str) -> str:
    """Return *text* on one line of Markdown that reaches out of nothing."""
    return block(plain(text))


def variable(text: str) -> str:
    """Return *text* for a template, which may put it anywhere: behind a label, below a heading, into the title."""
    cleaned = block(text)
    for candidate in (cleaned, f"\n\n{cleaned}\n"):
        if all(_stays_in(place, candidate) for place in _PLACES):
            return candidate
    return _typed(cleaned)


def _typed(text: str) -> str:
    """Return *text* with every mark escaped, paragraphs kept."""
    return "\n".join(escape(one) for one in text.split("\n"))


def _repair(text: str) -> str:
    """Return *text* with what reaches out of it escaped, as far as one look at it shows."""
    env: dict[str, dict[str, object]] = {}
    tokens = _markdown().parse(text, env)
    if env.get("references"):
        return _DEFINITION.sub(r"\1\\[", text)
    lines = text.split("\n")
    code = _code_lines(tokens)
    for number, one in enumerate(lines):
        if number not in code:
            lines[number] = _repair_line(one)
    for token in tokens:
        _repair_block(lines, token)
    return "\n".join(lines)


def _repair_line(text: str) -> str:
    """Return the line *text* without images, HTML, scripts in links and template expressions; code spans stay."""
    pieces = []
    at = 0
    for span in [*_CODE_SPAN.finditer(text), None]:
        outside = text[at : span.start()] if span else text[at:]
        outside = _ACTIVE_MARKS.sub(lambda found: "\\" + found[0], outside)
        pieces.append(_TEMPLATE.sub("&#123;", outside))
        if span:
            pieces.append(span[0])
            at = span.end()
    return "".join(pieces)


def _repair_block(lines: list[str], token: Token) -> None:
    """Escape in *lines* what makes *token* a heading or a rule; close a code block that has no end."""
    first, last = token.map or (0, 0)
    if token.type == "heading_open" and token.markup.startswith("#"):
        lines[first] = _behind_marks(lines[first], _ATX)
    elif token.type == "heading_open":
        lines[last - 1] = _behind_marks(lines[last - 1], _RULE)
    elif token.type == "hr":
        lines[first] = _behind_marks(lines[first], _RULE)
    elif token.type == "fence" and not _is_closed(lines[first:last], token):
        lines[last - 1] += "\n" + " " * _indent(lines[first]) + token.markup


def _code_lines(tokens: list[Token]) -> set[int]:
    places = [token.map or (0, 0) for token in tokens if token.type in ("fence", "code_block")]
    return {number for place in places for number in range(*place)}


def _behind_marks(text: str, pattern: re.Pattern[str]) -> str:
    """Return the line *text* with the first match of *pattern* behind quote and list marks escaped."""
    marks = _LEADING_MARKS.match(text)
    found = pattern.search(text, marks.end() if marks else 0) or pattern.search(text)
    return text[: found.start()] + "\\" + text[found.start() :] if found else text


def _is_closed(lines: list[str], token: Token) -> bool:
    last = lines[-1].strip().lstrip("> ")
    return len(lines) > 1 and len(last) >= len(token.markup) and not last.strip(token.markup[0])


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _stays_in(place: str, text: str) -> bool:
    """Return whether *text* reads as text in *place*, and what stands behind it as it did."""
    env: dict[str, dict[str, object]] = {}
    tokens = _markdown().parse(place.format("\0").replace("\0", text), env)
    headings = [(token, inner) for token, inner in pairwise(tokens) if token.type == "heading_open"]
    wanted = 2 if place.startswith("#") else 1
    if (
        env.get("references")
        or len(headings) != wanted
        or headings[-1][0].level != 0
        or headings[-1][1].content != "z"
    ):
        return False
    children = [child for token in tokens for child in token.children or ()]
    return _ACTIVE.isdisjoint(token.type for token in [*tokens, *children])
