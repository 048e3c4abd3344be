"""The mean power of a run's GPUs: their energy over their time."""

from __future__ import annotations

from autocard.record import RunRecord
from autocard.totals.leg_sums import J_PER_KWH


def gpu_w(record: RunRecord) -> float | None:
    """Return the watts of one GPU, the mean over all GPUs and starts.

    None: there was no GPU, or its energy or time is not known.
    """
    gpu_kwh, gpu_s = record.energy.gpu_kwh, record.time.gpu_s
    if not gpu_kwh or not gpu_s:
        return None
    return gpu_kwh * J_PER_KWH / gpu_s
