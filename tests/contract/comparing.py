"""Hold the record of a training of today against the frozen one of the same training: all but measured figures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import words

MEASURED = re.compile(
    r"autocard_version|run\.(id|started_at|ended_at|earlier_run)|legs\.\d+\.(id|started_at|ended_at|\w+_s|\w+_j)"
    r"|legs\.\d+\.(hosts|checkpoints|intensity)|time\.|energy\.|emissions\.\w*(g|l)$|search\.(wall_clock_s|total_kwh)"
    r"|hardware\.|software\.|slots|evaluation\.(results\.\d+\.value|train_loss|history|best\.value|rewards|counters)"
    r"|adapters\.\d+\.earlier_run|data\.preprocessing\.chat_template_sha256|model\.(saved|checkpoint)_bytes"
    r"|code\.|legs\.\d+\.co2eq_g|training\.learning_rates"
)
"""Leaves whose value differs from one training to the next, or from one machine to the next: here
they need only to be there in both, or in neither."""
OF_THE_MACHINE = re.compile(
    r"hardware|missing\.hardware|software|missing\.(emissions|legs\.\d+\.place)\.cloud"
)
"""Not compared at all."""
CHOSEN = "training.hyperparameters.learning_rate"
"""What the search of `trainings` chooses at random."""

NOT_CLAIMED = (
    ("data.eval.0.description", "an in-memory dataset", None),
    (
        "missing.data.eval.0.description",
        "(no such leaf)",
        "not known to be a part of the training data",
    ),
)
"""Evaluation rows in memory have no description where a person named several training sets (since)."""

BROKEN_OFF = "not measured: training was interrupted, so its last readings are missing"
"""Reason in the frozen record of a training that raised. Since then its energy is measured."""
OF_A_MEASUREMENT = re.compile(r"(missing\.)?(energy|emissions|legs|time)(\.|$)")

FIELDS = Path(__file__).parent / "surface" / "fields.json"
"""The fields that there were: one that was added since is no difference."""


def differences(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield what *now* says otherwise than *then*, a line for each leaf."""
    before, after = dict(_leaves(words.of_today(then))), dict(_leaves(now))
    fields = {line.partition(":")[0] for line in json.loads(FIELDS.read_text(encoding="utf-8"))}
    was_measured = BROKEN_OFF not in before.values()
    for path in sorted({*before, *after}):
        if (
            OF_THE_MACHINE.match(path)
            or (not was_measured and OF_A_MEASUREMENT.match(path))
            or path.startswith("slots.")
            or (path == CHOSEN and now["search"])
        ):
            continue
        if path not in before and _is_new(path, fields):
            continue
        one, other = before.get(path, "(no such leaf)"), after.get(path, "(no such leaf)")
        if (path, one, other) in NOT_CLAIMED and len(now["data"]["train"]) > 1:
            continue
        if MEASURED.match(path):
            one, other = one is None, other is None
        if _plain(one) != _plain(other):
            yield f"{path}: {one!r}, now {other!r}"


def _is_new(path: str, fields: set[str]) -> bool:
    """Return whether *path*, of a value or a reason, is of none of *fields*, nor of a part that holds some of them."""
    name = re.sub(r"\.\d+(?=\.|$)", "[]", path.removeprefix("missing."))
    beginnings = {name[: found.start()] for found in re.finditer(r"\.|\[\]|$", name)}
    return not beginnings & fields and not any(field.startswith(name) for field in fields)


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    inner = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else None
    )
    if inner is None or not node:
        yield path.rstrip("."), node
        return
    for name, value in inner:
        yield from _leaves(value, f"{path}{name}.")


def _plain(value: Any) -> Any:
    """Return a text without the figures and names that each training makes up."""
    return (
        re.sub(r"\d(?:[\d.,]*\d)?(?:e[+-]?\d+)?|\b[0-9a-f]{12}\b", "N", value)
        if isinstance(value, str)
        else value
    )
