"""The Markdown parser of this package: CommonMark with tables, blocks only, few tokens.

One rule: markdown-it-py alone decides what each line is; only tokens that this package never reads
are left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, cast

from markdown_it import MarkdownIt
from markdown_it.parser_block import ParserBlock
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

DEEPEST = 100
"""Lists, items and quotes inside each other that are read. The parser leaves out all that follows a
deeper one."""
TOO_DEEP = "too deep"
"""Key of the parser's environment that is set where something was left out."""

_CELLS = frozenset({"td_open", "td_close", "th_open", "th_close"})


class _LightToken:
    """A token with only the fields that the rules for blocks fill.

    markdown-it-py's own makes two mappings for each token, which is most of what a token costs.
    """

    __slots__ = (
        *("type", "tag", "nesting", "level", "map", "content", "markup", "info"),
        *("children", "attrs", "meta", "block", "hidden"),
    )

    def __init__(self, ttype: str, tag: str, nesting: int, level: int) -> None:
        self.type = ttype
        self.tag = tag
        self.nesting = nesting
        self.level = level
        self.map: list[int] | None = None
        self.content = self.markup = self.info = ""
        self.children: list[Token] | None = None
        self.attrs: dict[str, str | int | float] | None = None
        self.meta: dict[str, Any] | None = None
        self.block = True
        self.hidden = False


class _State(StateBlock):
    """The parser's state, whose tables have rows and no cells.

    Of a table of a megabyte, the cells are three tokens in four.
    """

    __slots__ = ("_in_cell", "_unused")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._in_cell = False
        self._unused = Token("", "", 0)

    def push(self, ttype: str, tag: str, nesting: Literal[-1, 0, 1]) -> Token:
        """Add a token; for cells and their text, return one that is not part of the result."""
        if ttype in _CELLS or (self._in_cell and ttype == "inline"):
            # nesting: 1 opens a cell, 0 is its text, -1 closes it.
            self._in_cell = nesting == 1 or (self._in_cell and nesting == 0)
            return self._unused
        if nesting < 0:
            self.level -= 1
        token = cast("Token", _LightToken(ttype, tag, nesting, self.level))
        if nesting > 0:
            self.level += 1
            if self.level >= DEEPEST:
                self.env[TOO_DEEP] = True
        self.tokens.append(token)
        return token


class _Blocks(ParserBlock):
    def parse(
        self,
        src: str,
        md: MarkdownIt,
        env: Any,
        outTokens: list[Token],  # noqa: N803
    ) -> list[Token] | None:
        """Parse as the parser's own method does, with our state."""
        if not src:
            return None
        state = _State(src, md, env, outTokens)
        self.tokenize(state, state.line, state.lineMax)
        return state.tokens


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """Return the parser of blocks; `inline_parser` reads the text in them where that matters."""
    md = MarkdownIt("commonmark")
    md.block = _Blocks()
    # The commonmark preset, and tables.
    md.configure("commonmark").enable("table")
    md.options["maxNesting"] = DEEPEST  # the preset's 20 is a list of ten levels
    md.core.ruler.disable(["inline", "text_join"])
    return md


@lru_cache(maxsize=1)
def inline_parser() -> MarkdownIt:
    """Return the parser that also reads emphasis, code spans and HTML inside lines."""
    return MarkdownIt("commonmark").enable("table")
