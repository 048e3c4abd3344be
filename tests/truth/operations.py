"""Oracles of floating-point operations: against torch's own counter on one batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth
from truth.observe import total

FACTOR = 2.0
"""By what an estimate may be off: embeddings, attention products and small heads are not in it, and
models are tiny."""


def operations_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    time, one = known["time"], true.replay
    tokens = total([step.tokens for step in true.observed.steps])
    first = not true.step_begin and len(known["legs"]) == 1 and not known["run"]["earlier_run"]
    if (
        one is None
        or not one.tokens
        or not tokens
        or not one.operations
        or not first
        or true.args.world_size > 1
    ):
        return
    counted = one.operations * tokens / one.tokens
    for name in ("flops_estimate",):
        if time[name]:
            ratio = time[name] / counted
            yield f"time.{name}", f"{ratio:.2f} of {counted:.3g}", 1 / FACTOR <= ratio <= FACTOR


def meaning_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Only tokens are tokens: no count of operations for pictures and sound by "6 × parameters × tokens"."""
    time = known["time"]
    takes = getattr(true.inner, "main_input_name", "input_ids")
    if time["flops"] is not None and takes != "input_ids":
        yield (
            "time.flops (method)",
            f"{time['flops_method']} for {takes}",
            "token" not in (time["flops_method"] or ""),
        )
