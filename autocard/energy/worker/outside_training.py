"""Energy outside the training window: set-up before a leg, evaluations after it.

Rule: set-up, leg and evaluations are cut out of the same running totals, so no joule is counted
twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from autocard.energy.gpu.counter_totals import CounterTotals
from autocard.energy.host import power_model
from autocard.energy.host.codecarbon_reader import CodeCarbonInfo
from autocard.energy.host.host_counters import HostReadings
from autocard.energy.ledger import source_words
from autocard.energy.readings import Sample, SampleHistory, Used
from autocard.energy.worker.leg_tracker import LegTracker

TRAINED_BEFORE = (
    "the process had trained before, or searched for hyperparameters; the time in between is not "
    "set-up"
)
OWN = "; read by autocard"


@dataclass(frozen=True)
class OwnReadings:
    """Our own readings, for stretches of which CodeCarbon has not read enough."""

    about: CodeCarbonInfo | None
    """How CodeCarbon works here; None: it has not started."""
    counters: HostReadings
    sampler: CounterTotals | None

    def used(self, begin_s: float, end_s: float) -> Used | None:
        """Return what was used between two moments; None: it is not known."""
        if self.about is None:
            return None
        joules = power_model.joules(self.about, self.counters.stretches(begin_s, end_s))
        if self.sampler is not None:
            begin_j, end_j = self.sampler.at(begin_s), self.sampler.at(end_s)
            if begin_j is None or end_j is None:
                return None
            joules |= {uuid: end_j[uuid] - begin_j[uuid] for uuid in begin_j}
        return Used(joules, note=OWN)


class OutsideTraining:
    """The readings before and after training."""

    def __init__(self, start_s: float | None) -> None:
        """Begin without readings.

        Args:
            start_s: when set-up began (monotonic seconds); None: this worker was started for a
                later training.
        """
        self._start_s = start_s
        self._before = SampleHistory()
        self._after = SampleHistory()
        self._begin_s: float | None = None
        self._later = 0

    def begin(self, at_s: float, *, has_setup: bool = True) -> None:
        """Note that training begins. A second training has no set-up."""
        first = self._begin_s is None and has_setup
        self._later = 0 if first else 2
        self._begin_s = at_s if first else -1.0
        self._after = SampleHistory()

    def add(self, host: Sample | None, sampler: CounterTotals | None, *, training: bool) -> None:
        """Take a reading of everything; *training*: a leg is open."""
        if host is None:
            return
        joules = dict(host.joules)
        if sampler is not None:
            joules |= sampler.at(host.at_s) or dict(sampler.joules)
        sample = Sample(host.at_s, joules)
        if not training and self._begin_s is not None:
            self._after.add(sample)
        elif self._later < 2:  # noqa: PLR2004 - two readings show the power at the begin
            self._later += training
            self._before.add(sample)

    def setup(self, tracker: LegTracker, own: OwnReadings) -> tuple[float | None, str]:
        """Return the joules before training, and how they are known or why they are not."""
        if self._start_s is None or self._begin_s is None or self._begin_s < 0:
            return None, TRAINED_BEFORE
        used = self._before.between(self._start_s, self._begin_s)
        if used.reason is not None:
            used = own.used(self._start_s, self._begin_s) or used
        joules = _booked(used, tracker)
        if joules is None:
            return None, used.reason or "not all parts were read"
        length_s = self._begin_s - self._start_s
        words = f"measured like the training; {length_s:.1f} s long"
        if used.before_s >= length_s:  # no reading lies in it
            return joules, f"{words}{used.note}; extrapolated from the readings after it"
        return joules, words + source_words.gaps(used)

    def after(
        self, begin_s: float, end_s: float, tracker: LegTracker, own: OwnReadings
    ) -> float | None:
        """Return the joules of a stretch after training; None: they are not known."""
        used = self._after.between(begin_s, end_s)
        if used.reason is not None:
            used = own.used(begin_s, end_s) or used
        return _booked(used, tracker)


def _booked(used: Used, tracker: LegTracker) -> float | None:
    """Return the joules of CPU and RAM (the run's share) and GPUs; None: a part is not known."""
    uuids = tracker.start.uuids
    if any(part not in used.joules for part in (*tracker.parts, *uuids)):
        return None
    host_j = sum(used.joules[part] for part in tracker.parts)
    return host_j * tracker.share + sum(used.joules[uuid] for uuid in uuids)
