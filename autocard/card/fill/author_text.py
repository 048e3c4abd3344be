"""Text that a person gives as a fact → Markdown that stays in the place where it is put.

One rule: paragraphs, lists, tables, quotes, emphasis, links and code stay as they were written.
What would affect the text around it (a heading, a rule, HTML, an image, a link's definition, a code
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
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters, halves of surrogate pairs, and what changes the direction of text or shows
nothing."""
_ATX = re.compile(r"(?<!\\)#")
"""The mark of a heading: `## Title`."""
_LEADING_MARKS = re.compile(r"^[ \t]*(?:(?:>|[-+*]|\d{1,9}[.)])[ \t]*)*")
"""Marks of quotes and items before it: `> - ## Title`."""
_RULE = re.compile(r"[-=*_](?=[-=*_ \t]*$)")
"""The line of a rule or below a heading: `---`, `***`, `===`."""
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)")
"""`` `code` ``, ``` ``with a ` in it`` ```."""
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
"""The beginning of a template expression: `{{`, `{%`, `{#`."""
_DEFINITION = re.compile(r"^([ \t>*+\-0-9.)]*)\[(?=[^\]]*\]:)", re.MULTILINE)
"""The definition of a link: `[name]: https://…`, also in a quote or item."""

_BLOCK = "a\n\n{}\n\n# z"
_PLACES = (_BLOCK, "a\n{}\n\n# z", "- **a:** {}\n\n# z", "**a:** {}\n\n# z", "# a {}\n\n# z")
"""Where forms put a variable: below a heading, behind a line, in a labelled line, in the title."""
_ACTIVE = frozenset({"html_block", "html_inline", "image", "hr"})


@lru_cache(maxsize=1)
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


@lru_cache(maxsize=256)
def block(text: str) -> str:
    """Return *text* as whole blocks of Markdown that do not affect the text around them."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    cleaned = _INVISIBLE.sub("", lines).strip("\n").rstrip()
    if len(cleaned) > _LONGEST:
        return _typed(cleaned)
    for _ in range(_ROUNDS):
        repaired = _repair(cleaned)
        if repaired == cleaned:
            return cleaned if _stays_in(_BLOCK, cleaned) else _typed(cleaned)
        cleaned = repaired
    return _typed(cleaned)


def line(text: str) -> str:
    """Return *text* on one line of Markdown that does not affect the text around it."""
    return block(plain(text))


def variable(text: str) -> str:
    """Return *text* for a template, which may put it behind a label, below a heading, anywhere."""
    cleaned = block(text)
    for candidate in (cleaned, f"\n\n{cleaned}\n"):
        if all(_stays_in(place, candidate) for place in _PLACES):
            return candidate
    return _typed(cleaned)


def _typed(text: str) -> str:
    """Return *text* with every mark escaped, paragraphs kept."""
    return "\n".join(escape(line_text) for line_text in text.split("\n"))


def _repair(text: str) -> str:
    """Return *text* with what affects the text around it escaped, as far as one parsing shows."""
    env: dict[str, dict[str, object]] = {}
    tokens = _markdown().parse(text, env)
    if env.get("references"):
        return _DEFINITION.sub(r"\1\\[", text)
    lines = text.split("\n")
    code = _code_lines(tokens)
    for number, line_text in enumerate(lines):
        if number not in code:
            lines[number] = _repair_line(line_text)
    for token in tokens:
        _repair_block(lines, token)
    return "\n".join(lines)


def _repair_line(text: str) -> str:
    """Return a line without images, HTML, scripts in links and template expressions.

    Code spans stay as they are.
    """
    pieces = []
    position = 0
    for span in _CODE_SPAN.finditer(text):
        pieces += [_escape_active(text[position : span.start()]), span[0]]
        position = span.end()
    pieces.append(_escape_active(text[position:]))
    return "".join(pieces)


def _escape_active(text: str) -> str:
    escaped = _ACTIVE_MARKS.sub(lambda found: "\\" + found[0], text)
    return _TEMPLATE.sub("&#123;", escaped)


def _repair_block(lines: list[str], token: Token) -> None:
    """Escape what makes *token* a heading or a rule; close a code block without an end."""
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
    """Return a line with the first match of *pattern* escaped, behind quote and list marks."""
    marks = _LEADING_MARKS.match(text)
    found = pattern.search(text, marks.end() if marks else 0) or pattern.search(text)
    if found is None:
        return text
    return text[: found.start()] + "\\" + text[found.start() :]


def _is_closed(lines: list[str], token: Token) -> bool:
    last = lines[-1].strip().lstrip("> ")
    return len(lines) > 1 and len(last) >= len(token.markup) and not last.strip(token.markup[0])


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _stays_in(place: str, text: str) -> bool:
    """Return whether *text* reads as text in *place*, and what stands behind it as before."""
    env: dict[str, dict[str, object]] = {}
    tokens = _markdown().parse(place.format("\0").replace("\0", text), env)
    if env.get("references"):
        return False
    headings = [(token, inner) for token, inner in pairwise(tokens) if token.type == "heading_open"]
    wanted = 2 if place.startswith("#") else 1
    if len(headings) != wanted:
        return False
    last_heading, title = headings[-1]
    if last_heading.level != 0 or title.content != "z":
        return False
    children = [child for token in tokens for child in token.children or ()]
    return _ACTIVE.isdisjoint(token.type for token in [*tokens, *children])
