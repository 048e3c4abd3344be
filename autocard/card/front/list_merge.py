"""Which items a list of the front matter (`tags`) gets that people and other tools write, too.

One rule: an item that a person added stays; one that we wrote and a person removed does not come
back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from autocard.card.front.yaml_keys import is_generated, is_withheld


@dataclass(frozen=True)
class Refusals:
    """Which values must not stand in a front matter.

    Attributes:
        withheld: names of base models that no card may show, even if a person wrote them.
        untrue: tags that no longer hold.
    """

    withheld: Collection[str] = ()
    untrue: Collection[str] = ()

    def refuses(self, key: str, value: object, current: str = "") -> bool:
        """Return whether *value* of *key*, with the text *current*, must be replaced or removed.

        It is what a tool writes where it has no real value, or a withheld name.
        """
        return is_generated(key, value, current) or is_withheld(key, value, self.withheld)


@dataclass(frozen=True)
class ListMerge:
    """What becomes of one list.

    Attributes:
        key: its key.
        wanted: the items that this run has.
        current: the items that stand there.
        remembered: the items that were ours after the last fill.
        by_others: those of them that stood there before we wrote them.
        refusals: which items must not stand there.
    """

    key: str
    wanted: list[object]
    current: list[object]
    remembered: list[object]
    by_others: list[object]
    refusals: Refusals

    @cached_property
    def missing(self) -> list[object]:
        """Items to add; an item that we wrote and a person removed is none."""
        return [
            item for item in self.wanted if item not in self.current and item not in self.remembered
        ]

    @cached_property
    def bad(self) -> list[object]:
        """Items to remove."""
        return [item for item in self.current if self._is_bad(item)]

    @cached_property
    def kept(self) -> list[object]:
        """Items that stand there and stay."""
        return [item for item in self.current if item not in self.bad]

    @cached_property
    def written(self) -> list[object]:
        """Items that are ours afterwards.

        What we wrote before and do not have this time stays ours: tags of the library, where no
        trainer is at hand.
        """
        earlier = [item for item in self.remembered if self._is_still_ours(item)]
        return [item for item in self.wanted if self._is_ours(item)] + earlier

    @cached_property
    def found(self) -> list[object]:
        """Items of `written` that others put there."""
        standing = [item for item in self.written if item in self.current]
        return [item for item in standing if item in self.by_others or item not in self.remembered]

    @property
    def changes(self) -> bool:
        """Whether anything has to be added or removed."""
        return bool(self.missing or self.bad)

    @property
    def empties(self) -> bool:
        """Whether nothing is left in the list."""
        return bool(self.bad) and not self.kept and not self.missing

    def _is_bad(self, item: object) -> bool:
        return self.refusals.refuses(self.key, item) or self._is_untrue(item)

    def _is_untrue(self, item: object) -> bool:
        """Return whether *item* does not hold for this run, and only we wrote it."""
        return (
            item in self.refusals.untrue and item in self.remembered and item not in self.by_others
        )

    def _is_ours(self, item: object) -> bool:
        return item in self.current or item in self.missing or item in self.remembered

    def _is_still_ours(self, item: object) -> bool:
        return item in self.current and item not in self.wanted and item not in self.bad


def as_list(value: object) -> list[object]:
    """Return the values of a key that may hold a list, one value alone or nothing."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
