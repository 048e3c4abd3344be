"""Parse the text that Slurm's `sacct` prints into rows, one for each job and each step.

Rule: only the columns of `COLUMNS` are read. Accounts, users and names of machines are not, so they
cannot reach a record.

Facts of Slurm's source and manual that this rests on: letters behind `ConsumedEnergy` (K, M, G, T,
P) are powers of 1000. Where nothing was sampled, the energy is 0, blank, or one of the numbers that
stand for "no value".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
"""All columns that sacct is asked for, and all that are read."""

JOB = re.compile(r"[0-9]{1,10}(?:_[0-9]{1,7}|\+[0-9]{1,4})?")
"""A job's id: 812345, task 3 of an array 812345_3, part 1 of a heterogeneous job 812345+1."""

MAX_CHARACTERS = 16_000_000
"""A longer text is not sacct's output for some jobs."""

HOW_TO_ASK = f"sacct --jobs ID --duplicates --parsable2 --format={','.join(COLUMNS)}"

NO_ENERGY = (
    "Slurm's accounting has no energy for it: the energy plugin is off, or has nothing to read on "
    "these nodes"
)
"""The cause has many forms: 0, blank (in the line of a requeued start), numbers for "no value"."""

EXTERN = "extern"
"""Name of the step that lasts as long as its job (`PrologFlags=contain`)."""
CUT_OFF = "?"
"""Stands for the name of a step that a narrow column has cut off."""

_NO_VALUES = {2**32 - 2, 2**32 - 1, 2**64 - 2, 2**64 - 1}
"""NO_VAL, INFINITE, NO_VAL64 and INFINITE64 of slurm.h."""
_ROUNDED_NO_VALUES = {"4.29G", "18446744.07T", "18446.74P"}
"""NO_VAL and NO_VAL64 as `ConsumedEnergy` shows them."""

_POWERS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_ENERGY = re.compile(r"([0-9]{1,25}(?:\.[0-9]{1,25})?(?:[eE]\+?[0-9]{1,2})?)([KMGTP]?)")
"""An energy: 76740000, 76.74M, 7.674e+07."""
_ELAPSED = re.compile(r"(?:([0-9]{1,5})-)?(?:([0-9]{1,5}):)?([0-9]{1,5}):([0-9]{1,5})(?:\.[0-9]+)?")
"""A length of time: 12:03, 02:12:03, 1-02:12:03, with a fraction of a second or without."""
_STEP_ID = re.compile(r"([0-9]+(?:_[0-9]+|\+[0-9]+)?)(?:\.(\S*))?")
"""A job's id, and behind a dot the step: 812345, 812345.batch, 812345_3.0, 812345+1.extern."""
_STEP_NUMBER = re.compile(r"[0-9]+(?:\+[0-9]+)?")
"""A step that srun started: 0, or 0+1 of a heterogeneous job."""
_PENDING_TASKS = re.compile(r"[0-9]+_\[\S*")
"""Tasks of an array that have not run: 812345_[5-10], 812345_[1,4-9%2], or what a narrow column
leaves of it."""
_STEP_NAMES = ("batch", EXTERN, "interactive")

_YEARS = (1970, 9000)
_LATEST_S = 10**11
"""Seconds since 1970, far in the future: a larger number is no time."""


@dataclass(frozen=True)
class Moment:
    """A point in time; where its zone is not known, *when* is what the clock there showed."""

    when: datetime
    zoned: bool


@dataclass(frozen=True)
class SacctRow:
    """One row: of a job, or of one of its steps."""

    job: str
    raw: str
    """Number of the job itself, where the id names a task or a part; empty: there is no such
    column."""
    step: str
    """Empty: the job's own row; else batch, extern, interactive, a number, or `CUT_OFF`."""
    start: Moment | None
    end: Moment | None
    elapsed_s: float | None
    state: str
    nodes: int | None
    energy_j: float | None
    """None: there is none (`NO_ENERGY`)."""


def read_rows(text: str) -> Iterator[SacctRow]:
    """Yield the rows of sacct's *text* in its order.

    Raises:
        MeterError: it is no output of sacct with a header, or it lacks a column.
    """
    if len(text) > MAX_CHARACTERS:
        msg = (
            f"{len(text):,d} characters: this is not sacct's text of some jobs. "
            f"Ask for one: {HOW_TO_ASK}"
        )
        raise MeterError(msg)
    lines = text.splitlines()
    layout = _find_layout(lines)
    places = _column_places(layout.names)
    for number, line in enumerate(lines[layout.first_row :], layout.first_row + 1):
        if set(line.strip()) <= {"-", " ", "|"}:  # blank, or a rule between two tables
            continue
        cells = layout.cells(line)
        if len(cells) != len(layout.names):
            msg = (
                f"line {number} of sacct's text has {plural(len(cells), 'value')} under "
                f"{plural(len(layout.names), 'name')}: which belongs to which is not clear. "
                f"Ask in a form that can be read: {HOW_TO_ASK}"
            )
            raise MeterError(msg)
        named = {name: cells[place] for name, place in places.items()}
        if not _PENDING_TASKS.fullmatch(named.get("JobID", "")):
            yield _row(named, number)


# -- columns ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """How a text is divided into rows and cells."""

    header: str
    names: list[str]
    """Titles of the columns, as the header has them."""
    first_row: int
    """Index of the first line below the header."""
    widths: list[tuple[int, int]]
    """Start and end of each column where dashes show them; empty: cells are separated."""

    def cells(self, line: str) -> list[str]:
        """Return the cells of *line*."""
        if self.widths:
            return _fixed_width_cells(line, self.widths)
        return _separated_cells(line, self.header)


def _find_layout(lines: Sequence[str]) -> _Layout:
    number = _header_number(lines)
    header = lines[number]
    names = _separated_cells(header, header)
    below = lines[number + 1].strip() if number + 1 < len(lines) else ""
    # Without --parsable, a ruler below the header shows the columns: "------------ --------".
    if "|" in header or not below or not set(below) <= {"-", " "}:
        return _Layout(header, names, number + 1, [])
    widths = [dashes.span() for dashes in re.finditer(r"-+", lines[number + 1])]
    names = [header[start:end].strip() for start, end in widths]
    return _Layout(header, names, number + 2, widths)


def _header_number(lines: Sequence[str]) -> int:
    """Return the index of the line that names the columns; a prompt may stand before it."""
    for number, line in enumerate(lines):
        names = {_column(name) for name in _separated_cells(line, line)}
        if names & {"JobID", "JobIDRaw"}:
            return number
    msg = (
        "this is not what sacct prints with a header: no line names a column JobID. "
        f"Ask: {HOW_TO_ASK}"
    )
    raise MeterError(msg)


def _column_places(names: Sequence[str]) -> dict[str, int]:
    """Return column → its place, of those that are read.

    Raises:
        MeterError: the jobs' ids or the energy are not among them.
    """
    places = {}
    for place, name in enumerate(names):
        column = _column(name)
        if column:
            places[column] = place
    if "JobID" not in places and "JobIDRaw" not in places:
        msg = f"sacct's text has no column JobID. Ask for it: {HOW_TO_ASK}"
        raise MeterError(msg)
    if "ConsumedEnergyRaw" not in places and "ConsumedEnergy" not in places:
        msg = f"sacct's text has no column ConsumedEnergyRaw. Ask for it: {HOW_TO_ASK}"
        raise MeterError(msg)
    return places


def _column(name: str) -> str:
    """Return the column of that name as `COLUMNS` spells it, or "" for one that is not read."""
    wanted = name.strip().lower()
    for column in COLUMNS:
        if column.lower() == wanted:
            return column
    return ""


def _fixed_width_cells(line: str, widths: Sequence[tuple[int, int]]) -> list[str]:
    """Return the cells below a ruler; the last one goes on to the end of the line."""
    cells = [line[start:end] for start, end in widths[:-1]]
    cells.append(line[widths[-1][0] :])
    return [cell.strip() for cell in cells]


def _separated_cells(line: str, header: str) -> list[str]:
    """Return the cells of *line*, which bars or blanks separate as in *header*."""
    if "|" not in header:
        return line.split()
    # With --parsable each line ends in a bar, the header too: "JobID|State|".
    if header.rstrip().endswith("|"):
        line = line.rstrip().removesuffix("|")
    return [cell.strip() for cell in line.split("|")]


# -- cells -----------------------------------------------------------------------------------------


def _row(cells: Mapping[str, str], number: int) -> SacctRow:
    """Return the row of these *cells*; *number* is that of its line, for messages."""
    shown = cells.get("JobID") or cells.get("JobIDRaw", "")
    # A narrow column ends in a plus: "812345.ext+". So does no id but that of a heterogeneous job.
    whole = shown if JOB.fullmatch(shown) else shown.rstrip("+")
    found = _STEP_ID.fullmatch(whole)
    if found is None:
        msg = f"line {number} of sacct's text begins with no job's number. Nothing was read."
        raise MeterError(msg)
    raw = re.match(r"[0-9]+", cells.get("JobIDRaw", ""))
    return SacctRow(
        job=found[1],
        raw=raw[0] if raw else "",
        step="" if found[2] is None else _step_name(found[2]),
        start=_moment(cells.get("Start", "")),
        end=_moment(cells.get("End", "")),
        elapsed_s=_elapsed_s(cells.get("ElapsedRaw", ""), cells.get("Elapsed", "")),
        # "CANCELLED by 1000", or "CANCELLED+" where the column is narrow.
        state=re.split(r"[\s+]", cells.get("State", ""), maxsplit=1)[0].upper(),
        nodes=_whole_number(cells.get("NNodes", "")) or None,
        energy_j=_joules(cells.get("ConsumedEnergyRaw", ""), cells.get("ConsumedEnergy", "")),
    )


def _step_name(text: str) -> str:
    """Return the step's name, completed where a narrow column has cut it off: "ext" is extern."""
    if _STEP_NUMBER.fullmatch(text):
        return text
    start = text.lower().partition("+")[0]
    if not text:
        return CUT_OFF
    names = [name for name in _STEP_NAMES if name.startswith(start)]
    return names[0] if len(names) == 1 else CUT_OFF


def _joules(raw: str, shown: str) -> float | None:
    """Return the joules of a row; None: there are none."""
    for text in (raw, shown):
        found = _ENERGY.fullmatch(text)
        if found is None:
            continue
        energy_j = float(found[1]) * _POWERS[found[2]]
        is_no_value = energy_j in {float(number) for number in _NO_VALUES}
        if text in _ROUNDED_NO_VALUES or is_no_value or not energy_j:
            return None
        return energy_j
    return None


def _whole_number(text: str) -> int | None:
    """Return the whole number that *text* is, if it is one of a sensible length."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _elapsed_s(raw: str, shown: str) -> float | None:
    seconds = _whole_number(raw)
    if seconds is not None and seconds < min(_NO_VALUES):
        return float(seconds)
    found = _ELAPSED.fullmatch(shown)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()


def _moment(text: str) -> Moment | None:
    """Return the time of *text*, in ISO 8601 or seconds since 1970; None for "Unknown"."""
    seconds = _whole_number(text)
    if seconds is not None:
        if seconds >= _LATEST_S:
            return None
        return Moment(datetime.fromtimestamp(seconds, timezone.utc), zoned=True)
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if not _YEARS[0] <= when.year <= _YEARS[1]:
        return None
    if when.tzinfo is not None:
        return Moment(when.astimezone(timezone.utc), zoned=True)
    return Moment(when.replace(tzinfo=timezone.utc), zoned=False)
