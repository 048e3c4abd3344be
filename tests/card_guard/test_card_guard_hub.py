"""The Hub as it may be: it holds an edited card, it refuses, it is slow, it breaks off; and `autocard push` repairs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub.errors import HfHubHTTPError
from typer.testing import CliRunner

from autocard import AutoCardCallback
from autocard.card_guard.class_wrapper import original
from autocard.cli import app, main
from support.card_writers import BASE, HOSTS, quiet

pytest_plugins = ["support.hub_fixtures"]

REPO = "me/out"
PERSONS = """---
license: mit  # asked our lawyer
---

# A card that was written on the Hub

For the weather, not for people.

## Environmental Impact

- **Hours used:** [More Information Needed]
"""


def made(tmp_path, name="Trainer + PEFT", **settings):
    callback = AutoCardCallback(base_model=BASE, emissions=False)
    with quiet():
        return HOSTS[name].make(
            tmp_path / "base",
            tmp_path / "out",
            [callback],
            hub_model_id=REPO,
            save_strategy="no",
            **settings,
        )


def trained(tmp_path, name="Trainer + PEFT", **settings):
    trainer = made(tmp_path, name, **settings)
    with quiet():
        trainer.train()
    return trainer


def card(tmp_path) -> str:
    return (tmp_path / "out" / "README.md").read_text()


def hours(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("- **Hours used:**"))


def kept(caplog) -> str:
    """The version of the card whose place the log names."""
    return Path(re.search(r"is kept in (\S+\.md)", caplog.text)[1]).read_text()


# -- a Hub that holds a card -----------------------------------------------------------------------


def test_a_card_written_on_the_hub_before_the_first_push_is_filled_and_not_replaced(hub, tmp_path):
    hub.create(REPO, {"README.md": PERSONS})
    trainer = trained(tmp_path)

    with quiet():
        trainer.push_to_hub()

    text = hub.repo(REPO).text()
    for words in (
        "license: mit  # asked our lawyer",
        "# A card that was written on the Hub",
        "For the weather",
    ):
        assert text.count(words) == 1
    assert "wall-clock" in hours(text)
    assert f"base_model: {BASE}" in text
    assert card(tmp_path) == text


def test_front_matter_alone_on_the_hub_stays_above_our_new_card(hub, tmp_path):
    hub.create(REPO, {"README.md": "---\nlicense: cc-by-4.0\n---\n"})
    trainer = trained(tmp_path)

    with quiet():
        trainer.push_to_hub()

    text = hub.repo(REPO).text()
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "cc-by-4.0"
    assert "wall-clock" in hours(text)


def test_a_second_run_refreshes_its_own_lines_in_the_card_on_the_hub_and_keeps_the_persons(
    hub, tmp_path
):
    first = trained(tmp_path / "first")
    with quiet():
        first.push_to_hub()
    hub.edit(
        REPO,
        "README.md",
        hub.repo(REPO).text().replace("## Uses", "## Uses\n\nFor the weather.", 1),
    )
    before = hub.repo(REPO).text()

    second = trained(tmp_path / "second", max_steps=1)
    with quiet():
        second.push_to_hub()

    text = hub.repo(REPO).text()
    run = json.loads(hub.repo(REPO).text("autocard.json"))["run"]
    assert "For the weather." in text
    assert run["started_at"][:19].replace("T", " ") in text
    assert hours(before) != hours(text)


def test_where_both_sides_changed_a_slot_the_hubs_words_stand_and_the_disks_are_kept_and_named(
    hub, tmp_path, caplog
):
    trainer = trained(tmp_path)
    with quiet():
        trainer.push_to_hub()
    ours = hours(card(tmp_path))
    hub.edit(
        REPO, "README.md", hub.repo(REPO).text().replace(ours, "- **Hours used:** said on the Hub")
    )
    path = tmp_path / "out" / "README.md"
    path.write_text(card(tmp_path).replace(ours, "- **Hours used:** said on disk"))

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.push_to_hub()

    assert hours(hub.repo(REPO).text()) == "- **Hours used:** said on the Hub"
    assert hours(card(tmp_path)) == "- **Hours used:** said on the Hub"
    told = next(message for message in caplog.messages if "in the same place" in message)
    assert "said on disk" in told
    assert "said on disk" in kept(caplog)


def test_a_card_of_the_hosts_alone_on_the_hub_is_nobodys_edit(hub, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(PERSONS)
    trainer = trained(tmp_path, "TRL SFT")
    with quiet():
        trainer.push_to_hub()
        # An upload in the background read the file between TRL's writing and ours.
        original(trainer, "create_model_card")()
        raw = card(tmp_path)
        (tmp_path / "out" / "README.md").write_text(hub.repo(REPO).text())
        hub.edit(REPO, "README.md", raw)
        trainer.push_to_hub()

    assert "For the weather" in hub.repo(REPO).text()
    assert "wall-clock" in hours(hub.repo(REPO).text())


def test_what_was_taken_out_on_the_hub_does_not_come_back(hub, tmp_path):
    trainer = trained(tmp_path)
    with quiet():
        trainer.push_to_hub()
    ours = hours(card(tmp_path))
    hub.edit(REPO, "README.md", hub.repo(REPO).text().replace(ours + "\n", ""))

    with quiet():
        trainer.push_to_hub()
        trainer.evaluate()
        trainer.push_to_hub()

    assert "Hours used" not in hub.repo(REPO).text()
    assert "Hours used" not in card(tmp_path)


# -- a Hub that does not do as it should -----------------------------------------------------------


def test_a_hub_that_refuses_leaves_training_the_card_and_the_record_as_they_should_be(
    hub, tmp_path
):
    trainer = trained(tmp_path)
    hub.refuse()

    with quiet(), pytest.raises(HfHubHTTPError):
        trainer.push_to_hub()

    assert "wall-clock" in hours(card(tmp_path))
    hub.heal()
    with quiet():
        trainer.push_to_hub()
    assert "wall-clock" in hours(hub.repo(REPO).text())


def test_a_hub_that_cannot_be_read_is_told_and_costs_nothing_else(hub, tmp_path, caplog):
    hub.create(REPO, {"README.md": PERSONS})
    trainer = trained(tmp_path)
    hub.drop("resolve/main/README.md", before=True)

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.push_to_hub()

    assert "wall-clock" in hours(hub.repo(REPO).text())
    assert any("could not be read from the Hub" in message for message in caplog.messages)
    assert hub.repo(REPO).pushes[0].text("README.md") == PERSONS  # its history has it


@pytest.mark.expects_failure
def test_a_hub_that_is_slow_to_show_its_card_holds_a_push_up_for_a_bounded_time(
    hub, tmp_path, caplog, monkeypatch
):
    import time

    monkeypatch.setattr("autocard.hub.answers.TOTAL_S", 0.3)
    trainer = trained(tmp_path)
    hub.slow(20, "resolve/main/README.md")

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        began_s = time.monotonic()
        trainer.push_to_hub()

    assert time.monotonic() - began_s < 15
    assert "wall-clock" in hours(hub.repo(REPO).text())
    assert any("could not be read from the Hub" in message for message in caplog.messages)


# -- autocard push ---------------------------------------------------------------------------------


@pytest.fixture
def pushed(hub, tmp_path):
    """A repository whose card somebody's tool has written over, beside a record of ours."""
    trainer = trained(tmp_path)
    with quiet():
        trainer.push_to_hub()
    hub.edit(REPO, "README.md", PERSONS)
    return hub.repo(REPO)


def test_push_repairs_a_card_on_the_hub_with_the_record_that_lies_there(pushed):
    result = CliRunner().invoke(app, ["push", REPO])

    assert result.exit_code == 0, result.output
    assert "For the weather" in pushed.text()
    assert "wall-clock" in hours(pushed.text())
    assert set(pushed.pushes[-1].changed) == {"README.md", "autocard.json"}
    assert CliRunner().invoke(app, ["push", REPO]).output.strip() == f"{REPO}: nothing to change"


def test_push_with_diff_uploads_nothing(pushed):
    commits = len(pushed.commits)

    result = CliRunner().invoke(app, ["push", REPO, "--diff"])

    assert result.exit_code == 0, result.output
    assert "+- **Hours used:**" in result.output
    assert len(pushed.commits) == commits


def test_push_takes_a_record_from_disk(hub, tmp_path):
    trained(tmp_path)
    hub.create("me/other", {"README.md": PERSONS})

    result = CliRunner().invoke(app, ["push", "me/other", "--record", str(tmp_path / "out")])

    assert result.exit_code == 0, result.output
    assert "wall-clock" in hours(hub.repo("me/other").text())
    assert "autocard.json" in hub.repo("me/other").files


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda hub: hub.refuse(at="commit"), "refused the upload"),
        (lambda hub: hub.drop("resolve", before=True), "could not be read"),
        (lambda hub: hub.edit(REPO, "autocard.json", "{"), "autocard.json"),
        (lambda hub: hub.edit(REPO, "README.md", "---\na: [\n---\n# T\n"), "front matter"),
    ],
    ids=["refuses", "cannot be read", "broken record", "broken card"],
)
def test_a_push_that_cannot_be_says_why_and_changes_nothing(
    fault, words, hub, pushed, monkeypatch, capsys
):
    fault(hub)
    commits = len(pushed.commits)
    monkeypatch.setattr(sys, "argv", ["autocard", "push", REPO])

    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 3
    assert words in capsys.readouterr().err
    assert len(pushed.commits) == commits


def test_a_push_whose_answer_is_lost_says_that_it_may_have_arrived(
    hub, pushed, monkeypatch, capsys
):
    hub.drop("/commit/")  # in the middle of the answer: the commit is made
    monkeypatch.setattr(sys, "argv", ["autocard", "push", REPO])

    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 3
    assert "It may have arrived" in capsys.readouterr().err
    assert "wall-clock" in hours(pushed.text())
    hub.heal()
    assert CliRunner().invoke(app, ["push", REPO]).output.strip() == f"{REPO}: nothing to change"


def test_push_to_a_repository_without_a_record_asks_for_one(hub, monkeypatch, capsys):
    hub.create("me/bare", {"README.md": PERSONS})
    monkeypatch.setattr(sys, "argv", ["autocard", "push", "me/bare"])

    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 3
    assert "autocard push me/bare --record R" in capsys.readouterr().err


def test_push_runs_as_a_command_of_its_own(hub, pushed):
    done = subprocess.run(
        [sys.executable, "-m", "autocard", "push", REPO],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert hub.url in done.stdout
    assert "wall-clock" in hours(pushed.text())


def test_a_card_on_the_hub_that_cannot_be_filled_stays_as_it_is(hub, tmp_path, caplog):
    strange = "---\n- a list\n- no mapping\n---\n\n# A person's\n\nTheir words.\n"
    hub.create(REPO, {"README.md": strange})
    trainer = trained(tmp_path)

    with quiet(), caplog.at_level(logging.WARNING, "autocard"), contextlib.suppress(Exception):
        trainer.push_to_hub()  # the Hub may refuse such metadata

    assert hub.repo(REPO).text() == strange
    assert card(tmp_path) == strange
    assert any("left alone" in message for message in caplog.messages)


def test_at_a_first_push_a_persons_card_on_disk_is_uploaded_and_the_hubs_is_kept_and_named(
    hub, tmp_path, caplog
):
    hub.create(REPO, {"README.md": PERSONS})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(
        "---\nlanguage: en\n---\n\n# On disk\n\nOther words of a person.\n"
    )
    trainer = trained(tmp_path)

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.push_to_hub()

    text = hub.repo(REPO).text()
    assert text == card(tmp_path)
    assert "Other words of a person." in text
    assert text.count("\n# ") == 1
    assert "license: mit  # asked our lawyer" in text
    assert yaml.safe_load(text.split("---\n")[1])["language"] == "en"
    assert kept(caplog) == PERSONS
    assert not any("Hub's text" in message for message in caplog.messages)


def test_a_stub_on_the_hub_gives_its_licence_and_replaces_no_word_of_a_person(
    hub, tmp_path, caplog
):
    hub.create(REPO, {"README.md": "---\nlicense: mit\n---\n"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("# On disk\n\nWords of a person.\n")
    trainer = trained(tmp_path)

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.push_to_hub()

    text = hub.repo(REPO).text()
    assert "Words of a person." in text
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "mit"
    assert not any("on the Hub" in message for message in caplog.messages)


def test_what_is_on_disk_beside_all_of_the_hubs_card_is_uploaded(hub, tmp_path):
    hub.create(REPO, {"README.md": PERSONS})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(PERSONS + "\n## Uses\n\nWritten on disk since.\n")
    trainer = trained(tmp_path)

    with quiet():
        trainer.push_to_hub()

    assert "Written on disk since." in hub.repo(REPO).text()
    assert "For the weather" in hub.repo(REPO).text()


def test_a_section_added_on_the_hub_where_ours_is_added_too_costs_neither(hub, tmp_path, caplog):
    trainer = trained(tmp_path)
    with quiet():
        trainer.push_to_hub()
    hub.edit(
        REPO, "README.md", hub.repo(REPO).text().rstrip() + "\n\n## Mine\n\nA section of mine.\n"
    )

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.evaluate()
        trainer.push_to_hub()

    text = hub.repo(REPO).text()
    assert "A section of mine." in text
    assert "### Testing Data" in text
    assert not any("in the same place" in message for message in caplog.messages)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("repo", ["a/b/c", "my model"])
def test_what_is_no_repository_is_wrong_usage(repo, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["autocard", "push", repo])

    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 2
    assert "is no id of a repository" in capsys.readouterr().err


@pytest.mark.usefixtures("hub")
def test_a_hub_that_is_not_there_is_told_in_a_sentence():
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}

    done = subprocess.run(
        [sys.executable, "-m", "autocard", "push", REPO],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 3
    assert "could not be read from the Hub" in done.stderr
    assert "Traceback" not in done.stderr


def test_600_000_blank_lines_on_the_hub_cost_no_edit(hub, tmp_path):
    trainer = trained(tmp_path)
    with quiet():
        trainer.push_to_hub()
    hub.edit(REPO, "README.md", hub.repo(REPO).text() + "\n" * 600_000 + "An edit on the Hub.\n")

    with quiet():
        trainer.push_to_hub()

    assert hub.repo(REPO).text().endswith("\nAn edit on the Hub.\n")
    assert "wall-clock" in hours(hub.repo(REPO).text())


@pytest.mark.expects_failure
def test_an_edit_on_the_hub_that_cannot_be_merged_is_kept_and_named(
    hub, tmp_path, caplog, monkeypatch
):
    trainer = trained(tmp_path)
    with quiet():
        trainer.push_to_hub()
    edited = hub.repo(REPO).text() + "\nAn edit on the Hub.\n"
    hub.edit(REPO, "README.md", edited)

    def fails(*_):
        raise RecursionError

    monkeypatch.setattr("autocard.card.three_way_merge.merge", fails)
    with caplog.at_level(logging.WARNING), quiet():
        trainer.push_to_hub()

    assert kept(caplog) == edited
    assert "wall-clock" in hours(hub.repo(REPO).text())


# -- what the Hub would refuse ---------------------------------------------------------------------


EMPTY_KEYS = "---\nlanguage: en\nlicense:\n---\n\n# Model\n"


@pytest.mark.usefixtures("hub")
def test_what_the_hub_would_refuse_is_logged_with_its_remedy_before_the_upload(tmp_path, caplog):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(EMPTY_KEYS)
    trainer = trained(tmp_path)

    with quiet(), contextlib.suppress(HfHubHTTPError, ValueError):
        trainer.push_to_hub()

    warnings = [one.getMessage() for one in caplog.records if "would refuse" in one.getMessage()]
    line = card(tmp_path).splitlines().index("license:") + 1
    remedy = "has no value; give it one or take the key out"
    where = f"license (line {line}) {remedy}"
    assert warnings == [f"autocard: README.md: the Hub would refuse this card: {where}"]


def test_a_card_that_the_hub_takes_is_pushed_without_a_warning(hub, tmp_path, caplog):
    trainer = trained(tmp_path)

    with quiet():
        trainer.push_to_hub()

    assert "would refuse" not in caplog.text
    assert hub.repo(REPO).text() == card(tmp_path)


@pytest.mark.usefixtures("hub")
def test_uploads_during_training_warn_once_of_the_same(tmp_path, caplog):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(EMPTY_KEYS)
    trainer = made(
        tmp_path,
        push_to_hub=True,
        hub_strategy="every_save",
        max_steps=4,
    )
    trainer.args.save_strategy, trainer.args.save_steps = "steps", 1

    with quiet(), contextlib.suppress(HfHubHTTPError, ValueError):
        trainer.train()

    assert caplog.text.count("would refuse") == 1


def test_the_command_warns_of_what_the_hub_would_refuse_before_it_uploads(hub, tmp_path):
    hub.create(REPO, {"README.md": EMPTY_KEYS})
    trained(tmp_path)

    result = subprocess.run(
        [sys.executable, "-m", "autocard", "push", REPO, "--record", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )

    first, *_ = result.stderr.splitlines()
    assert first.startswith(f"autocard: README.md of {REPO}: the Hub would refuse: license (line ")
