"""The Markdown parser, made for this package: CommonMark with tables, blocks only, as few tokens as it takes.

One rule: which lines are what is markdown-it-py's to say; here only tokens are left out that nobody
reads.
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

_CELLS = frozenset({"td_open", "td_close", "th_open", "th_close"})


class _Light:
    """A token with nothing in it that the rules for blocks do not fill: two mappings fewer, most of what it costs."""

    __slots__ = (
        "attrs", "block", "children", "content", "hidden", "info", "level", "map", "markup", "meta", "nesting", "tag",
        "type",
    )  # fmt: skip

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
    """The parser's state, whose tables have rows and no cells: of a megabyte of rows these are three tokens in four."""

    __slots__ = ("_cell", "_left_out")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._cell = False
        self._left_out = Token("", "", 0)

    def push(self, ttype: str, tag: str, nesting: Literal[-1, 0, 1]) -> Token:
        """Add a token; of cells and their text make one that nobody sees."""
        if ttype in _CELLS or (self._cell and ttype == "inline"):
            self._cell = nesting == 1 or (self._cell and nesting == 0)
            return self._left_out
        if nesting < 0:
            self.level -= 1
        token = cast("Token", _Light(ttype, tag, nesting, self.level))
        if nesting > 0:
            self.level += 1
            if self.level >= DEEPEST:
                self.env["too deep"] = True
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
        """Do what the parser's own method does, with our state."""
        if not src:
            return None
        state = _State(src, md, env, outTokens)
        self.tokenize(state, state.line, state.lineMax)
        return state.tokens


@lru_cache(maxsize=1)
def parser() -> MarkdownIt:
    """Return the parser of blocks (the text inside them is looked at where it matters)."""
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
