"""Trainings on the CPU that autocard takes for trainings on a GPU, to measure the stand-ins of nvml_stand_in.py."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainingArguments


class Arguments(TrainingArguments):
    """Arguments whose device is CUDA while autocard handles an event, and the CPU otherwise."""

    ordinal: int | None = None
    shown = False

    @property
    def device(self):
        cuda = Arguments.shown and Arguments.ordinal is not None
        return torch.device("cuda", Arguments.ordinal) if cuda else super().device

    @property
    def n_gpu(self):
        return 1 if Arguments.shown and Arguments.ordinal is not None else super().n_gpu


def callback_class() -> Any:
    """Return autocard's callback, with the GPU shown to it."""
    from autocard import AutoCardCallback

    class Card(AutoCardCallback):
        def _handle(self, event, *rest):
            Arguments.shown = True
            try:
                super()._handle(event, *rest)
            finally:
                Arguments.shown = False

    return Card
