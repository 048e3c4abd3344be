"""Which tokens carry the loss in supervised fine-tuning, checked against rows' labels.

Labels are read from the table of a few rows, without formatting or transforms; -100 is the label
that losses leave out.
"""

from __future__ import annotations

from typing import Any

from autocard.capture.data.token_lengths import inside

LEFT_OUT = -100
_ROWS = 8
_COMPLETIONS = " on completion tokens only"
_ASSISTANT = " on assistant tokens only"
_BOTH = " on assistant tokens of the completions only"
_LABELED = " on labeled tokens only"


def tokens_with_loss(args: Any, trainer: Any) -> str:
    """Return which tokens carry the loss, as the end of a phrase; "": all, or not known."""
    told = getattr(trainer, "completion_only_loss", None)
    completions = told if told is not None else getattr(args, "completion_only_loss", None)
    assistant = getattr(args, "assistant_only_loss", False)
    words = {(True, True): _BOTH, (True, False): _COMPLETIONS, (False, True): _ASSISTANT}.get(
        (bool(completions), bool(assistant)), ""
    )
    masked = some_left_out(getattr(trainer, "train_dataset", None))
    if masked is None:
        return words
    return (words or _LABELED) if masked else ""


def some_left_out(data: Any) -> bool | None:
    """Return whether labels of the first rows leave tokens out; None: no such column."""
    data = inside(data)
    if (
        type(data).__name__ != "Dataset"
        or not hasattr(data, "data")
        or "labels" not in data.column_names
    ):
        return None
    column, order = data.data.column("labels"), getattr(data, "_indices", None)
    count = min(len(data), _ROWS)
    rows = [index if order is None else order.column(0)[index].as_py() for index in range(count)]
    labels = [column[row].as_py() for row in rows]
    if not labels or not all(isinstance(one, list) for one in labels):
        return None
    return any(LEFT_OUT in one for one in labels)
