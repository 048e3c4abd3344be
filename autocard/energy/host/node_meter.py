"""The node's own meter: a file in which the machine counts the energy of everything that is in it.

Rule: it is read beside the components and never summed with them; what it does not say is a reason.
HPE Cray machines have one in a fixed place (`/sys/cray/pm_counters`, "Pm counters" in the Cray XC
and EX documentation); elsewhere the site names its file (setting `node_meter`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autocard import files
from autocard.errors import UnavailableError
from autocard.settings import Settings

CRAY = Path("/sys/cray/pm_counters/energy")

NODE = "node_meter"
"""Name of the part in a sample."""

J_PER_UNIT = {"uj": 1e-6, "mj": 1e-3, "j": 1.0, "kj": 1e3, "wh": 3.6e3, "kwh": 3.6e6}
"""Unit, in small letters → joules. "mJ" is millijoules: no node counts in megajoules."""

NONE_KNOWN = "not read: no node meter is known"


@dataclass(frozen=True)
class NodeMeter:
    """One file that counts energy."""

    path: Path
    """A number, and behind it perhaps its unit and when it was read: "44296389 J 1654523441253893
    us"."""
    unit: str = "J"
    """Of the number, where the file does not say."""
    name: str = "the node's own meter"
    """In words for people; never the path, which is not for publication."""

    def read_j(self) -> float:
        """Return the joules that it has counted.

        Raises:
            UnavailableError: it cannot be read, or says something else.
        """
        try:
            words = files.read_loosely(self.path).split()
        except OSError as exc:
            msg = f"{self.name} could not be read ({type(exc).__name__})"
            raise UnavailableError(msg) from exc
        unit = (
            words[1].lower()
            if len(words) > 1 and words[1].lower() in J_PER_UNIT
            else self.unit.lower()
        )
        try:
            return float(words[0]) * J_PER_UNIT[unit]
        except (IndexError, ValueError, KeyError) as exc:
            msg = f"{self.name} gives no number of {self.unit}"
            raise UnavailableError(msg) from exc


def of(settings: Settings, cray: Path = CRAY) -> NodeMeter | None:
    """Return the node's meter; None: there is none that one knows of."""
    if settings.node_meter is not None:
        path = Path(settings.node_meter)
        return NodeMeter(
            path / "energy" if files.is_folder(path) else path, settings.node_meter_unit
        )
    return NodeMeter(cray, name="Cray's pm_counters") if files.exists(cray) else None


class NodeMeterReader:
    """Running total of a meter, or why there is none."""

    def __init__(self, meter: NodeMeter | None) -> None:
        """Read nothing yet."""
        self._meter = meter
        self._first_j: float | None = None
        self._last_j = 0.0
        self.name = "" if meter is None else meter.name
        """Of the meter, in words."""
        self.reason: str | None = NONE_KNOWN if meter is None else None
        """Why there is no figure; None: there is one."""

    def read_j(self) -> float | None:
        """Return the joules since the first reading; None: the meter does not tell (`reason`)."""
        if self._meter is None:
            return None
        try:
            now_j = self._meter.read_j()
        except UnavailableError as exc:
            self.reason = f"not read: {exc}"
            return None
        if self._first_j is None:
            self._first_j = now_j
        elif now_j < self._last_j:
            # What it had counted before is lost, and so is how long it stood still.
            self.reason, self._meter = f"not read: {self._meter.name} was reset", None
            return None
        self._last_j, self.reason = now_j, None
        return now_j - self._first_j
