"""One slot of a form, and the fact that it asks for."""

from __future__ import annotations

from dataclasses import dataclass

from autocard.card.form.placeholders import Placeholder
from autocard.card.markdown.slots import Slot


@dataclass(frozen=True)
class AskedFact:
    """One slot and the fact it asks for.

    Attributes:
        slot: where it is.
        fact: the template variable.
        value: what stands there, line endings as they are.
        empty: which placeholder that is; None: it is a value.
        fallback: it asks only if nothing else does.
    """

    slot: Slot
    fact: str
    value: str
    empty: Placeholder | None
    fallback: bool = False

    @property
    def blank(self) -> bool:
        """Whether nothing at all stands there."""
        return self.empty is not None and self.empty.notation == "blank"

    @property
    def generated(self) -> bool:
        """Whether the text of a tool stands there."""
        return self.empty is not None and self.empty.notation == "generated"
