"""A filled card without our texts: what was added goes, and placeholders stand where they stood.

One rule: only what stands exactly as we wrote it goes. A person's words, and what they changed of
ours, stay to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping

from autocard.card.fill import proof
from autocard.card.fill.fill_plan import FillPlan
from autocard.card.fill.fill_state import FillState
from autocard.card.fill.removal import Removal
from autocard.card.fill.restorer import Restorer
from autocard.card.fill.text_offsets import TextOffsets
from autocard.card.fill.written_text import HIDDEN, WAS, YAML
from autocard.card.form.labels import Labels
from autocard.card.front import front_matter
from autocard.card.markdown.document import without_front_matter
from autocard.card.markdown.edit import Edit, separated
from autocard.card.report import Filled


def restore(text: str, remembered: Mapping[str, str], labels: Labels) -> Filled:
    """Return the card *text* without what autocard wrote into it.

    Args:
        text: the card.
        remembered: `Filled.slots` of its last fill.
        labels: which words ask for which fact.

    Raises:
        CardError: that cannot be done with certainty. Nothing was written.
    """
    state = FillState(text, {}, remembered, (), {}, labels, added=(), left_out=labels.kinds.keys())
    restorer = Restorer(state, Removal(state))
    if state.hides_empty_slots:
        # A card that we made keeps its places, hidden, so that the next fill finds them.
        restorer.title()
        restorer.edited_texts()
        FillPlan(state).run()
    else:
        restorer.run()
    in_front = _front_edits(state)
    planned = sorted([*(in_front or ()), *state.edits], key=lambda edit: edit.key)
    edits = separated(planned, state.document.newline)
    after = proof.apply(text, edits)
    proof.prove(state.document, after, edits)
    slots = state.slots(after, TextOffsets(planned, edits, state.document.newline))
    # Nothing counts as removed by a person any more: the next fill may write all of it again.
    slots = {name: value for name, value in slots.items() if HIDDEN in name}
    if in_front is None:
        after = without_front_matter(after)
    return Filled(after, slots, tuple(state.reports))


def _front_edits(state: FillState) -> list[Edit] | None:
    """Return the edits of the front matter; None: nothing is left in it, and it goes."""
    document = state.document
    if document.front is None:
        return []
    start, end = document.front
    remembered = dict(state.remembered)
    if state.hides_empty_slots:
        # A card that we made never showed the form's `{{ card_data }}`, which is no YAML.
        remembered.pop(WAS + YAML + front_matter.ALL_KEYS, None)
    patched = front_matter.without_ours(state.text[start:end], remembered, document.newline)
    if not patched.yaml.strip():
        return None
    return [Edit(start + edit.start, start + edit.end, edit.text) for edit in patched.edits]
