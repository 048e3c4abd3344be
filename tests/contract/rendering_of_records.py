"""Which cards the contract freezes: every record in the default form, and some in each other form."""

from __future__ import annotations

import shutil
from pathlib import Path

import surface

HERE = Path(__file__).parent
FORMS = HERE.parent / "forms"
RECORDS = HERE / "records"
CARDS = HERE / "cards"

DEFAULT = "huggingface"
IN_EACH_SHIPPED_FORM = ["gpus", "sentence-embeddings"]
IN_A_USERS_FORM = {
    "climate_table": "two-hosts",
    "data_sheet": "full-fine-tuning",
    "deutsch": "measured",
    "fiche": "measured",
    "overview_plus": "dpo-lora",
}
"""Form in tests/forms → record."""


def wanted() -> list[tuple[str, str]]:
    """Return (record, form) of each card."""
    default = [(folder.name, DEFAULT) for folder in sorted(RECORDS.iterdir())]
    shipped = [
        (name, form) for form in surface.forms() if form != DEFAULT for name in IN_EACH_SHIPPED_FORM
    ]
    return default + shipped + [(name, form) for form, name in IN_A_USERS_FORM.items()]


def name_of(record: str, form: str) -> str:
    """Return the name of the file that holds a card."""
    return f"{record}.{form}.md"


def render(record: str, form: str, folder: Path) -> bytes:
    """Render *record* in *form*, by the command line; *folder* is empty and gets the form of a user."""
    template = form
    if form in IN_A_USERS_FORM:
        template = str(folder / f"{form}.md")
        shutil.copy(FORMS / f"{form}.md", template)
        labels = FORMS / f"{form}.labels.yaml"
        if labels.is_file():
            shutil.copy(labels, folder / "autocard.labels.yaml")
    (folder / "new").mkdir()
    output = folder / "new" / "README.md"
    words = ("render", "--record", str(RECORDS / record), "--template", template, "-o", str(output))
    status, _ = surface.command(*words)
    if status:
        msg = f"autocard {' '.join(words)}: status {status}"
        raise AssertionError(msg)
    return output.read_bytes()
