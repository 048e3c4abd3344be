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
        units: units that the label or the placeholder asks for, the most explicit first.
    """

    slot: Slot
    fact: str
    value: str
    empty: Placeholder | None
    fallback: bool = False
    units: tuple[str, ...] = ()

    @property
    def blank(self) -> bool:
        """Whether nothing at all stands there."""
        return self.empty is not None and self.empty.notation == "blank"

    @property
    def declined(self) -> bool:
        """Whether a person wrote that there is nothing to say: N/A, a dash."""
        return self.empty is not None and self.empty.notation == "declined"

    @property
    def generated(self) -> bool:
        """Whether the text of a tool stands there."""
        return self.empty is not None and self.empty.notation == "generated"
