"""Arguments and options that the commands take, with their help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CardPath = Annotated[
    Path,
    typer.Argument(
        metavar="CARD",
        help="A model card, or the folder that holds its README.md.",
        show_default=False,
    ),
]
_RUN = "A record (autocard.json), a folder that holds one, or a card beside one."

RecordPath = Annotated[Path, typer.Argument(metavar="RUN", help=_RUN, show_default=False)]
OptionalRun = Annotated[Path | None, typer.Argument(metavar="RUN", help=_RUN, show_default=False)]
RecordOption = Annotated[
    Path | None, typer.Option("--record", metavar="RUN", help="The same as RUN.")
]
OptionalRecord = Annotated[
    Path | None,
    typer.Option("--record", metavar="RUN", help=f"{_RUN} It is read, never written."),
]
Template = Annotated[
    str | None,
    typer.Option(
        metavar="T",
        help="Form of a new card: a shipped one's name, or the path of a Markdown or Jinja file.",
    ),
]
OutputFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="A new file, instead of the screen."),
]
Overwrite = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SLOT", help="Write this slot, even over a person's text. May be repeated."
    ),
]
Suggest = Annotated[
    bool,
    typer.Option(
        "--suggest", help="Propose license, developers and citation, marked for you to check."
    ),
]
Detail = Annotated[
    str | None,
    typer.Option(
        metavar="D",
        help="standard, full (nothing folded) or brief (a summary table and the CO2 line). "
        "Later fills keep it.",
    ),
]
Sections = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Sections to write, such as environment,front_matter; all: every one. "
        "Later fills keep them.",
    ),
]
Country = Annotated[
    str | None,
    typer.Option(
        metavar="C",
        help="Where the run was, if it did not record it: FRA, FR or France. Gives the CO2.",
    ),
]
Region = Annotated[
    str | None,
    typer.Option(metavar="R", help="State, province or bidding zone: US-CA, CA or California."),
]
Intensity = Annotated[
    str | None,
    typer.Option(metavar="N", help="Carbon intensity of the grid, in g CO2eq per kWh."),
]
Pue = Annotated[
    str | None, typer.Option("--pue", metavar="N", help="Power usage effectiveness, at least 1.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CheckOnly = Annotated[
    bool, typer.Option("--check", help="Write nothing; status 1 if something would change.")
]
DiffOnly = Annotated[bool, typer.Option("--diff", help="Write nothing; print what would change.")]
CardsDiffOnly = Annotated[
    bool, typer.Option("--diff", help="Write nothing; print what would change in the cards.")
]
UploadDiffOnly = Annotated[
    bool, typer.Option("--diff", help="Upload nothing; print what would change.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Ask for the slots that only people can fill, too.")
]

RepositoryId = Annotated[
    str, typer.Argument(metavar="REPO", help="Id of a model on the Hub, such as me/my-model.")
]
Revision = Annotated[str | None, typer.Option(metavar="BRANCH", help="Instead of main.")]

SacctFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="What Slurm's sacct printed, with its header; - to paste it."
    ),
]
SlurmJobs = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID", help="A job of Slurm; without it, all jobs of the run. May be repeated."
    ),
]
MeterKwh = Annotated[
    float | None, typer.Option(metavar="N", help="What a meter of the building read, in kWh.")
]
MeterJoules = Annotated[float | None, typer.Option(metavar="N", help="The same in joules.")]
MeterSource = Annotated[
    str, typer.Option(metavar="TEXT", help="Which meter that is, as it will stand in the card.")
]
SacctTimeout = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.1, help="How long sacct may take.")
]
ExportFormat = Annotated[str, typer.Option("--format", metavar="F", help="Name of the format.")]

OutputFolder = Annotated[
    Path,
    typer.Argument(
        metavar="OUT",
        help="The output folder of a training that was broken off.",
        show_default=False,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Make the card, even if the run may still be alive.")
]
CardElsewhere = Annotated[
    Path | None,
    typer.Option(
        "--card", metavar="FILE", help="Where the card goes, if not where training puts it."
    ),
]
RunId = Annotated[
    str | None,
    typer.Option("--run", metavar="ID", help="Which run, if not the newest that was broken off."),
]
