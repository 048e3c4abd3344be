"""Add to ledger entries what came after their leg: late figures, evaluations."""

from __future__ import annotations

from autocard.energy.ledger.ledger_entry import UNKNOWN_AFTER, LedgerEntry, utc_now

OF_METER = (
    "hosts",
    "checkpoints",
    "setup_j",
    "evaluation_j",
    "place",
    "intensity_g_per_kwh",
    "intensity_source",
    "intensity_year",
)
"""Fields of a leg that the meter provides."""


def with_evaluation(entry: LedgerEntry, joules: float | None) -> LedgerEntry:
    """Return *entry* with an additional evaluation; *joules* None: it was not measured."""
    before_j, after_j, missing = entry.leg.evaluation_j, None, entry.missing
    if joules is not None and before_j is not None:
        after_j = before_j + joules
    else:
        missing = {**missing, "evaluation_j": UNKNOWN_AFTER}
    return entry.with_leg(entry.leg.model_copy(update={"evaluation_j": after_j}), missing)


def with_figures(entry: LedgerEntry, measured: LedgerEntry) -> LedgerEntry:
    """Return *entry* with the figures of *measured* and their gaps."""
    figures = {name: getattr(measured.leg, name) for name in OF_METER}
    missing = {path: why for path, why in entry.missing.items() if not _is_of_meter(path)}
    missing |= {path: why for path, why in measured.missing.items() if _is_of_meter(path)}
    changed = entry.with_leg(entry.leg.model_copy(update=figures), missing)
    return changed.model_copy(update={"written_at": utc_now()})


def _is_of_meter(path: str) -> bool:
    return path.partition(".")[0] in OF_METER


def with_later_figures(reported: LedgerEntry, later: LedgerEntry) -> LedgerEntry:
    """Return the *reported* entry with the figures of the *later* one, evaluations excepted.

    Evaluations after training come through `evaluated_elsewhere`.
    """
    leg = later.leg.model_copy(update={"evaluation_j": reported.leg.evaluation_j})
    missing = {path: why for path, why in later.missing.items() if path != "evaluation_j"}
    if "evaluation_j" in reported.missing:
        missing["evaluation_j"] = reported.missing["evaluation_j"]
    return reported.with_leg(leg, missing)
