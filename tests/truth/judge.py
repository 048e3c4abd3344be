"""All oracles together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from truth.adapters import adapters_of, card_of_adapters, tensors_of, weights_saved
from truth.base import base_of, ids_of, weights_of_base
from truth.batches import batch_of, epochs_of, padding_of, speed_of, tokens_of
from truth.card import of_card
from truth.common import Said, Truth
from truth.data import data_of
from truth.evaluation import evaluation_of, losses_of, model_evaluated, weights_evaluated
from truth.machine import machine_of, sums_of
from truth.model import dims_of, model_of, saved_of, sizes_of
from truth.objective import loss_of, names_of
from truth.operations import meaning_of, operations_of
from truth.run import legs_of, run_of
from truth.schedule import learning_rate_of, schedule_of, warmup_of
from truth.settings import precision_of, training_of

OF_RECORD: dict[str, tuple[Callable[[dict[str, Any], Truth], Iterator[Said]], ...]] = {
    "run and time": (run_of, legs_of),
    "model": (model_of, dims_of, sizes_of, saved_of),
    "base": (base_of, weights_of_base),
    "adapters": (adapters_of, tensors_of, weights_saved),
    "settings": (training_of, precision_of),
    "objective": (loss_of, names_of),
    "schedule": (schedule_of, warmup_of, learning_rate_of),
    "batch, speed, tokens": (batch_of, speed_of, tokens_of, epochs_of),
    "operations": (operations_of, meaning_of),
    "data": (data_of,),
    "evaluation": (evaluation_of, losses_of, weights_evaluated, model_evaluated),
    "machine and sums": (machine_of, sums_of),
}
"""Subject → its oracles."""


def by_subject(known: dict[str, Any], card: str, name: str, true: Truth) -> dict[str, list[Said]]:
    """Return, by subject, all that record and card say that an oracle can judge."""
    told = {
        subject: [one for oracle in oracles for one in oracle(known, true)]
        for subject, oracles in OF_RECORD.items()
    }
    slots = known.get("slots", {}).get(name, {})
    told["base"] += ids_of(known, card, true)
    told["batch, speed, tokens"] += padding_of(known, card, true)
    told["adapters"] += card_of_adapters(slots, true)
    told["card's claims"] = list(of_card(slots, card, true))
    return told


def judged(known: dict[str, Any], card: str, name: str, true: Truth) -> list[Said]:
    """Return all that record and card say that an oracle can judge."""
    return [one for told in by_subject(known, card, name, true).values() for one in told]
