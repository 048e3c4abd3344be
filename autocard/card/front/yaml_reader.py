"""YAML that other people wrote → nodes and values, within limits that are checked while it is read.

One rule: whatever the text holds, reading it ends soon, in a value or in a `YamlError`. An alias
counts as all the nodes that it stands for, an alias inside of its own target is refused, and every
exception that PyYAML's constructors raise becomes that one error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.resolver import Resolver

MAX_CHARACTERS = 2_000_000
"""A front matter with the results of 1,000 evaluations has 1,500,000."""
MAX_NODES = 500_000
"""Keys, values and lists, each alias counted as what it stands for."""
MAX_DEPTH = 100
"""Lists and mappings inside each other."""
MAX_NUMBER = 400
"""Characters of a number or date; converting a longer one takes time that grows with the square of
its length."""

_NUMBERS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp", "bool"))
_MERGE = "tag:yaml.org,2002:merge"

_RAISED = (
    yaml.YAMLError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What PyYAML raises for text that is no YAML, or that it cannot make a value of (`!!bool maybe`,
`2001-99-99`)."""


class YamlError(ValueError):
    """A text that is no YAML, or that goes beyond the limits.

    Attributes:
        line: line of the text, counted from 0; None: not known.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        """Keep *problem*, which is the message."""
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class Entry:
    """One key of a mapping and its value.

    Attributes:
        key: the key's node.
        value: the value's node; of an alias, what it stands for.
        start: offset of the value, or of the alias.
        alias_end: offset after the alias; -1: the value is none.
        shared: whether an alias elsewhere refers to something in this value.
        plain_key: whether the key is a word, and no alias or list.
    """

    key: yaml.Node
    value: yaml.Node
    start: int
    alias_end: int = -1
    shared: bool = False
    plain_key: bool = True


@dataclass
class _Limits:
    """How much has been read so far."""

    nodes: int = 0
    depth: int = 0
    sizes: dict[int, int] = field(default_factory=dict)
    """id of a node with an anchor → how many nodes it stands for."""
    open_anchors: set[str] = field(default_factory=set)
    """Anchors of the lists and mappings that are not closed yet."""


class _Bounded(Composer):
    """PyYAML's composer, with limits; it keeps the places of the outermost keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self._read = _Limits()
        self._places: list[tuple[int, int]] = []
        self._entry = -1
        self._anchored: dict[str, int] = {}
        """Anchor → number of the outermost mapping's entry that it stands in."""
        self._shared: set[int] = set()
        self._odd_keys: set[int] = set()

    def entries(self, root: yaml.MappingNode) -> list[Entry]:
        """Return the entries of the outermost mapping, which has just been composed."""
        return [
            Entry(
                key,
                value,
                *self._places[number],
                number in self._shared,
                number not in self._odd_keys,
            )
            for number, (key, value) in enumerate(root.value)
        ]

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node, as PyYAML does, within the limits."""
        event = self.peek_event()  # type: ignore[attr-defined]
        if self._read.depth == 1 and isinstance(parent, yaml.MappingNode):
            self._note_place(event, is_key=index is None)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, parent, index)
        if event.anchor is None:
            return self._nested(event, parent, index)
        read = self._read
        self._anchored[event.anchor] = self._entry
        read.open_anchors.add(event.anchor)
        before = read.nodes
        node = self._nested(event, parent, index)
        read.open_anchors.discard(event.anchor)
        read.sizes[id(node)] = read.nodes - before
        return node

    def _note_place(self, event: Any, *, is_key: bool) -> None:
        """Keep where a key or a value of the outermost mapping stands."""
        if is_key:
            self._entry += 1
            if not isinstance(event, yaml.ScalarEvent):
                self._odd_keys.add(self._entry)
            return
        is_alias = isinstance(event, yaml.AliasEvent)
        alias_end = event.end_mark.index if is_alias else -1
        self._places.append((event.start_mark.index, alias_end))

    def _nested(self, event: Any, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node that is no alias, and what stands in it."""
        self._count(1, event)
        self._read.depth += 1
        if self._read.depth > MAX_DEPTH:
            problem = f"more than {MAX_DEPTH} lists and mappings inside each other"
            raise YamlError(problem, event.start_mark.line)
        node = super().compose_node(parent, index)
        self._read.depth -= 1
        return node

    def _alias(self, event: Any, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if event.anchor in self._read.open_anchors:
            problem = f"the alias *{event.anchor} stands inside of what it stands for"
            raise YamlError(problem, event.start_mark.line)
        node = super().compose_node(parent, index)
        self._count(self._read.sizes.get(id(node), 1), event)
        if self._anchored.get(event.anchor) != self._entry:
            self._shared.add(self._anchored.get(event.anchor, -1))
        return node

    def _count(self, nodes: int, event: Any) -> None:
        self._read.nodes += nodes
        if self._read.nodes > MAX_NODES:
            problem = f"more than {MAX_NODES} values, aliases counted as what they stand for"
            raise YamlError(problem, event.start_mark.line)


class _Values(SafeConstructor):
    """PyYAML's constructor, without numbers that take long to convert."""

    def construct_scalar(self, node: Any) -> Any:
        """Return the text of *node*."""
        if (
            isinstance(node, yaml.ScalarNode)
            and node.tag in _NUMBERS
            and len(node.value) > MAX_NUMBER
        ):
            raise ConstructorError(
                None, None, f"a number of {len(node.value)} characters", node.start_mark
            )
        return super().construct_scalar(node)


try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Reader(_Bounded, Reader, Scanner, Parser, Resolver):
        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)
            _Bounded.__init__(self)
            Resolver.__init__(self)

else:

    class _Reader(_Bounded, CParser, Resolver):  # type: ignore[no-redef]
        """libyaml's events, in a tenth of the time; PyYAML's composer makes the nodes."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            _Bounded.__init__(self)
            Resolver.__init__(self)


def entries(text: str) -> list[Entry] | None:
    """Return the keys and values of *text*, a YAML mapping in block style; None: it is empty.

    Raises:
        YamlError: it is no such mapping, or goes beyond the limits.
    """
    reader, root = _compose(text)
    if root is None:
        return None
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        problem = "not a list of `key: value` lines"
        raise YamlError(problem)
    return reader.entries(root)


def load(text: str) -> Any:
    """Return the value of the YAML *text*.

    Raises:
        YamlError: it is no YAML, goes beyond the limits, or has a value that cannot be read.
    """
    _, root = _compose(text)
    return None if root is None else value(root)


def key_lines(text: str) -> dict[str, int]:
    """Return the line, counted from 0, of each key of *text*: `facts.hours_used.words` → 4.

    Raises:
        YamlError: it is no YAML, or goes beyond the limits.
    """
    _, root = _compose(text)
    found: dict[str, int] = {}
    left = [("", root)]
    seen = set()
    while left:
        path, node = left.pop()
        # An alias may lead to the same mapping again and again.
        if not isinstance(node, yaml.MappingNode) or id(node) in seen:
            continue
        seen.add(id(node))
        for key, item in node.value:
            name = f"{path}.{key.value}" if path else str(key.value)
            found[name] = key.start_mark.line
            left.append((name, item))
    return found


def value(node: yaml.Node) -> Any:
    """Return the value of *node*.

    Raises:
        YamlError: it cannot be read, such as a date that does not exist or a tag of the author's
            own.
    """
    try:
        return _Values().construct_document(node)
    except _RAISED as exc:
        raise YamlError(_problem(exc), _line(exc)) from exc


def merged_keys(node: yaml.Node) -> dict[str, yaml.Node]:
    """Return the keys and values that *node*, the value of a merge key `<<`, brings."""
    found: dict[str, yaml.Node] = {}
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            found = {**merged_keys(item), **found}
    elif isinstance(node, yaml.MappingNode):
        for key, item in node.value:
            if key.tag == _MERGE:
                found = {**merged_keys(item), **found}
            elif isinstance(key, yaml.ScalarNode):
                found[key.value] = item
    return found


def _compose(text: str) -> tuple[_Bounded, yaml.Node | None]:
    if len(text) > MAX_CHARACTERS:
        problem = f"{len(text)} characters, more than {MAX_CHARACTERS}"
        raise YamlError(problem)
    try:
        reader = _Reader(text)
        root = reader.get_single_node()
    except YamlError:
        raise
    except _RAISED as exc:
        raise YamlError(_problem(exc), _line(exc)) from exc
    reader.dispose()
    return reader, root


def _problem(exc: BaseException) -> str:
    return str(getattr(exc, "problem", None) or "a value that cannot be read")


def _line(exc: BaseException) -> int | None:
    mark = getattr(exc, "problem_mark", None)
    return None if mark is None else int(mark.line)
