"""A record into the card beside it: files, memory, copies, crashes."""

from __future__ import annotations

import json
import os

import pytest
from huggingface_hub import ModelCard

from autocard import files
from autocard.card.fill.new_card import SHIPPED
from autocard.card.update import update
from autocard.errors import NotWrittenError, SettingsError
from autocard.record import load
from support import records


@pytest.fixture
def record():
    return records.lora_on_cpu()


def later(record, **run):
    """The same run, some time later: two hours of it."""
    return record.model_copy(
        update={
            "time": record.time.model_copy(update={"wall_clock_s": 7200.0}),
            "run": record.run.model_copy(update=run),
        }
    )


@pytest.mark.parametrize("template", [None, *SHIPPED])
@pytest.mark.parametrize("empty", ["comment", "placeholder"])
def test_a_new_card_loads_and_a_second_update_changes_nothing(tmp_path, record, template, empty):
    card = tmp_path / "README.md"

    first = update(card, record, template=template, empty=empty)
    second = update(card, record)

    assert first.changed
    assert not second.changed
    assert ModelCard.load(card).data.base_model == record.model.base_model
    assert load(tmp_path).slots["README.md"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "autocard.json"]


def test_an_existing_card_is_filled_in_place(tmp_path, record):
    card = tmp_path / "README.md"
    card.write_bytes(b"# Mine\r\n\r\n- **Hours used:** [More Information Needed]\r\n\r\nEnd  ")

    update(card, record)

    data = card.read_bytes()
    assert data.startswith(b"---\r\n")
    assert b"# Mine\r\n\r\n- **Hours used:** 18 min 04 s" in data
    assert b"End  " in data
    assert b"\n" not in data.replace(b"\r\n", b"")


def test_a_later_record_refreshes_ours_and_keeps_the_persons(tmp_path, record):
    card = tmp_path / "README.md"
    update(card, record)
    text = card.read_text().replace("regime:** fp32\n", "regime:** single precision\n")
    card.write_text(text)

    outcome = update(card, later(record))

    after = card.read_text()
    assert "regime:** single precision\n" in after
    assert "**Hours used:** 2 h" in after
    assert [report.slot for report in outcome.kept] == ["training_regime"]


def test_nothing_is_written_in_a_dry_run(tmp_path, record):
    outcome = update(tmp_path / "README.md", record, dry_run=True)

    assert outcome.changed
    assert "18 min" in outcome.text
    assert list(tmp_path.iterdir()) == []


def test_an_unchanged_card_is_not_written_again(tmp_path, record):
    card = tmp_path / "README.md"
    update(card, record)
    os.utime(card, (1, 1))
    os.utime(tmp_path / "autocard.json", (1, 1))

    update(card, record)

    assert card.stat().st_mtime == 1
    assert (tmp_path / "autocard.json").stat().st_mtime == 1


def test_a_broken_card_is_left_alone_and_the_new_one_goes_beside_it(tmp_path, record):
    card = tmp_path / "README.md"
    card.write_text("---\nlicense: [\n---\n# Mine\n")

    outcome = update(card, record)
    again = update(card, record)

    assert card.read_text() == "---\nlicense: [\n---\n# Mine\n"
    assert outcome.card == again.card == tmp_path / "README.autocard.md"
    assert "README.md: " in outcome.warnings[0]
    assert not again.changed
    assert ModelCard.load(outcome.card).data.library_name == "peft"


@pytest.mark.parametrize(
    "head", ["", "\n", "---\nlicense: mit # ours\n---\n", "---\r\nlicense: mit\r\n---", "\ufeff"]
)
def test_a_repository_that_has_front_matter_alone_gets_a_whole_card_below_it(
    tmp_path, record, head
):
    card = tmp_path / "README.md"
    card.write_bytes(head.encode())

    update(card, record)

    text = card.read_bytes().decode()
    assert text.startswith(head.partition("---")[0].strip("\n") + "---")
    assert ("license: mit" in text) == ("mit" in head)
    assert "# Model Card for " in text
    assert not update(card, record).changed
    assert ModelCard.load(card).data.library_name == "peft"


def test_a_card_that_is_no_text_is_left_alone(tmp_path, record):
    (tmp_path / "README.md").write_bytes(b"\xff\xfe")

    outcome = update(tmp_path / "README.md", record)

    assert (tmp_path / "README.md").read_bytes() == b"\xff\xfe"
    assert outcome.card.name == "README.autocard.md"


def test_a_linked_card_stays_a_link_and_the_record_lies_beside_the_link(tmp_path, record):
    (tmp_path / "blobs").mkdir()
    target = tmp_path / "blobs" / "0123"
    target.write_text("# Mine\n\n- **Hours used:** ...\n")
    (tmp_path / "snap").mkdir()
    card = tmp_path / "snap" / "README.md"
    card.symlink_to(target)

    update(card, record)

    assert card.is_symlink()
    assert "18 min" in target.read_text()
    assert (tmp_path / "snap" / "autocard.json").is_file()
    assert not update(card, record).changed


def test_slots_of_other_cards_stay_remembered(tmp_path, record):
    update(tmp_path / "README.md", record)
    update(tmp_path / "OTHER.md", record)

    assert set(load(tmp_path).slots) == {"README.md", "OTHER.md"}
    assert not update(tmp_path / "README.md", record).changed


def test_an_unreadable_memory_makes_ours_a_persons_and_says_so(tmp_path, record):
    card = tmp_path / "README.md"
    update(card, record)
    before = card.read_text()
    (tmp_path / "autocard.json").write_text("{")

    outcome = update(card, later(record))

    assert "autocard.json" in outcome.warnings[0]
    assert "hours_used" in {report.slot for report in outcome.kept}
    assert "18 min 04 s" in card.read_text()
    assert card.read_text().count("## Environmental Impact") == before.count(
        "## Environmental Impact"
    )


@pytest.mark.parametrize("fails", ["card", "memory"])
def test_a_crash_between_the_two_writes_never_makes_ours_a_persons(
    tmp_path, record, monkeypatch, fails
):
    card = tmp_path / "README.md"
    update(card, record)
    real, calls = files.write_text, []

    def crash(path, text):
        calls.append(path.name)
        if path.name == ("README.md" if fails == "card" else "autocard.json") and len(calls) > 1:
            msg = "the disk is full"
            raise NotWrittenError(msg)
        return real(path, text)

    monkeypatch.setattr(files, "write_text", crash)
    with pytest.raises(NotWrittenError):
        update(card, later(record))
    monkeypatch.undo()
    third = later(record)
    third = third.model_copy(
        update={"time": third.time.model_copy(update={"wall_clock_s": 10800.0})}
    )

    outcome = update(card, third)

    assert outcome.kept == ()
    assert "**Hours used:** 3 h" in card.read_text()
    assert set(load(tmp_path).slots) == {"README.md"}


def test_a_card_copied_from_another_run_is_not_taken_for_this_runs(tmp_path, record):
    update(tmp_path / "README.md", record)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "README.md").write_text((tmp_path / "README.md").read_text())

    outcome = update(copy / "README.md", later(record, id="0f0f0f0f0f0f"))

    (warning,) = outcome.warnings
    assert record.run.id in warning
    assert "0f0f0f0f0f0f" in warning
    assert '--overwrite co2_eq_emissions --overwrite "Hours used"' in warning


def test_figures_of_somebody_else_that_deny_the_record_are_told_and_kept(tmp_path, record):
    card = tmp_path / "README.md"
    card.write_text(
        "# Mine\n\n- **Hours used:** 300 h on 8 A100\n- **Carbon Emitted:** half a gram, about\n"
    )

    outcome = update(card, record)

    (warning,) = outcome.warnings
    assert "not what this run's record has: Hours used. That text is not autocard's" in warning
    assert "Carbon Emitted" not in warning
    assert "300 h on 8 A100" in card.read_text()


def test_the_named_way_on_takes_this_runs_figures(tmp_path, record):
    update(tmp_path / "README.md", record)
    (tmp_path / "autocard.json").unlink()

    other = later(record, id="0f0f0f0f0f0f")
    outcome = update(tmp_path / "README.md", other, overwrite=["co2_eq_emissions", "Hours used"])

    assert outcome.warnings == ()
    assert "**Hours used:** 2 h" in (tmp_path / "README.md").read_text()
    assert (
        "0f0f0f0f0f0f" in ModelCard.load(tmp_path / "README.md").data["co2_eq_emissions"]["source"]
    )


def test_a_new_card_says_why_there_is_no_co2_figure_and_a_refill_takes_the_reason_out(
    tmp_path, record
):
    reason = "no place was given"
    without = record.model_copy(
        update={
            "emissions": type(record.emissions)(),
            "missing": {**record.missing, "emissions": reason},
        }
    )
    card = tmp_path / "README.md"

    outcome = update(card, without)
    before = card.read_text()
    again = update(card, without)
    update(card, record)

    assert f"- **Carbon Emitted:** not known: {reason}\n" in before
    assert "empty" in {report.state for report in outcome.reports if report.slot == "co2_emitted"}
    assert not again.changed
    assert reason not in card.read_text()


def test_a_template_that_does_not_exist_is_an_error_before_anything_is_written(tmp_path, record):
    with pytest.raises(SettingsError):
        update(tmp_path / "README.md", record, template="nope")

    assert list(tmp_path.iterdir()) == []


def test_what_peft_does_to_a_card_at_each_save_loses_nothing_of_ours(tmp_path, record):
    card = tmp_path / "README.md"
    card.write_text("---\nlicense: mit\ntags:\n- mine\n---\n# Mine\n\nWords.\n")
    update(card, record)
    ours = card.read_text()

    # What `create_or_update_model_card` does, with a base that was loaded from a folder.
    saved = ModelCard.load(card)
    saved.data["library_name"] = "peft"
    saved.data["tags"] = ["base_model:adapter:/home/ann/base", "lora"]
    saved.data["base_model"] = "/home/ann/base"
    saved.text = "\n".join(saved.text.splitlines())
    saved.save(card)
    outcome = update(card, record)

    after = ModelCard.load(card)
    assert outcome.kept == ()
    assert after.data.base_model == record.model.base_model
    assert "/home/ann" not in card.read_text()
    assert [line for line in ours.splitlines() if line.startswith("#")] == [
        line for line in card.read_text().splitlines() if line.startswith("#")
    ]


def test_public_files_hold_the_memory_as_plain_json(tmp_path, record):
    update(tmp_path / "README.md", record)

    slots = json.loads((tmp_path / "autocard.json").read_text())["slots"]["README.md"]
    assert slots["hours_used"].startswith("18 min 04 s")


@pytest.mark.parametrize("heads", ["| GPU | Hours | CO2 |", "| GPU | Hours |"])
def test_titles_of_columns_are_no_slots(heads, tmp_path):
    card = tmp_path / "README.md"
    line = "|---" * heads.count(" |") + "|"
    own = f"## Environmental Impact\n\n{heads}\n{line}\n| A100 | 12 h | 3 kg |\n"
    card.write_text(f"# Mine\n\n{own}", encoding="utf-8")

    first = update(card, records.lora_on_cpu())
    update(card, records.lora_on_cpu(), overwrite=["GPU"])

    assert own in card.read_text(encoding="utf-8")
    assert all(report.label != "GPU" for report in first.reports)
    assert not any('--overwrite "GPU"' in warning for warning in first.warnings)
