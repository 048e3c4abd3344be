"""TRL's own card as a form: what TRL writes for want of a fact is set right.

One rule: the words of TRL stay: its method, links, badges and citations. Texts are those of TRL
1.16 (templates/lm_model_card.md, rm_model_card.md).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from autocard.card.fields.words import hub_id
from autocard.card.libraries.usage_code import HERE
from autocard.record import RunRecord

_LICENCE = re.compile(r"^licence: license\n", re.MULTILINE)
"""A key that the Hub does not have, with a value that says nothing."""
_PIPELINE = re.compile(
    r'^(?P<call>(?:generator|rewarder) = pipeline\((?:"text-generation", )?model=)'
    r'"(?P<model>[^"\n]*)"',
    re.MULTILINE,
)
"""`generator = pipeline("text-generation", model="me/out", device_map="auto")`."""
_NO_BADGES = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}\n")
"""Blank lines where badges, or a citation of the method, would stand."""
_NAMELESS = "None"
"""The name by which TRL's code loads a model without a repository; such code is no answer."""


def prepared(text: str, record: RunRecord | None, local_names: Collection[str] = ()) -> str:
    """Return TRL's card *text* without its placeholders, and with usage code that works, or none.

    Code that would not work loads a model "None", so that ours takes its place.

    Args:
        text: the card.
        record: of the run; None: it is not known yet.
        local_names: paths that the model was loaded from.
    """
    head, fence, body = text.partition("\n---\n")
    text = _LICENCE.sub("", head + "\n") + fence.removeprefix("\n") + _NO_BADGES.sub("\n\n", body)
    found = _PIPELINE.search(text)
    if found is None or record is None:
        return text
    place = _place(found["model"], record, is_local=bool(local_names))
    comment = f"{HERE}\n" if place == "." else ""
    return f'{text[: found.start()]}{comment}{found["call"]}"{place}"{text[found.end() :]}'


def _place(named: str, record: RunRecord, *, is_local: bool) -> str:
    """Return the name by which TRL's code loads the model of *record*; "None": it cannot.

    Args:
        named: the repository that TRL names.
        record: of the run.
        is_local: whether the model was loaded from a folder.
    """
    model = record.model
    is_adapter = bool(record.adapters) and not model.adapters_merged
    if is_adapter and (is_local or not hub_id(model.base_model)):
        return _NAMELESS  # the adapter's configuration names a folder
    if model.auto_class == "AutoModelForCausalLM":
        # The example is a conversation, which only a chat template makes a prompt of.
        if record.data.preprocessing.chat_template_sha256 is None:
            return _NAMELESS
        return named if "/" in named else "."
    # A pipeline asks the Hub for the task of a model: a folder has none.
    return named if "/" in named else _NAMELESS
