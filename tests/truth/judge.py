"""All oracles together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from truth.adapters import adapters_of
from truth.base import base_of
from truth.card import of_card
from truth.common import Said, Truth
from truth.data import data_of
from truth.evaluation import evaluation_of, losses_of
from truth.machine import machine_of, sums_of
from truth.model import dims_of, model_of, saved_of
from truth.run import legs_of, run_of
from truth.settings import precision_of, training_of

OF_RECORD: tuple[Callable[[dict[str, Any], Truth], Iterator[Said]], ...] = (
    *(run_of, legs_of, model_of, dims_of, base_of, saved_of, adapters_of, training_of, precision_of, data_of),
    *(evaluation_of, losses_of, machine_of, sums_of),
)


def judged(known: dict[str, Any], card: str, name: str, true: Truth) -> list[Said]:
    """Return all that record and card say that an oracle can judge."""
    said = [one for oracle in OF_RECORD for one in oracle(known, true)]
    said += of_card(known.get("slots", {}).get(name, {}), card, true)
    return said
