"""In a notebook the lines are outputs of the cell: a real kernel runs a real training (nbclient)."""

from __future__ import annotations

import json

import pytest

from support import TESTS

pytestmark = pytest.mark.slow

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

TRAIN = f"""
import sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, {str(TESTS)!r})
from support import training
from autocard import AutoCardCallback
ours = AutoCardCallback(country_iso_code="FRA", cpu_power_w=100, ram_power_w=40)
trainer = training.trainer("out", callbacks=[training.until_ready(ours), ours], disable_tqdm=False)
trainer.train();
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The cells of a notebook after it was run, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("notebook")
    sources = [TRAIN, "ours", "ours.record.energy.total_kwh", "AutoCardCallback()"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in sources])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    client = nbclient.NotebookClient(book, timeout=240, resources={"metadata": {"path": folder}})
    client.execute()
    return book.cells, folder


def shown(cell, kind):
    """Return what the outputs of *cell* hold of the media type *kind*."""
    outputs = [output.get("data", {}) for output in cell.outputs]
    return [data[kind] for data in outputs if kind in data]


def test_the_lines_are_outputs_of_the_training_cell(cells):
    (train, *_), _ = cells

    ours = [text for text in shown(train, "text/plain") if "autocard: " in text]
    errors = "".join(
        output.get("text", "") for output in train.outputs if output.get("name") == "stderr"
    )
    assert len(ours) == 2
    assert ours[0].startswith("autocard: no GPU in use; ")
    assert "→ out/README.md; " in ours[1]
    assert "autocard" not in errors


def test_the_end_is_a_table_of_the_records_facts(cells):
    (train, *_), folder = cells
    known = json.loads((folder / "out" / "autocard.json").read_text())

    (table,) = [html for html in shown(train, "text/html") if "autocard check" in html]
    assert '<th style="text-align:left">CO2eq</th>' in table
    assert f">{known['precision']['regime']}<" in table
    assert ">out/README.md<" in table


def test_the_callback_shows_the_latest_training(cells):
    (_, callback, energy, fresh), folder = cells
    known = json.loads((folder / "out" / "autocard.json").read_text())

    (table,) = shown(callback, "text/html")
    assert "<table>" in table
    assert "France" not in "".join(shown(fresh, "text/plain"))
    assert float(shown(energy, "text/plain")[0]) == known["energy"]["total_kwh"]
    assert shown(fresh, "text/html") == []
