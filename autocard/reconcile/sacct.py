"""What Slurm's `sacct` prints → starts of jobs, each with its steps.

Rule: of the columns only those of `COLUMNS` are looked at. Accounts, users and names of machines
are not read, so that they cannot be told.

Facts of Slurm's source and manual that this rests on: a job has a line, and below it one for each
step; a job that was requeued has one for each start (`--duplicates`). Letters behind
`ConsumedEnergy` (K, M, G, T, P) are powers of 1000. Where nothing was sampled, the energy is 0,
blank, or one of the numbers that stand for "no value".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from autocard.errors import MeterError
from autocard.units import plural

COLUMNS = (
    "JobID",
    "JobIDRaw",
    "Start",
    "End",
    "Elapsed",
    "ElapsedRaw",
    "State",
    "NNodes",
    "ConsumedEnergyRaw",
    "ConsumedEnergy",
)
"""All that is asked for, and all that is read."""

JOB = re.compile(r"[0-9]{1,10}(?:_[0-9]{1,7}|\+[0-9]{1,4})?")
"""A job's id: 812345, task 3 of an array 812345_3, part 1 of a heterogeneous job 812345+1."""

MAX_CHARACTERS = 16_000_000
"""A text longer than this is not about some jobs."""

HOW_TO_ASK = f"sacct --jobs ID --duplicates --parsable2 --format={','.join(COLUMNS)}"

NOT_SAMPLED = "Slurm says 0 J: its energy plugin is off, or has nothing to read on these nodes"
NO_VALUE = (
    'Slurm gives the number that stands for "no value": its energy plugin is off, or could not read'
)
BLANK = "Slurm gives no energy for it"

_NO_VALUES = {2**32 - 2, 2**32 - 1, 2**64 - 2, 2**64 - 1}
"""NO_VAL, INFINITE, NO_VAL64 and INFINITE64 of slurm.h."""
_ROUNDED = {"4.29G": "NO_VAL", "18446744.07T": "NO_VAL64", "18446.74P": "NO_VAL64"}
"""The same, as `ConsumedEnergy` shows them."""

_POWERS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_ENERGY = re.compile(r"([0-9]{1,25}(?:\.[0-9]{1,25})?(?:[eE]\+?[0-9]{1,2})?)([KMGTP]?)")
_ELAPSED = re.compile(r"(?:([0-9]{1,5})-)?(?:([0-9]{1,5}):)?([0-9]{1,5}):([0-9]{1,5})(?:\.[0-9]+)?")
_STEP = re.compile(r"([0-9]+(?:_[0-9]+|\+[0-9]+)?)(?:\.(\S*))?")
_TO_COME = re.compile(r"[0-9]+_\[\S*")
"""Tasks of an array that have not run: 812345_[5-10], 812345_[1,4-9%2], or what a narrow column
leaves of it."""
_YEARS = (1970, 9000)
_LAST_S = 10**11
"""Seconds since 1970, far in the future: a number above is no time."""
_NAMED = ("batch", "extern", "interactive")
_GOES_ON = {
    "RUNNING",
    "COMPLETING",
    "CONFIGURING",
    "SUSPENDED",
    "RESIZING",
    "STAGE_OUT",
    "SIGNALING",
    "STOPPED",
}
_WAITS = {"PENDING", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}


@dataclass(frozen=True)
class Moment:
    """A point in time, perhaps without its zone: then *when* is what the clock there showed."""

    when: datetime
    zoned: bool


@dataclass(frozen=True)
class Line:
    """One line: of a job, or of a step of it."""

    job: str
    raw: str
    """Number of the job itself, where the id names a task or a part; empty: there is no such
    column."""
    step: str
    """Empty: the job's own; batch, extern, interactive, a number; "?": cut off by a narrow column.
    """
    start: Moment | None
    end: Moment | None
    elapsed_s: float | None
    state: str
    nodes: int | None
    energy_j: float | None
    """None: there is none, and *why*."""
    why: str = ""


@dataclass
class Start:
    """One start of a job: its line, and those of its steps."""

    line: Line
    steps: list[Line] = field(default_factory=list)
    whole: bool = True
    """Whether the job's own line is there; without it, *line* is the first step's."""

    @property
    def goes_on(self) -> bool:
        """Whether it had not ended when sacct was asked."""
        return self.line.state in _GOES_ON

    @property
    def elapsed_s(self) -> float | None:
        """How long it ran."""
        line = self.line
        if line.elapsed_s is None and line.start and line.end:
            return (line.end.when - line.start.when).total_seconds()
        return line.elapsed_s


def read(text: str) -> list[Start]:
    """Return the starts of jobs that *text* tells of, in its order.

    Raises:
        MeterError: it is no output of sacct with a header, or lacks a column.
    """
    if len(text) > MAX_CHARACTERS:
        msg = f"{len(text):,d} characters: this is not sacct's text of some jobs. Ask for one: {HOW_TO_ASK}"
        raise MeterError(msg)
    starts: list[Start] = []
    for line in _lines(text):
        _file(starts, line)
    for start in starts:
        if not start.whole:
            start.steps.insert(0, start.line)
    return [
        start
        for start in starts
        if start.line.state not in _WAITS and (start.elapsed_s != 0 or _energy(start))
    ]


def _energy(start: Start) -> float:
    return sum(line.energy_j or 0.0 for line in (start.line, *start.steps))


def _file(starts: list[Start], line: Line) -> None:
    """Put *line* where it belongs: a job's line opens a start, a step's goes to the last one of its job."""
    of_job = [start for start in starts if start.line.job == line.job]
    if not line.step:
        same = next((start for start in of_job if start.whole and start.line == line), None)
        if same is None:
            starts.append(Start(line))
        else:  # pasted twice: what follows are its steps once more
            starts.remove(same)
            starts.append(same)
        return
    if not of_job:
        starts.append(Start(line, whole=False))
    elif line not in (of_job[-1].line, *of_job[-1].steps):
        of_job[-1].steps.append(line)


# -- the text --------------------------------------------------------------------------------------


def _lines(text: str) -> Iterator[Line]:
    rows = [line.rstrip("\r\n") for line in text.splitlines()]
    at, head = _header(rows)
    body = rows[at + 1 :]
    widths: list[tuple[int, int]] = []
    if "|" not in rows[at] and body and set(body[0].strip()) <= {"-", " "} and body[0].strip():
        widths = [found.span() for found in re.finditer(r"-+", body[0])]
        head = [rows[at][start:end].strip() for start, end in widths]
        at, body = at + 1, body[1:]
    columns = {_known(name): number for number, name in enumerate(head) if _known(name)}
    if "JobID" not in columns and "JobIDRaw" not in columns:
        msg = f"sacct's text has no column JobID. Ask for it: {HOW_TO_ASK}"
        raise MeterError(msg)
    if not {"ConsumedEnergyRaw", "ConsumedEnergy"} & columns.keys():
        msg = f"sacct's text has no column ConsumedEnergyRaw. Ask for it: {HOW_TO_ASK}"
        raise MeterError(msg)
    for number, row in enumerate(body, at + 2):
        if not row.strip() or set(row.strip()) <= {"-", " ", "|"}:
            continue
        cells = _cells(row, rows[at] if not widths else "", widths)
        if len(cells) != len(head):
            msg = (
                f"line {number} of sacct's text has {plural(len(cells), 'value')} under {plural(len(head), 'name')}: "
                f"it cannot be told which is which. Ask in a form that can be read: {HOW_TO_ASK}"
            )
            raise MeterError(msg)
        named = {name: cells[place] for name, place in columns.items()}
        if not _TO_COME.fullmatch(named.get("JobID", "")):
            yield _line(named, number)


def _header(rows: Sequence[str]) -> tuple[int, list[str]]:
    """Return the number of the row that names the columns (a prompt may stand before it), and the names."""
    for number, row in enumerate(rows):
        names = _cells(row, row, [])
        if {"JobID", "JobIDRaw"} & {_known(name) for name in names}:
            return number, names
    msg = f"this is not what sacct prints with a header: no line names a column JobID. Ask: {HOW_TO_ASK}"
    raise MeterError(msg)


def _known(name: str) -> str:
    return next((column for column in COLUMNS if column.lower() == name.strip().lower()), "")


def _cells(row: str, head: str, widths: Sequence[tuple[int, int]]) -> list[str]:
    if widths:
        last = widths[-1][0]
        return [
            row[start:end].strip() if start != last else row[start:].strip()
            for start, end in widths
        ]
    if "|" not in head:
        return row.split()
    # With --parsable each line ends in a bar, the header too.
    text = row.rstrip().removesuffix("|") if head.rstrip().endswith("|") else row
    return [cell.strip() for cell in text.split("|")]


def _line(cells: Mapping[str, str], number: int) -> Line:
    shown = cells.get("JobID") or cells.get("JobIDRaw", "")
    found = _STEP.fullmatch(shown.rstrip("+") if not JOB.fullmatch(shown) else shown)
    if found is None:
        msg = f"line {number} of sacct's text begins with no job's number. Nothing was read."
        raise MeterError(msg)
    raw = re.match(r"[0-9]+", cells.get("JobIDRaw", ""))
    energy_j, why = _joules(cells.get("ConsumedEnergyRaw", ""), cells.get("ConsumedEnergy", ""))
    return Line(
        job=found[1],
        raw=raw[0] if raw else "",
        step="" if found[2] is None else _step(found[2]),
        start=_moment(cells.get("Start", "")),
        end=_moment(cells.get("End", "")),
        elapsed_s=_elapsed_s(cells.get("ElapsedRaw", ""), cells.get("Elapsed", "")),
        state=re.split(r"[\s+]", cells.get("State", ""), maxsplit=1)[0].upper(),
        nodes=_whole(cells.get("NNodes", "")) or None,
        energy_j=energy_j,
        why=why,
    )


def _step(name: str) -> str:
    """Return the step's name, made whole where a narrow column has cut it off."""
    if re.fullmatch(r"[0-9]+(?:\+[0-9]+)?", name):
        return name
    fits = [whole for whole in _NAMED if name and whole.startswith(name.lower().partition("+")[0])]
    return fits[0] if len(fits) == 1 else "?"


def _joules(raw: str, shown: str) -> tuple[float | None, str]:
    """Return the joules of a line, or why there are none."""
    for text in (raw, shown):
        found = _ENERGY.fullmatch(text)
        if found is None:
            continue
        value = float(found[1]) * _POWERS[found[2]]
        if (text in _ROUNDED) or value in {float(none) for none in _NO_VALUES}:
            return None, NO_VALUE
        return (value, "") if value else (None, NOT_SAMPLED)
    return None, BLANK


def _whole(text: str) -> int | None:
    """Return the whole number that *text* says, if it does and it is of a sensible length."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _elapsed_s(raw: str, shown: str) -> float | None:
    seconds = _whole(raw)
    if seconds is not None and seconds < min(_NO_VALUES):
        return float(seconds)
    found = _ELAPSED.fullmatch(shown)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()


def _moment(text: str) -> Moment | None:
    """Return the time that *text* says (ISO 8601, or seconds since 1970); None for "Unknown" and what else it is."""
    seconds = _whole(text)
    if seconds is not None:
        return (
            Moment(datetime.fromtimestamp(seconds, timezone.utc), zoned=True)
            if seconds < _LAST_S
            else None
        )
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if not _YEARS[0] <= when.year <= _YEARS[1]:
        return None
    if when.tzinfo is not None:
        return Moment(when.astimezone(timezone.utc), zoned=True)
    return Moment(when.replace(tzinfo=timezone.utc), zoned=False)
