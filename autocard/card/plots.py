"""Curves of a run as small pictures beside the card, light and dark; needs the extra `plots` (matplotlib).

One rule: a picture shows figures of the record and nothing else, and its alt text says in words
what one would see. Draws on a canvas of its own: no window, no global state of matplotlib is
touched.
"""

from __future__ import annotations

import importlib
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard import units
from autocard.errors import UnavailableError
from autocard.files import write_bytes
from autocard.record import Leg

MOST = 4
"""Pictures of one run."""
_LINES = 6
"""Curves in one picture."""
_SIZE_INCHES = (6.4, 3.2)
_DPI = 100
_DARK = {"back": "#0d1117", "front": "#c9d1d9", "grid": "#30363d"}
_LIGHT = {"back": "#ffffff", "front": "#1f2328", "grid": "#d0d7de"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which people who see fewer colours can tell apart."""

_NO_METRIC = ("runtime", "per_second", "_time", "epoch", "step")

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Picture:
    """One diagram, before it is drawn."""

    name: str
    """Of its file, without the end."""
    title: str
    across: str
    """What the x axis counts."""
    up: str
    """What the y axis shows, with its unit."""
    curves: Mapping[str, Curve]
    """Name → points."""

    def alt(self) -> str:
        """Return in words what one would see."""
        return (
            f"Line chart, {self.title}: "
            + "; ".join(self._said(name) for name in self.curves)
            + "."
        )

    def _said(self, name: str) -> str:
        curve = self.curves[name]
        (first, begin), (last, end) = curve[0], curve[-1]
        low = min(curve, key=lambda point: point[1])
        high = max(curve, key=lambda point: point[1])
        words = f"{name} from {units.number(begin)} at {self._at(first)} to {units.number(end)} at {self._at(last)}"
        inner = [
            f"{kind} {units.number(point[1])} at {self._at(point[0])}"
            for kind, point in (("lowest", low), ("highest", high))
            if point[1] not in (begin, end)
        ]
        return ", ".join([words, *inner])

    def _at(self, place: float) -> str:
        return f"{self.across} {units.shortest(place)}"


def of(history: Sequence[Mapping[str, Any]], legs: Sequence[Leg] = ()) -> list[Picture]:
    """Return the pictures that the trainer's log and the legs' readings give; each curve has two points at least."""
    losses = {**_curves(history, _is_train_loss), **_curves(history, _is_eval_loss)}
    metrics = _curves(history, _is_metric)
    found = [
        Picture("autocard_loss", "loss over optimizer steps", "step", "loss", _first(losses)),
        Picture(
            "autocard_metrics",
            "metrics of the evaluations over steps",
            "step",
            "value",
            _first(metrics),
        ),
        Picture(
            "autocard_power",
            "mean power between checkpoints",
            "hour",
            "power in W",
            _first(_power(legs)),
        ),
    ]
    return [one for one in found if one.curves][:MOST]


def draw(pictures: Sequence[Picture], folder: Path) -> dict[str, str]:
    """Write each of *pictures* into *folder*, light and dark; return the light ones' file names → alt text.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    told = {}
    for picture in pictures:
        for end, colours in (("", _LIGHT), ("_dark", _DARK)):
            buffer = io.BytesIO()
            made = figure(picture, colours)
            made.savefig(
                buffer, format="png", facecolor=colours["back"], metadata={"Software": None}
            )
            write_bytes(folder / f"{picture.name}{end}.png", buffer.getvalue())
        told[f"{picture.name}.png"] = picture.alt()
    return told


def figure(picture: Picture, colours: Mapping[str, str]) -> Any:
    """Return matplotlib's figure of *picture*.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    try:
        figures = importlib.import_module("matplotlib.figure")
        importlib.import_module("matplotlib.backends.backend_agg")
    except ImportError as exc:
        msg = "matplotlib is not installed; pip install 'autocard[plots]' brings it"
        raise UnavailableError(msg) from exc
    made = figures.Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="tight")
    axes = made.add_subplot()
    axes.set_facecolor(colours["back"])
    for (name, curve), colour in zip(picture.curves.items(), _COLOURS, strict=False):
        across, up = zip(*curve, strict=True)
        few = {"marker": "o", "markersize": 3} if len(curve) <= 40 else {}  # noqa: PLR2004 - else they hide the line
        axes.plot(across, up, color=colour, label=name, linewidth=1.5, **few)
    axes.set_xlabel(picture.across, color=colours["front"])
    axes.set_ylabel(picture.up, color=colours["front"])
    axes.tick_params(colors=colours["front"])
    axes.grid(visible=True, color=colours["grid"], linewidth=0.6)
    for side in axes.spines.values():
        side.set_color(colours["grid"])
    legend = axes.legend(facecolor=colours["back"], edgecolor=colours["grid"], fontsize="small")
    for text in legend.get_texts():
        text.set_color(colours["front"])
    return made


def _first(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Return the first curves that can be drawn: not math, for matplotlib, whatever their names hold."""
    drawn = {
        name.replace("$", "").lstrip("_") or "value": curve
        for name, curve in curves.items()
        if len(curve) > 1
    }
    return dict(list(drawn.items())[:_LINES])


def _curves(
    history: Sequence[Mapping[str, Any]], chosen: Any
) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for entry in history:
        step = entry.get("step")
        if not isinstance(step, int | float):
            continue
        for key, value in entry.items():
            if chosen(str(key)) and isinstance(value, int | float):
                name = (
                    "training loss"
                    if key == "loss"
                    else str(key).removeprefix("eval_").replace("_", " ")
                )
                name = f"evaluation {name}" if str(key).endswith("loss") and key != "loss" else name
                found.setdefault(name, []).append((float(step), float(value)))
    return found


def _is_train_loss(key: str) -> bool:
    return key == "loss"


def _is_eval_loss(key: str) -> bool:
    return key.startswith("eval_") and key.endswith("loss")


def _is_metric(key: str) -> bool:
    return key.startswith("eval_") and not key.endswith(("loss", *_NO_METRIC))


def _power(legs: Sequence[Leg]) -> dict[str, list[tuple[float, float]]]:
    """Return the mean watts between the readings of each leg, at the middle of each pair, by hours since it began."""
    found = {}
    for number, leg in enumerate(legs, 1):
        readings = [(0.0, 0.0), *((one.wall_clock_s, one.energy_j) for one in leg.checkpoints)]
        points = [
            ((begin_s + end_s) / 2 / 3600, (end_j - begin_j) / (end_s - begin_s))
            for (begin_s, begin_j), (end_s, end_j) in itertools.pairwise(readings)
            if end_s > begin_s
        ]
        if points:
            found["GPUs, CPUs and RAM" if len(legs) == 1 else f"leg {number}"] = points
    return found
