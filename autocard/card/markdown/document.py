r"""Markdown text → front matter, headings, sections and their blocks, each with its place.

One rule: nothing is ever rendered back. markdown-it-py decides which lines are code, comments,
lists or tables; places are offsets into the text as it stands, and edits slice that text. Lines
end at "\n" only, as in that parser once carriage returns are blanks to it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

from markdown_it.token import Token

from autocard.card.markdown.front_place import find_front_matter
from autocard.card.markdown.metadata_blocks import metadata_blocks
from autocard.card.markdown.parser import TOO_DEEP, parser
from autocard.card.markdown.shown_html import shown_html

_KINDS = {
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
    "blockquote_open": "quote",
    "hr": "rule",
}


@dataclass(frozen=True)
class Block:
    """One block at the top level of the document (not inside a list or quote).

    Attributes:
        kind: paragraph, list, table, code, quote, rule, html, or comment (HTML that shows nothing).
        start: offset of its first character.
        end: offset after its last character, the last newline left out.
        tokens: the parser's tokens of it, with line numbers of the body.
    """

    kind: str
    start: int
    end: int
    tokens: list[Token] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Heading:
    """One heading.

    Attributes:
        level: 1 to 6.
        title: its Markdown, without marks at either end.
        path: titles of the headings above it, outermost first, and its own.
        start: offset of its first line.
        end: offset after its last line, the newline included.
        setext: underlined rather than marked with `#`.
    """

    level: int
    title: str
    path: tuple[str, ...]
    start: int
    end: int
    setext: bool


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, up to the next heading of any level.

    Attributes:
        heading: None for what stands before the first heading.
        start: offset where its own content begins.
        end: offset where the next heading (or nothing) begins.
        extent: offset where the last of its subsections ends.
        blocks: its own content, in order.
    """

    heading: Heading | None
    start: int
    end: int
    extent: int
    blocks: tuple[Block, ...]

    @property
    def level(self) -> int:
        """Level of the heading; 0 without one."""
        return self.heading.level if self.heading else 0

    @property
    def path(self) -> tuple[str, ...]:
        """Titles from the outermost heading to this one."""
        return self.heading.path if self.heading else ()


class Document:
    r"""A card's text, read once.

    Attributes:
        text: as it stands in the file, a BOM included.
        newline: the line ending that its first line has; "\n" where there is none.
        front: offsets of the YAML between the `---` lines, or None.
        body: offset where the Markdown begins.
        sections: in order; the first one has no heading.
        references: names of the link references that are defined, upper case.
        too_deep: lists or quotes are nested so deep that what follows them was not read.
        top: offset after a BOM.
        metadata: blocks of YAML in the body, which the Hub does not read.
    """

    def __init__(self, text: str, *, part: bool = False) -> None:
        """Read *text*, a card or (*part*) sections from one; never fails."""
        self.text = text
        first = text.find("\n")
        self.newline = "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
        self.top = 1 if text.startswith("\ufeff") else 0
        self.front, self.body = (None, 0) if part else find_front_matter(text, self.top)
        self._starts = _line_starts(text, self.body)
        env: dict[str, Any] = {}
        # A lone carriage return is a line ending for the parser, but not for us. The parser
        # replaces a NUL by one character, so offsets stay.
        tokens = parser().parse(text[self.body :].replace("\r", " "), env)
        self.references = frozenset(env.get("references", {}))
        self.too_deep = TOO_DEEP in env
        self.metadata = tuple(metadata_blocks(text, self.body))
        self.sections = tuple(self._sections(tokens))
        self._section_starts = [section.start for section in self.sections]

    def offset(self, line: int) -> int:
        """Return where *line* of the body (from 0) begins; for lines after it, the text's end."""
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def line_end(self, line: int) -> int:
        """Return where *line* of the body ends, before its line ending."""
        end = self.offset(line + 1)
        if line + 1 < len(self._starts):
            end -= 1
        while end > self.offset(line) and self.text[end - 1] == "\r":
            end -= 1
        return end

    @property
    def open_end(self) -> int:
        """Where a comment or code block begins that is never closed; -1: all are closed.

        Everything after it belongs to it.
        """
        for section in reversed(self.sections):
            if section.blocks:
                last = section.blocks[-1]
                return last.start if _is_open(self.text, last) else -1
        return -1

    def body_line(self, offset: int) -> int:
        """Return the line of the body, counted from 0, that *offset* lies in."""
        return bisect_right(self._starts, offset) - 1

    def section_at(self, offset: int) -> int:
        """Return the number of the section that *offset* is in; in a heading, of the one above."""
        return max(0, bisect_right(self._section_starts, offset) - 1)

    def line_number(self, offset: int) -> int:
        """Return the line of the file, counted from 1, that *offset* lies in."""
        return self.text.count("\n", 0, self.body) + bisect_right(self._starts, offset)

    def _sections(self, tokens: list[Token]) -> list[Section]:
        headings: list[tuple[Heading, int]] = []
        blocks: list[list[Block]] = [[]]
        above: list[Heading] = []
        for index, last in top_level(tokens):
            token = tokens[index]
            if token.map is None:
                continue
            if self._is_metadata(token):
                blocks[-1].append(self._block("other", tokens[index : last + 1]))
            elif token.type == "heading_open":
                heading = self._heading(token, tokens[index + 1], above)
                headings.append((heading, index))
                blocks.append([])
            else:
                blocks[-1] += self._blocks(tokens[index : last + 1])
        found = [heading for heading, _ in headings]
        ends = [heading.start for heading in found] + [len(self.text)]
        extents = _extents(found, len(self.text))
        sections = [Section(None, self.body, ends[0], ends[0], tuple(blocks[0]))]
        for heading, end, extent, own in zip(found, ends[1:], extents, blocks[1:], strict=True):
            sections.append(Section(heading, heading.end, end, extent, tuple(own)))
        return sections

    def _heading(self, token: Token, inline: Token, above: list[Heading]) -> Heading:
        first, after = token.map or (0, 0)
        level = int(token.tag[1])
        while above and above[-1].level >= level:
            above.pop()
        title = inline.content.strip()
        path = (*(above[-1].path if above else ()), title)
        setext = not token.markup.startswith("#")
        heading = Heading(level, title, path, self.offset(first), self.offset(after), setext)
        above.append(heading)
        return heading

    def _is_metadata(self, token: Token) -> bool:
        """Return whether *token* lies in a block of metadata: its `---` makes no heading."""
        first, after = token.map or (0, 0)
        start, end = self.offset(first), self.offset(after)
        return any(block.start <= start and end <= block.end for block in self.metadata)

    def _block(self, kind: str, tokens: list[Token]) -> Block:
        first, after = tokens[0].map or (0, 0)
        start, end = self.offset(first), self.line_end(after - 1)
        # Lists and tables may claim the blank lines after them.
        while end > start and self.text[end - 1] in " \t\r\n\f":
            end -= 1
        return Block(kind, start, end, tokens)

    def _blocks(self, tokens: list[Token]) -> list[Block]:
        block = self._block(_KINDS.get(tokens[0].type, "other"), tokens)
        if tokens[0].type != "html_block":
            return [block]
        start, end = block.start, block.end
        html = self.text[start:end]
        shown = shown_html(html)
        if not shown.text:
            return [Block("comment", start, end, tokens)]
        if shown.start is None:
            return [Block("html", start, end, tokens)]
        # `<!-- guidance --> words`: a reader sees the words.
        comment_end = start + len(html[: shown.start].rstrip())
        return [
            Block("comment", start, comment_end, tokens),
            Block("paragraph", start + shown.start, end, []),
        ]


def _line_starts(text: str, start: int) -> list[int]:
    """Return the offset of each line of *text* from *start* on."""
    starts = [start]
    newline = text.find("\n", start)
    while newline >= 0:
        starts.append(newline + 1)
        newline = text.find("\n", newline + 1)
    return starts


def top_level(tokens: list[Token]) -> list[tuple[int, int]]:
    """Return (first, last) indices of every block among *tokens* that lies in no other."""
    found = []
    opened = 0
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting >= 0:
            opened = index
        if token.level == 0 and token.nesting <= 0:
            found.append((opened, index))
    return found


def _is_open(text: str, block: Block) -> bool:
    """Return whether *block*, the last one of *text*, is a comment or code that is never closed."""
    content = text[block.start : block.end]
    if block.kind in ("comment", "html"):
        return content.rfind("<!--") > content.rfind("-->")
    if block.kind != "code" or block.tokens[0].type != "fence":
        return False
    return not _closes(content, block.tokens[0].markup)


def _closes(fence: str, mark: str) -> bool:
    """Return whether the text of a fenced block ends in a line that closes what *mark* opened."""
    last = fence.rpartition("\n")[2].strip()
    return "\n" in fence and len(last) >= len(mark) and not last.strip(mark[0])


def _extents(headings: list[Heading], end: int) -> list[int]:
    """Return for each heading where the last of its subsections ends."""
    extents = [end] * len(headings)
    enclosing: list[int] = []
    for index, heading in enumerate(headings):
        while enclosing and headings[enclosing[-1]].level >= heading.level:
            extents[enclosing.pop()] = heading.start
        enclosing.append(index)
    return extents


def without_front_matter(text: str) -> str:
    """Return the card *text* without its front matter and the blank line below it."""
    document = Document(text)
    return text[: document.top] + text[document.body :].removeprefix(document.newline)
