"""Results, and the course of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocard.record.base import Frozen


class Metric(Frozen):
    """One figure of one evaluation."""

    name: str
    """Without the eval_ prefix."""
    value: float | int
    """As the trainer reported it; finite."""
    dataset: str | None = None
    """Which evaluation set, where there are several."""
    split: Literal["evaluation", "prediction"] = "evaluation"
    """`evaluate()` or `predict()`."""
    step: int | None = None
    """Global step of the weights that were evaluated."""


class Best(Frozen):
    """The checkpoint that the trainer took for the best."""

    metric: str | None = None
    """`metric_for_best_model`."""
    value: float | None = None
    """Its value."""
    step: int | None = None
    """Global step."""
    loaded: bool | None = None
    """Whether these weights are the ones in the model at the end."""


class Evaluation(Frozen):
    """What the trainer reported."""

    results: list[Metric] = Field(default_factory=list)
    """Of the weights that the run ended with; an evaluator's figures have "evaluator" for their
    data set."""
    counters: list[str] = Field(default_factory=list)
    """Names of evaluation figures in `history` that count or time the training, and are no results
    (TRL's)."""
    rewards: dict[str, float] = Field(default_factory=dict)
    """Rewards logged last in a policy's training, and their step: reward, rewards/<function>/mean,
    kl, …"""
    not_finite: list[str] = Field(default_factory=list)
    """Metrics of the last evaluations that were not finite numbers, and are not among the results.
    """
    diverged: list[str] = Field(default_factory=list)
    """What shows that training diverged, in words: losses, gradient norms or weights that are not
    finite numbers."""
    best: Best | None = None
    """None: no metric was tracked."""
    train_loss: float | None = None
    """Mean over the steps of the last leg, as the trainer sums it up."""
    history: list[dict[str, float | int | str]] = Field(default_factory=list)
    """The trainer's log, thinned to at most 1,000 points."""
