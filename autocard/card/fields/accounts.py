"""Energy and CO2, written out like an account: the parts, their sum, what it was multiplied by, what it does not hold.

One rule: a part that was not measured says so where its figure would stand, and a sum without it is
not shown.
"""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.card.fact import Fact, escape
from autocard.card.fields import trust
from autocard.card.fields.words import holes, listed, since, table
from autocard.record import Reconciliation, RunRecord, Search

_PARTS = {"gpu": "GPUs", "cpu": "CPUs", "ram": "RAM"}
_HEAD = ["Part", "kWh", "How"]
"""Not "Energy": a form's table with a row of that name asks for the fact, and the head would look
like it."""

_NOT = "not measured"

_GIVEN = 6
"""Digits of what a person gave."""

COUNTRY_MEAN = "the country's mean"
"""In the source of an intensity that is not that of the region which was given."""

NO_PLACE = "CO2: not stated, because no place is known, and grids differ by a factor of 100."


def total_places(record: RunRecord) -> int | None:
    """Return how many decimals of the total are known. None: there is no total.

    No more than its coarsest part has, and no more digits than its best known part has.
    """
    energy = record.energy
    if energy.total_kwh is None:
        return None
    known = [(value, _digits(record, part)) for part in _PARTS if (value := _value(record, part))]
    digits = max((digits for _, digits in known), default=units.MODELLED)
    return min(
        units.decimals(value, digits) for value, digits in [*known, (energy.total_kwh, digits)]
    )


def total(record: RunRecord) -> str | None:
    """Return the total in kWh, the number alone."""
    places = total_places(record)
    return (
        None
        if places is None or record.energy.total_kwh is None
        else units.fixed(record.energy.total_kwh, places)
    )


def co2_digits(record: RunRecord) -> int:
    """Return the significant digits of the CO2 figure: those of the energy, three at most."""
    places, kwh = total_places(record), record.energy.total_kwh
    if places is None or not kwh:
        return units.MODELLED
    return max(1, min(units.MEASURED, places - units.decimals(kwh, 1) + 1))


def co2eq(record: RunRecord) -> str | None:
    """Return the emissions, as in "1.40 kg CO2eq (location-based)"; None where they are not known."""
    emissions = record.emissions
    if emissions.co2eq_g is None:
        least_g, why = emissions.reported_co2eq_g, _why_no_total(record)
        return (
            None
            if not least_g or not why
            else f"at least {units.co2eq(least_g, units.MODELLED)} ({escape(why)})"
        )
    basis = (
        f"by the grid intensity {escape(emissions.intensity_source or '')}"
        if given(record)
        else "location-based"
    )
    basis = "; ".join(filter(None, [basis, since(record)]))
    said = f"{units.co2eq(emissions.co2eq_g, co2_digits(record))} ({basis})"
    if emissions.market_based_co2eq_g is not None:
        said += f"; {units.co2eq(emissions.market_based_co2eq_g, units.MEASURED)} (market-based, as given by the author)"
    return said


def energy(record: RunRecord) -> Fact | None:
    """Return the account, and in one line the total with its parts. None where nothing at all was measured."""
    if all(_value(record, part) is None for part in _PARTS):
        return _at_least(record)
    rows = [
        [label, _figure(record, part) or "", _how(record, part)] for part, label in _PARTS.items()
    ]
    rows += _sums(record)
    block = "\n\n".join([table(_HEAD, rows, frozenset({1})), *_paragraphs(record)])
    parts = ", ".join(f"{label} {_short(record, part)}" for part, label in _PARTS.items())
    said = total(record)
    return Fact(f"{said} kWh at the devices ({parts})" if said else f"in kWh: {parts}", block)


def silence(record: RunRecord) -> str | None:
    """Return which processes were not heard, in words; None: all were."""
    found = {}
    for number, leg in enumerate(record.legs):
        reason = record.missing.get(f"legs.{number}.hosts")
        if reason and leg.hosts:
            found[number + 1] = reason
    if not found:
        return None
    if len(record.legs) == 1:
        return found[1]
    return "; ".join(f"in leg {number} {reason}" for number, reason in found.items())


def _why_no_total(record: RunRecord) -> str | None:
    return silence(record) or record.why_missing("energy.total_kwh")


def _at_least(record: RunRecord) -> Fact | None:
    """Return what those used that were heard, where others were not; None: nothing is known."""
    least_kwh, why = record.energy.reported_kwh, _why_no_total(record)
    if not least_kwh or why is None:
        return None
    said = f"at least {units.kwh(least_kwh, units.MODELLED)}"
    figure = f"There is no total: {escape(why)}. What was heard of used {units.kwh(least_kwh, units.MODELLED)}"
    least_g = record.emissions.reported_co2eq_g
    if least_g:
        figure += f" ({units.co2eq(least_g, units.MODELLED)}{_basis(record)}{_whose(record)})"
    paragraphs = _said(_boundary(record), _apart(record), _reconciled(record), _trust(record))
    block = "\n\n".join([f"{figure}; the whole run used at least that.", *paragraphs])
    return Fact(f"{said} ({escape(why)})", block)


def _value(record: RunRecord, part: str) -> float | None:
    value: float | None = getattr(record.energy, f"{part}_kwh")
    return value


def _digits(record: RunRecord, part: str) -> int:
    """Return the significant digits that the energy of *part* (gpu, cpu, ram) is known with."""
    return (
        units.MEASURED
        if record.energy.sources.get(part, "").startswith("measured")
        else units.MODELLED
    )


def _figure(record: RunRecord, part: str) -> str | None:
    value = _value(record, part)
    return None if value is None else units.number(value, _digits(record, part))


def _how(record: RunRecord, part: str) -> str:
    if _value(record, part) is None:
        reason = record.why_missing(f"energy.{part}_kwh")
        return (
            f"{_NOT}: {escape(reason.removeprefix(_NOT).lstrip(': '))}"
            if reason and reason != _NOT
            else _NOT
        )
    said = record.energy.sources.get(part)
    return escape(said) if said else "how is not recorded"


def _short(record: RunRecord, part: str) -> str:
    figure, how = _figure(record, part), record.energy.sources.get(part, "")
    word = next((word for word in ("measured", "modelled") if how.startswith(word)), None)
    return f"{figure} {word}" if figure and word else figure or _NOT


def _sums(record: RunRecord) -> Iterator[list[str]]:
    said, energy, pue = total(record), record.energy, record.emissions.pue
    if said is None:
        least = (
            f"at least {units.number(energy.reported_kwh, units.MODELLED)}"
            if energy.reported_kwh
            else ""
        )
        yield ["**At the devices**", least, "no sum, because one of its parts was not measured"]
        return
    yield ["**At the devices**", f"**{said}**", "the sum of these"]
    if energy.facility_kwh is not None:
        with_building = units.fixed(energy.facility_kwh, total_places(record) or 0)
        how = (
            f"× PUE {units.shortest(pue, _GIVEN)}, as given"
            if pue is not None
            else _several_pue(record)
        )
        yield ["With the building", with_building, how]


def _several_pue(record: RunRecord) -> str:
    """Return how the building's energy was worked out where the legs have not all the same PUE."""
    return (
        "× the PUE of each leg that has one"
        if _legs_without_pue(record)
        else "× the PUE given for each leg"
    )


def _legs_without_pue(record: RunRecord) -> int:
    return sum(leg.pue is None for leg in record.legs)


def _paragraphs(record: RunRecord) -> Iterator[str]:
    """Yield what has to be said beside the table."""
    yield from _said(
        _carbon(record), _boundary(record), _apart(record), _reconciled(record), _trust(record)
    )


def _said(*paragraphs: Iterator[str]) -> Iterator[str]:
    """Yield each paragraph in which there is something to be said."""
    yield from filter(None, (" ".join(sentences) for sentences in paragraphs))


def _trust(record: RunRecord) -> Iterator[str]:
    """Yield what the figures rest on, and how far they can be trusted."""
    yield from trust.boards(record)
    yield from trust.uncertainty(record)
    yield from trust.other_meters(record)


def _carbon(record: RunRecord) -> Iterator[str]:
    """Yield how energy became CO2, or why it did not."""
    emissions, energy = record.emissions, record.energy
    grams, intensity = emissions.co2eq_g, emissions.intensity_g_per_kwh
    if grams is None:
        if energy.total_kwh is not None:
            yield _why_no_co2(record)
    else:
        kwh = energy.total_kwh if energy.facility_kwh is None else energy.facility_kwh
        if kwh is not None and intensity is not None:
            shown = units.fixed(kwh, total_places(record) or 0)
            result = units.co2eq(grams, co2_digits(record))
            yield (
                f"CO2: {shown} kWh × {units.number(intensity)} g CO2eq/kWh{_whose(record)} = {result}{_basis(record)}."
            )
        if energy.facility_kwh is None:
            yield "No PUE was given, so the building's cooling and losses are not in it (PUE 1.0)."
        elif emissions.pue is None and _legs_without_pue(record):
            legs = (
                f"{units.count(_legs_without_pue(record))} of {units.count(len(record.legs))} legs"
            )
            yield f"No PUE was given for {legs}, so the building's cooling and losses are not in theirs (PUE 1.0)."
    if emissions.market_based_co2eq_g is not None:
        given = units.co2eq(emissions.market_based_co2eq_g, units.MEASURED)
        yield f"Market-based (by contracts), as given by the author: {given}."
    if emissions.water_l is not None:
        litres = units.number(emissions.water_l, units.MODELLED)
        wue = (
            ""
            if emissions.wue_l_per_kwh is None
            else f" of {units.number(emissions.wue_l_per_kwh)} litres/kWh"
        )
        yield f"Water: {litres} litres, by the water usage effectiveness{wue} that the author gave."


def _basis(record: RunRecord) -> str:
    """Return what kind of figure the intensity is: of one that a person gave, only they know."""
    return "" if given(record) else ", location-based: by the mean of the grid there"


def given(record: RunRecord) -> bool:
    """Return whether the grid's intensity is a person's, not a table's."""
    return (record.emissions.intensity_source or "").startswith("given by ")


def _whose(record: RunRecord) -> str:
    """Return in brackets where and when the grid had that intensity, and who says so."""
    emissions = record.emissions
    source = emissions.intensity_source or ""
    # A table that does not have the region gave the country's figure: it is not the region's.
    region = None if COUNTRY_MEAN in source else emissions.region
    where = ", ".join(filter(None, [region, emissions.country_name or emissions.country_iso_code]))
    when = str(emissions.intensity_year) if emissions.intensity_year is not None else None
    words = [" ".join(filter(None, [escape(where), when])), escape(source)]
    if len({leg.intensity_g_per_kwh for leg in record.legs}) > 1:
        words.insert(0, "mean over the legs, by their energy")
    text = ", ".join(filter(None, words))
    return f" ({text})" if text else ""


def _why_no_co2(record: RunRecord) -> str:
    reason = record.why_missing("emissions.co2eq_g")
    if reason is None and not any(leg.place.country_iso_code for leg in record.legs):
        return NO_PLACE
    return f"CO2: not stated, because {escape(reason)}." if reason else "CO2: not stated."


def _apart(record: RunRecord) -> Iterator[str]:
    """Yield what was done twice, and what is not in the total."""
    energy = record.energy
    yield from _repeated(record)
    apart = [
        f"{what} {units.kwh(value, units.MODELLED)}"
        for what, value in (
            ("set-up", energy.setup_kwh),
            ("evaluation after training", energy.evaluation_kwh),
        )
        if value
    ]
    if apart:
        yield f"Not in the total: {' and '.join(apart)}, by the same means."
    if record.search.trials:
        yield _searched(record.search)


def _searched(search: Search) -> str:
    """Return what the trials of a hyperparameter search took, in words."""
    notes = [escape(search.backend)] if search.backend else []
    if search.trials_unfinished:
        notes.append(f"{units.count(search.trials_unfinished)} of them pruned or failed")
    said = f"Hyperparameter search: {units.plural(search.trials, 'trial')}"
    if notes:
        said += f" ({', '.join(notes)})"
    said += f", {units.duration(search.wall_clock_s)}"
    if search.total_kwh is not None:
        said += f", {units.kwh(search.total_kwh, units.MODELLED)}"
    elif search.reported_kwh:
        said += f", at least {units.kwh(search.reported_kwh, units.MODELLED)}"
    else:
        said += ", energy not measured"
    return f"{said}, not included in the total."


def _reconciled(record: RunRecord) -> Iterator[str]:
    """Yield what others' meters read of the run, and how much of it the components above are."""
    for one in record.reconciliations:
        yield _compared(one, total_places(record))


def _compared(one: Reconciliation, places: int | None) -> str:
    """Return a comparison in words; *places* are the decimals that the components' sum is known with."""
    source, reason = escape(one.source), escape(one.reason)
    if one.metered_kwh is None:
        return f"{source}: no figure, because {reason}."
    said = f"{source}: {units.kwh(one.metered_kwh)} ({escape(one.covers)})"
    if one.verdict == "implausible":
        said += f"; it cannot be what the run took: {reason}"
    elif one.verdict == "doubtful":
        said += f"; it need not be this run's alone: {reason}"
    if one.components_kwh is None or one.ratio is None:
        return f"{said}. What was metered here has no sum to compare."
    places = units.decimals(one.components_kwh, units.MODELLED) if places is None else places
    ours = f"{units.fixed(one.components_kwh, places)} kWh"
    said += (
        f". What was metered here of the same ({listed(map(escape, one.parts))}) comes to {ours}"
    )
    said += f", {units.number(one.ratio, units.MODELLED)} of it"
    if one.unmetered_kwh is not None:
        known = min(units.decimals(one.metered_kwh, units.MEASURED), places)
        return f"{said}; {units.fixed(one.unmetered_kwh, known)} kWh were not metered here."
    if one.verdict == "plausible":
        return f"{said}: what is modelled of it reads high."
    return f"{said}. No figure here rests on it."


def _repeated(record: RunRecord) -> Iterator[str]:
    """Yield what was done twice, because training was interrupted or by choice, and what is lost."""
    time, kwh, total_kwh = record.time, record.energy.repeated_kwh, record.energy.total_kwh
    if time.repeated_steps:
        least = "at least " if any(leg.steps_unseen for leg in record.legs) else ""
        steps = least + units.plural(time.repeated_steps, "step")
        spent = [units.duration(time.repeated_s)] if time.repeated_s else []
        if kwh and total_kwh:
            spent = [
                f"{units.kwh(kwh, units.MODELLED)} of it ({units.percent(kwh, total_kwh)})",
                *spent,
            ]
        guess = any(leg.repeated_source.startswith("estimated") for leg in record.legs)
        yield (
            f"{least.capitalize() if spent else ''}{' and '.join(spent) or 'An unknown part of it'} went into {steps} "
            f"that {_again(record)}{' (estimated from the mean of longer stretches)' if guess else ''}."
        )
    for path, reason in record.missing.items():
        if path.startswith("legs.") and path.endswith(".tail"):
            yield f"Leg {int(path.split('.')[1]) + 1}: {escape(reason)}."


def _again(record: RunRecord) -> str:
    """Return why steps were done twice: only of a leg that did not end by itself is it known that they had to be."""
    again = [leg for leg in record.legs if leg.repeated_steps]
    forced = sum(leg.repeated_steps or 0 for leg in again if leg.status == "interrupted")
    if all(leg.status == "interrupted" for leg in again):
        return "had to be repeated after interruptions"
    part = f", {units.count(forced)} of them after interruptions" if forced else ""
    return f"were done again from a checkpoint{part}"


def _boundary(record: RunRecord) -> Iterator[str]:
    """Yield what the total covers, and which nodes it does not know of."""
    job = record.job
    if record.energy.boundary:
        yield f"What is counted: {escape(record.energy.boundary)}."
    before, run = holes(record), record.run
    if before:
        yield f"Training was resumed, and what came before was not recorded: {before} in these figures."
    if run.earlier_run:
        yield (
            f"Training went on from weights that an earlier training of the same process (run {escape(run.earlier_run)}"
            f") had trained for {units.plural(run.earlier_steps, 'step')}: those are not in these figures."
        )
    last = record.legs[-1] if record.legs else None
    told = job.processes_reporting
    if last is not None and told is not None and told < last.processes and silence(record) is None:
        was = "was" if told == 1 else "were"
        yield (
            f"Of {units.count(last.processes)} training processes {units.count(told)} {was} heard at the end; what the "
            "others used is known from the meters of their machines."
        )
    expected, heard = job.nodes_expected, job.nodes_reporting
    if expected is not None and heard is not None and heard < expected and silence(record) is None:
        yield f"Only {units.count(heard)} of {units.count(expected)} nodes reported; what the others used is not in it."
