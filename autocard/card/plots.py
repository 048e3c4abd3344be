"""Draw curves of a run as small pictures beside the card, light and dark, with the extra `plots`.

One rule: a picture shows figures of the record and nothing else, and its alt text describes it in
words. Draws on a canvas of its own: no window, no global state of matplotlib is touched.
"""

from __future__ import annotations

import importlib
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard import units
from autocard.errors import UnavailableError
from autocard.files import write_bytes
from autocard.record import Leg

MAX_PICTURES = 4
"""Pictures of one run."""
_MAX_CURVES = 6
"""Curves in one picture."""
_MAX_MARKED_POINTS = 40
"""Points of a curve up to which each is marked; more marks would hide the line."""
_SIZE_INCHES = (6.4, 3.2)
_DPI = 100
_SECONDS_PER_HOUR = 3600

_OKABE_ITO = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colors of curves that people with color vision deficiency can distinguish (Okabe and Ito)."""

_NOT_METRICS = ("loss", "runtime", "per_second", "_time", "epoch", "step")
"""Ends of the names of logged values that say nothing of a model's quality, or are drawn apart."""

Curve = Sequence[tuple[float, float]]
LogEntry = Mapping[str, Any]


@dataclass(frozen=True)
class Theme:
    """Colors of one version of a picture."""

    suffix: str
    """Of the file's name."""
    background: str
    foreground: str
    grid: str


LIGHT = Theme("", background="#ffffff", foreground="#1f2328", grid="#d0d7de")
DARK = Theme("_dark", background="#0d1117", foreground="#c9d1d9", grid="#30363d")


@dataclass(frozen=True)
class Picture:
    """One diagram, before it is drawn."""

    name: str
    """Of its file, without the extension."""
    title: str
    x_label: str
    """What the x axis counts."""
    y_label: str
    """What the y axis shows, with its unit."""
    curves: Mapping[str, Curve]
    """Name → points."""

    def alt(self) -> str:
        """Return in words what the picture shows."""
        curves = "; ".join(self._describe(name, curve) for name, curve in self.curves.items())
        return f"Line chart, {self.title}: {curves}."

    def _describe(self, name: str, curve: Curve) -> str:
        (first, begin), (last, end) = curve[0], curve[-1]
        course = (
            f"{name} from {units.number(begin)} at {self._place(first)} "
            f"to {units.number(end)} at {self._place(last)}"
        )
        words = [course]
        extremes = {
            "lowest": min(curve, key=_value_of),
            "highest": max(curve, key=_value_of),
        }
        for word, (place, value) in extremes.items():
            if value not in (begin, end):
                words.append(f"{word} {units.number(value)} at {self._place(place)}")
        return ", ".join(words)

    def _place(self, place: float) -> str:
        return f"{self.x_label} {units.shortest(place)}"


def _value_of(point: tuple[float, float]) -> float:
    return point[1]


# -- which pictures --------------------------------------------------------------------------------


def pictures_of(history: Sequence[LogEntry], legs: Sequence[Leg] = ()) -> list[Picture]:
    """Return the pictures of the trainer's log and the legs' readings that have a curve."""
    losses = {**_curves(history, _is_train_loss), **_curves(history, _is_eval_loss)}
    metrics = _curves(history, _is_metric)
    pictures = [
        Picture("autocard_loss", "loss over optimizer steps", "step", "loss", _drawable(losses)),
        Picture(
            "autocard_metrics",
            "metrics of the evaluations over steps",
            "step",
            "value",
            _drawable(metrics),
        ),
        Picture(
            "autocard_power",
            "mean power between checkpoints",
            "hour",
            "power in W",
            _drawable(_power(legs)),
        ),
    ]
    return [picture for picture in pictures if picture.curves][:MAX_PICTURES]


def _drawable(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Return the first curves of two points or more; matplotlib takes their names literally."""
    drawable: dict[str, Curve] = {}
    for name, curve in curves.items():
        if len(curve) > 1:
            # matplotlib reads "$" as math, and a name that begins with "_" gets no legend.
            drawable[name.replace("$", "").lstrip("_") or "value"] = curve
    return dict(itertools.islice(drawable.items(), _MAX_CURVES))


def _curves(
    history: Sequence[LogEntry], is_wanted: Callable[[str], bool]
) -> dict[str, list[tuple[float, float]]]:
    """Return name → points (step, value) of the logged values whose keys are wanted."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for entry in history:
        step = entry.get("step")
        if not isinstance(step, int | float):
            continue
        for key, value in entry.items():
            if is_wanted(str(key)) and isinstance(value, int | float):
                point = (float(step), float(value))
                curves.setdefault(_curve_name(str(key)), []).append(point)
    return curves


def _curve_name(key: str) -> str:
    """Return the name of the curve of a logged value: "loss", "eval_loss", "eval_exact_match"."""
    if key == "loss":
        return "training loss"
    name = key.removeprefix("eval_").replace("_", " ")
    return f"evaluation {name}" if key.endswith("loss") else name


def _is_train_loss(key: str) -> bool:
    return key == "loss"


def _is_eval_loss(key: str) -> bool:
    return key.startswith("eval_") and key.endswith("loss")


def _is_metric(key: str) -> bool:
    return key.startswith("eval_") and not key.endswith(_NOT_METRICS)


def _power(legs: Sequence[Leg]) -> dict[str, Curve]:
    """Return name → points (hours since the leg began, mean watts between two of its readings)."""
    curves: dict[str, Curve] = {}
    for number, leg in enumerate(legs, 1):
        points = _mean_power(leg)
        if points:
            curves["GPUs, CPUs and RAM" if len(legs) == 1 else f"leg {number}"] = points
    return curves


def _mean_power(leg: Leg) -> list[tuple[float, float]]:
    readings = [(0.0, 0.0)]
    readings += [(reading.wall_clock_s, reading.energy_j) for reading in leg.checkpoints]
    points = []
    for (begin_s, begin_j), (end_s, end_j) in itertools.pairwise(readings):
        if end_s > begin_s:
            middle_h = (begin_s + end_s) / 2 / _SECONDS_PER_HOUR
            points.append((middle_h, (end_j - begin_j) / (end_s - begin_s)))
    return points


# -- drawing ---------------------------------------------------------------------------------------


def draw(pictures: Sequence[Picture], folder: Path) -> dict[str, str]:
    """Write each of *pictures* into *folder*, light and dark; return light file names → alt texts.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    alt_texts = {}
    for picture in pictures:
        for theme in (LIGHT, DARK):
            buffer = io.BytesIO()
            drawn = figure(picture, theme)
            drawn.savefig(
                buffer, format="png", facecolor=theme.background, metadata={"Software": None}
            )
            write_bytes(folder / f"{picture.name}{theme.suffix}.png", buffer.getvalue())
        alt_texts[f"{picture.name}.png"] = picture.alt()
    return alt_texts


def figure(picture: Picture, theme: Theme) -> Any:
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
    drawn = figures.Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="tight")
    axes = drawn.add_subplot()
    axes.set_facecolor(theme.background)
    for (name, curve), color in zip(picture.curves.items(), _OKABE_ITO, strict=False):
        x, y = zip(*curve, strict=True)
        marks = {"marker": "o", "markersize": 3} if len(curve) <= _MAX_MARKED_POINTS else {}
        axes.plot(x, y, color=color, label=name, linewidth=1.5, **marks)
    axes.set_xlabel(picture.x_label, color=theme.foreground)
    axes.set_ylabel(picture.y_label, color=theme.foreground)
    axes.tick_params(colors=theme.foreground)
    axes.grid(visible=True, color=theme.grid, linewidth=0.6)
    for side in axes.spines.values():
        side.set_color(theme.grid)
    legend = axes.legend(facecolor=theme.background, edgecolor=theme.grid, fontsize="small")
    for text in legend.get_texts():
        text.set_color(theme.foreground)
    return drawn
