"""Curves beside the card: they show the log, on a light and a dark page, and say in words what one would see."""

import json
import re
import struct
import sys

import numpy as np
import pytest

from autocard import AutoCardCallback
from autocard import record as parts
from autocard.card import plots
from autocard.card.fields import facts
from autocard.card.fill import sanitize
from support import records, training

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Train with evaluations and pictures; return the folder and the trainer."""
    folder = tmp_path_factory.mktemp("run") / "plotted"
    trainer = training.trainer(
        folder,
        callbacks=[AutoCardCallback(emissions=False, plots=True)],
        max_steps=6,
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=1,
    )
    trainer.train()
    return folder, trainer


def logged(trainer, key):
    return [(entry["step"], entry[key]) for entry in trainer.state.log_history if key in entry]


def test_a_picture_shows_the_points_of_the_log(drawn):
    folder, trainer = drawn
    history = json.loads((folder / "autocard.json").read_text())["evaluation"]["history"]

    (loss,) = plots.pictures_of(history)
    axes = plots.figure(loss, plots.LIGHT).axes[0]

    shown = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(shown["training loss"], logged(trainer, "loss"))
    np.testing.assert_allclose(shown["evaluation loss"], logged(trainer, "eval_loss"))


def test_each_picture_is_a_small_png_in_light_and_dark(drawn):
    from matplotlib.image import imread

    for name, light in (("autocard_loss.png", True), ("autocard_loss_dark.png", False)):
        data = (drawn[0] / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert struct.unpack(">II", data[16:24]) == (640, 320)
        assert len(data) < 60_000
        assert (imread(drawn[0] / name)[0, 0, :3].mean() > 0.5) == light


def test_the_card_refers_to_them_beside_it_with_words_for_who_cannot_see_them(drawn):
    folder, trainer = drawn
    card = (folder / "README.md").read_text()

    assert 'srcset="autocard_loss_dark.png"' in card
    alt = re.search(r'<img alt="([^"]*)" src="autocard_loss.png">', card)[1]
    (first, begin), *_, (last, end) = logged(trainer, "loss")
    assert f"training loss from {begin:.3g}" in alt
    assert f"at step {first} to {end:.3g}" in alt
    assert f"at step {last}" in alt


def test_pictures_and_the_tables_beside_them_are_not_shown_as_code(drawn):
    from markdown_it import MarkdownIt

    parsed = MarkdownIt("commonmark").enable("table").parse((drawn[0] / "README.md").read_text())

    code = "".join(token.content for token in parsed if token.type in ("fence", "code_block"))
    html = "".join(token.content for token in parsed if token.type == "html_block")
    assert "<picture>" in html
    assert "<picture>" not in code
    assert "| --- |" not in code
    assert [token for token in parsed if token.type == "table_open"]


def test_an_element_without_an_end_tag_is_no_open_element():
    void = [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    ]

    assert [name for name in void if sanitize.block(f"<p><{name}></p>") != f"<p><{name}></p>"] == []
    assert sanitize.block("<p><b></p>").startswith("```")


def test_without_being_asked_nothing_is_drawn(tmp_path):
    training.trainer(
        tmp_path / "plain", callbacks=[AutoCardCallback(emissions=False)], max_steps=2
    ).train()

    assert not list((tmp_path / "plain").glob("*.png"))


def test_without_matplotlib_there_is_a_card_and_a_reason(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    folder = tmp_path / "plain"
    callback = AutoCardCallback(emissions=False, plots=True)

    training.trainer(folder, callbacks=[callback], max_steps=4, logging_steps=1).train()

    record = json.loads((folder / "autocard.json").read_text())
    assert "autocard[plots]" in record["missing"]["pictures"]
    assert (folder / "README.md").is_file()
    assert not list(folder.glob("*.png"))


def test_power_is_energy_over_time_between_checkpoints():
    readings = [
        parts.Checkpoint(step=10, wall_clock_s=1800.0, energy_j=180_000.0),
        parts.Checkpoint(step=20, wall_clock_s=3600.0, energy_j=540_000.0),
    ]

    (power,) = plots.pictures_of([], [parts.Leg(id="0" * 12, checkpoints=readings)])

    assert power.curves == {"GPUs, CPUs and RAM": [(0.25, 100.0), (0.75, 200.0)]}
    assert power.alt() == (
        "Line chart, mean power between checkpoints: GPUs, CPUs and RAM from 100 at hour 0.25 to 200 at hour 0.75."
    )


def test_one_point_is_no_curve():
    assert plots.pictures_of([{"step": 1, "loss": 0.5}]) == []


def test_names_of_metrics_cannot_open_anything_in_the_card():
    record = records.nothing_measured().model_copy(
        update={
            "pictures": {
                "autocard_loss.png": '"><script>x</script> $$e$$ {{ y }}',
                "../../etc.png": "x",
            }
        }
    )

    body = facts(record)["results"].body()

    assert "<script" not in body
    assert "$$" not in body
    assert "etc.png" not in body


def test_a_metric_with_dollars_is_no_formula_for_matplotlib(tmp_path):
    history = [
        {"step": step, "eval_$\\frac{1$": float(step), "eval__hidden": 1.0 / step}
        for step in (1, 2)
    ]

    told = plots.draw(plots.pictures_of(history), tmp_path)

    assert set(told) == {"autocard_metrics.png"}
    assert (tmp_path / "autocard_metrics_dark.png").is_file()
