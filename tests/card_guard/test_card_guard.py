"""A person's card stands again behind every library that writes cards, whatever happens in between.

Libraries, processes, kills and the Hub are real; what is looked for are words that stand in no
program.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import resource
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

import autocard
from autocard import AutoCardCallback, files, process_mark
from autocard.card.libraries import library_text
from autocard.card.libraries.card_copies import CardCopies
from autocard.card_guard.class_wrapper import original
from autocard.card_guard.method_wrapper import held_method
from autocard.errors import NotWrittenError, SettingsError
from autocard.runtime.pieces import writing
from autocard.runtime.run_state import Event
from autocard.runtime.session import Session
from autocard.settings import resolve
from autocard.trainers.trainer_event import TrainerEvent
from support import records, training
from support.card_writers import HOSTS, quiet

pytest_plugins = ["support.hub_fixtures"]

OURS = "wall-clock"
MINE = "---\nlicense: mit  # chosen by me\n---\n\n# My model\n\nZZfirst words of mine.\n\n## Uses\n\nNone yet.\n"
BROKEN_LABELS = "factz:\n  learning_rate: [LR]\n"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """A cache of its own for each test, as another user has."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


def card(folder) -> str:
    return (Path(folder) / "README.md").read_text()


def kept(cache) -> str:
    """Everything that was kept outside of the output folder."""
    return "\n".join(path.read_text() for path in sorted(Path(cache).rglob("kept-*.md")))


def write(folder, text=MINE):
    Path(folder).mkdir(exist_ok=True, parents=True)
    (Path(folder) / "README.md").write_text(text)


def made(folder, name="Trainer", **settings):
    with quiet():
        return HOSTS[name].make(
            Path(folder).parent / f"base-of-{Path(folder).name}",
            Path(folder),
            [AutoCardCallback(emissions=False)],
            save_strategy="no",
            max_steps=1,
            **settings,
        )


def trained(folder, name="Trainer", **settings):
    trainer = made(folder, name, **settings)
    with quiet():
        trainer.train()
    return trainer


def killed(trainer, *, before=lambda: None):
    """Kill a copy of this process inside of the trainer's own card writer, when the card is written."""
    child = os.fork()
    if child == 0:

        class Killed(type(trainer)):
            def create_model_card(self, *args, **kwargs):
                super().create_model_card(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)

        trainer.__class__ = Killed
        autocard.attach(trainer)
        before()
        with quiet():
            trainer.create_model_card()
        os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


# -- processes that are killed while a library writes ----------------------------------------------


@pytest.mark.parametrize("name", ["Trainer", "Trainer + PEFT", "TRL SFT", "TRL DPO"])
def test_an_edit_after_a_kill_in_the_library_is_kept_and_the_card_before_it_is_too(
    name, tmp_path, own_cache, caplog
):
    out = tmp_path / "out"
    write(out)
    trainer = trained(out, name)
    killed(trainer)
    assert "ZZfirst" not in card(out)
    (out / "README.md").write_text(card(out) + "\nZZlater words of mine.\n")

    with caplog.at_level(logging.WARNING, "autocard"):
        trained(out, name)

    assert "ZZlater words" in card(out)
    assert "ZZfirst words" in kept(own_cache)
    assert any(str(own_cache) in message for message in caplog.messages)
    assert OURS in card(out)


@pytest.mark.parametrize("name", ["Trainer", "Trainer + PEFT", "TRL SFT", "TRL DPO"])
def test_a_card_that_nobody_edited_after_a_kill_in_the_library_comes_back(
    name, tmp_path, own_cache
):
    out = tmp_path / "out"
    write(out)
    trainer = trained(out, name)
    killed(trainer)
    assert "ZZfirst" not in card(out)

    trained(out, name)

    assert card(out).count("ZZfirst words of mine.") == 1
    assert "license: mit  # chosen by me" in card(out)
    assert OURS in card(out)
    assert not list(own_cache.rglob("writing-*"))


def test_a_card_comes_back_when_the_same_process_is_asked_for_it_by_another_library_first(tmp_path):
    """After the kill the next to write is a library again, before any training: the copy is not written over."""
    out = tmp_path / "out"
    write(out)
    trainer = trained(out)
    killed(trainer)

    with quiet():
        trainer.create_model_card()

    assert "ZZfirst words of mine." in card(out)


@pytest.mark.parametrize("name", ["TRL SFT", "sentence-transformers"])
def test_what_a_library_has_written_before_is_known_to_the_byte(name, tmp_path, own_cache):
    """Each checkpoint of TRL writes the same card again; then nothing has to be worked out from its lines."""
    out = tmp_path / "out"
    write(out)
    trainer = made(out, name)
    with quiet():
        trainer.create_model_card()
        assert card(out) == MINE
        # The library's own writing, as it is without autocard around it.
        if name == "sentence-transformers":
            original(trainer.model, "_create_model_card")(str(out))
        else:
            original(trainer, "create_model_card")()
    theirs = card(out)
    assert "ZZfirst" not in theirs
    copies = CardCopies(out / "README.md")

    copies.begin(
        MINE.encode(),
        next(iter(held_method(trainer, "create_model_card").keeper._cards.digests.values())),
    )
    for path in own_cache.rglob("writing-*"):  # as a process leaves it that has ended since
        path.rename(path.with_name(re.sub(r"-\d+-", "-4194305-", path.name)))
    copies.settle()

    assert card(out) == MINE
    assert kept(own_cache) == ""


def test_a_live_process_that_writes_the_same_card_keeps_its_copy(tmp_path, own_cache):
    write(tmp_path)
    CardCopies(tmp_path / "README.md").begin(MINE.encode(), [])

    CardCopies(tmp_path / "README.md").settle()

    assert len(list(own_cache.rglob("writing-*.md"))) == 1


@pytest.mark.parametrize(
    ("standing", "stands"),
    [
        ("", MINE),
        (MINE + "\nZZan edit.\n", MINE + "\nZZan edit.\n"),
        (MINE.replace("None yet.", "ZZan edit."), MINE.replace("None yet.", "ZZan edit.")),
    ],
    ids=["cut to nothing", "with a paragraph more", "with a line changed"],
)
def test_a_copy_of_the_first_release_is_put_back_over_no_edit(
    standing, stands, tmp_path, own_cache
):
    write(tmp_path, standing)
    (tmp_path / "_autocard").mkdir()
    (tmp_path / "_autocard" / "card-before.md").write_text(MINE)

    CardCopies(tmp_path / "README.md").settle()

    assert card(tmp_path) == stands
    assert MINE in card(tmp_path) + kept(own_cache)
    assert not (tmp_path / "_autocard" / "card-before.md").exists()


def test_a_person_may_write_what_looks_like_a_librarys_line_and_it_is_never_lost(
    tmp_path, own_cache
):
    write(tmp_path, "# mine\n\n- learning_rate: 0.3\n")
    (tmp_path / "_autocard").mkdir()
    (tmp_path / "_autocard" / "card-before.md").write_text(MINE)

    CardCopies(tmp_path / "README.md").settle()

    assert "learning_rate: 0.3" in card(tmp_path) + kept(own_cache)
    assert "ZZfirst" in card(tmp_path) + kept(own_cache)


@pytest.mark.parametrize("name", ["Trainer", "TRL SFT", "TRL DPO"])
@pytest.mark.parametrize(
    "edit", ["\nOne sentence of mine.\n", "\n- learning rate: too high\n", "\n| mine | row |\n"]
)
def test_a_librarys_card_is_known_and_a_word_more_in_it_is_a_persons(name, edit, tmp_path):
    trainer = made(tmp_path / "out", name)
    with quiet():
        original(trainer, "create_model_card")()
    text = card(tmp_path / "out")

    assert library_text.is_all_generated(text.encode(), b"")
    assert not library_text.is_all_generated((text + edit).encode(), b"")


# -- failures of ours behind a library -------------------------------------------------------------


@pytest.fixture
def failing(request, monkeypatch):
    """Make our own work behind the library fail, in one of the ways in which it can."""

    def fail(out):
        if request.param == "labels":
            (out / "autocard.labels.yaml").write_text(BROKEN_LABELS)
        elif request.param == "exception":
            monkeypatch.setattr("autocard.card.card_filler.fill", lambda *_, **__: 1 / 0)
        else:
            monkeypatch.setattr("autocard.card_guard.card_guard.WRITE_S", 0.3)
            monkeypatch.setattr("autocard.card_guard.card_guard.LEAST_S", 0.3)
            monkeypatch.setattr("autocard.card.card_filler.fill", lambda *_, **__: time.sleep(5))

    def heal(out):
        (out / "autocard.labels.yaml").unlink(missing_ok=True)
        monkeypatch.undo()

    fail.heal = heal
    return fail


@pytest.mark.expects_failure
@pytest.mark.parametrize("failing", ["labels", "exception", "deadline"], indirect=True)
@pytest.mark.parametrize(
    "name", ["Trainer", "Trainer + PEFT", "TRL SFT + PEFT", "sentence-transformers"]
)
def test_a_failure_of_ours_behind_a_library_leaves_the_persons_card_on_disk_and_in_the_upload(
    name, failing, hub, tmp_path
):
    out = tmp_path / "out"
    write(out)
    trainer = trained(out, name, hub_model_id="me/out")
    before = card(out)
    failing(out)

    with quiet():
        trainer.create_model_card()
        assert card(out) == before
        trainer.model.save_pretrained(str(out))
        assert card(out) == before
        trainer.push_to_hub()

    assert card(out) == before
    assert hub.repo("me/out").text("README.md") == before


@pytest.mark.expects_failure
@pytest.mark.parametrize("failing", ["labels", "exception", "deadline"], indirect=True)
def test_an_edit_after_a_failure_of_ours_stands_after_the_next_training(
    failing, tmp_path, own_cache
):
    out = tmp_path / "out"
    write(out)
    trainer = trained(out)
    failing(out)
    with quiet():
        trainer.create_model_card()
    failing.heal(out)
    (out / "README.md").write_text(card(out).replace("None yet.", "ZZa use that I found."))

    os.environ["XDG_CACHE_HOME"] = str(own_cache)
    trained(out)

    assert "ZZa use that I found." in card(out)
    assert OURS in card(out)


@pytest.mark.expects_failure
def test_an_edit_after_a_push_to_a_slow_hub_stands_after_the_next_training(
    hub, tmp_path, monkeypatch
):
    monkeypatch.setattr("autocard.card_guard.card_guard.WRITE_S", 1.5)
    out = tmp_path / "out"
    write(out)
    trainer = trained(out, hub_model_id="me/out")
    hub.slow(3.0, "resolve/main/README.md")
    with quiet():
        trainer.push_to_hub()
    hub.heal()
    assert "ZZfirst words" in card(out)
    (out / "README.md").write_text(card(out).replace("None yet.", "ZZa use that I found."))

    trained(out)

    assert "ZZa use that I found." in card(out)


@pytest.mark.expects_failure
def test_while_training_runs_a_failure_of_ours_leaves_the_persons_card_too(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(out)
    trainer = made(out, "TRL SFT")
    monkeypatch.setattr("autocard.card_guard.card_guard.CardGuard._after", lambda *_: 1 / 0)

    with quiet():
        trainer.create_model_card()

    assert card(out) == MINE


# -- places that fail ------------------------------------------------------------------------------


def written_by_the_library(trainer, out, meanwhile=lambda: None):
    """Let the trainer's library write its card, do *meanwhile* in the middle of it, and return what stands after it."""
    kind = type(trainer)

    class Writes(kind):
        def create_model_card(self, *args, **kwargs):
            super().create_model_card(*args, **kwargs)
            assert "ZZfirst" not in card(out)
            meanwhile()

    trainer.__class__ = Writes
    autocard.attach(trainer)
    with quiet():
        trainer.create_model_card()
    trainer.__class__ = kind
    return card(out)


def test_a_user_without_a_home_folder_keeps_the_card(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "~")  # what `expanduser` finds for a user id that has no entry
    out = tmp_path / "out"
    write(out)
    trainer = trained(out)

    stands = written_by_the_library(trainer, out)

    assert "ZZfirst words of mine." in stands
    assert OURS in stands
    assert not list(out.rglob("writing-*"))


def test_a_user_without_a_home_folder_gets_a_copy_beside_the_card_and_it_comes_back_after_a_kill(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "~")
    out = tmp_path / "out"
    write(out)
    killed(trained(out))
    assert "ZZfirst" not in card(out)

    trained(out)

    assert "ZZfirst words of mine." in card(out)


@pytest.mark.expects_failure
@pytest.mark.parametrize("what", ["gone", "a file", "a link to itself"])
def test_a_folder_of_copies_that_breaks_while_a_library_writes_keeps_no_card_from_being_put_back(
    what, tmp_path, own_cache
):
    out = tmp_path / "out"
    write(out)
    trainer = trained(out)

    def breaks():
        folder = own_cache / "autocard"
        folder.rename(own_cache / "elsewhere")
        if what == "a file":
            folder.write_text("")
        elif what == "a link to itself":
            folder.symlink_to(folder)

    assert "ZZfirst words of mine." in written_by_the_library(trainer, out, breaks)


def test_a_folder_of_copies_that_takes_no_file_is_not_used(tmp_path):
    """As one whose quota is used up: the folder is there and takes nothing."""
    write(tmp_path)
    copies = CardCopies(tmp_path / "README.md")
    folder = copies._folders()[0]
    (folder / f"writing-{process_mark.own()}.md").mkdir(parents=True)

    copies.begin(MINE.encode(), [])

    assert (tmp_path / "_autocard" / f"writing-{process_mark.own()}.md").read_text() == MINE
    assert not list(folder.glob("*.json"))


@pytest.mark.expects_failure  # our facts are not written into it
def test_a_card_that_cannot_be_replaced_is_written_in_place(tmp_path, monkeypatch):
    """A README.md that is mounted into a container by itself, for instance: the kernel replaces no mount point."""
    out = tmp_path / "out"
    write(out)
    trainer = trained(out)
    replace = os.replace

    def busy(source, target):
        if Path(target).name == "README.md":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    written_by_the_library(trainer, out)

    assert "ZZfirst words of mine." in card(out)


@pytest.mark.expects_failure
def test_a_model_that_takes_no_name_keeps_no_card_from_being_put_back(tmp_path):
    out = tmp_path / "out"
    write(out)
    trainer = trained(out, "sentence-transformers", hub_model_id="me/out")
    data = trainer.model.model_card_data

    class Fixed(type(data)):
        def __setattr__(self, name, value):
            if name == "model_id":
                raise AttributeError(name)
            super().__setattr__(name, value)

    data.__class__ = Fixed
    with quiet():
        trainer.create_model_card()

    assert "ZZfirst words of mine." in card(out)


# -- several threads -------------------------------------------------------------------------------


def in_turn(trainer):
    """Let two threads write the trainer's card: the second begins in the first one's writing, and ends after it."""
    kind, inside, first_is_over = type(trainer), threading.Event(), threading.Event()

    class Writes(kind):
        def create_model_card(self, *args, **kwargs):
            if inside.is_set():
                first_is_over.wait(30)
                super().create_model_card(*args, **kwargs)
                return
            super().create_model_card(*args, **kwargs)
            inside.set()
            time.sleep(0.5)

    trainer.__class__ = Writes
    autocard.attach(trainer)
    first = threading.Thread(target=trainer.create_model_card)
    second = threading.Thread(target=trainer.create_model_card)
    with quiet():
        first.start()
        assert inside.wait(30)
        second.start()
        first.join()
        first_is_over.set()
        second.join()
    trainer.__class__ = kind


@pytest.mark.parametrize("name", ["Trainer", "Trainer + PEFT", "TRL SFT"])
def test_a_card_that_two_threads_write_at_once_is_put_back(name, tmp_path, own_cache):
    out = tmp_path / "out"
    write(out)
    trainer = trained(out, name)

    in_turn(trainer)

    assert "ZZfirst words of mine." in card(out)
    assert OURS in card(out)
    assert not list(own_cache.rglob("writing-*"))


def test_a_card_that_one_thread_writes_is_put_back_while_another_writes_one_elsewhere(tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    write(out)
    write(other)
    trainer = trained(out, "Trainer + PEFT")

    stands = written_by_the_library(
        trainer, out, lambda: in_thread(trainer.model.save_pretrained, str(other))
    )

    assert "ZZfirst words of mine." in stands
    assert "ZZfirst words of mine." in card(other)


def in_thread(work, *arguments):
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def test_no_empty_folder_of_copies_is_left(tmp_path, own_cache):
    out = tmp_path / "out"
    write(out)
    trainer = trained(out)

    with quiet():
        trainer.create_model_card()

    assert [path.name for path in (own_cache / "autocard" / "cards").iterdir()] == []


@pytest.mark.parametrize(
    ("module", "found", "told"),
    [
        ("lightning.pytorch.trainer", object(), "Trainer of lightning is no transformers.Trainer"),
        ("accelerate.accelerator", object(), "Trainer of accelerate is no transformers.Trainer"),
        ("transformers.trainer", None, "Trainer of transformers is a class"),
    ],
)
def test_what_is_no_trainer_is_named_with_its_package(module, found, told):
    kind = type("Trainer", (), {"__module__": module})
    with pytest.raises(SettingsError, match=told):
        autocard.attach(kind if found is None else kind())


# -- files of labels -------------------------------------------------------------------------------


def test_a_broken_file_of_labels_beside_the_named_card_is_an_error_when_the_callback_is_made(
    tmp_path,
):
    (tmp_path / "autocard.labels.yaml").write_text(BROKEN_LABELS)

    with pytest.raises(SettingsError, match="factz"):
        AutoCardCallback(card=str(tmp_path / "README.md"))


@pytest.mark.expects_failure
def test_a_broken_file_of_labels_in_the_output_folder_is_reported_before_training(tmp_path, caplog):
    (tmp_path / "autocard.labels.yaml").write_text(BROKEN_LABELS)

    with caplog.at_level(logging.WARNING, "autocard"):
        training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)])

    assert any("factz" in message and "left as it is" in message for message in caplog.messages)


# -- cards that are refused ------------------------------------------------------------------------

REFUSED = {
    "an unclosed fence": b"# Mine\n\nZZwords.\n\n```python\nprint(1)\n",
    "an unclosed comment": b"# Mine\n\nZZwords.\n\n<!-- not closed\n",
    "not UTF-8": "# Mine\n\nZZwörds.\n".encode("latin-1"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", ["Trainer", "Trainer + PEFT", "TRL SFT", "sentence-transformers"])
def test_a_card_that_is_refused_is_never_lost_behind_a_library(kind, name, hub, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_bytes(REFUSED[kind])
    trainer = trained(out, name, hub_model_id="me/out")
    acts = [
        trainer.create_model_card,
        trainer.save_model,
        lambda: trainer.model.save_pretrained(str(out)),
        trainer.evaluate,
        trainer.push_to_hub,
    ]

    for act in acts:
        with quiet():
            try:
                act()
            except UnicodeDecodeError:  # the library's own: it reads the card before it writes it
                assert kind == "not UTF-8"
        assert (out / "README.md").read_bytes() == REFUSED[kind]

    if "me/out" in hub.repositories and hub.repo("me/out").pushes:
        uploaded = hub.repo("me/out").pushes[-1].files
        assert uploaded["README.md"] == REFUSED[kind]
        assert not [name for name in uploaded if "autocard.md" in name or name.startswith("_")]


# -- places ----------------------------------------------------------------------------------------


def test_nothing_of_a_persons_draft_is_left_in_the_output_folder(hub, tmp_path, own_cache):
    out = tmp_path / "out"
    write(out)
    hub.create("me/out", {"README.md": "# Other\n\nZZthe Hub's words.\n"})
    trainer = trained(out, hub_model_id="me/out")
    with quiet():
        trainer.push_to_hub()

    assert [path.name for path in out.rglob("card-*")] == []
    for folder in own_cache.rglob("*"):
        if folder.is_dir():
            assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_where_there_is_no_cache_the_copy_lies_beside_the_card_and_is_removed(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/no-such-place")
    out = tmp_path / "out"
    write(out)
    trainer = trained(out)
    killed(trainer)
    assert len(list((out / "_autocard").glob("writing-*.md"))) == 1

    trained(out)

    assert "ZZfirst words" in card(out)
    assert not list((out / "_autocard").glob("writing-*"))


def test_a_record_kept_in_the_temporary_folder_is_for_its_owner_alone(
    tmp_path, monkeypatch, caplog, no_hidden_failures
):
    """Links that another user put where 0.1.0 wrote are not followed."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    precious = tmp_path / "precious"
    precious.write_text("mine")
    callback = AutoCardCallback(emissions=False)
    trainer = training.trainer(tmp_path / "out", callbacks=[callback])
    (tmp_path / "out" / "autocard.json").mkdir(parents=True)
    session = next(iter(callback._sessions._all.values()))[1]
    trap = shared / f"autocard-{session.run.history.run_id}"
    trap.mkdir()
    (trap / "autocard.json").symlink_to(precious)

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.train()
        trainer.evaluate()

    assert precious.read_text() == "mine"
    places = {Path(found) for found in re.findall(r"--record (\S+)", caplog.text)}
    assert len(places) == 1
    place = places.pop()
    assert place.is_file()
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    no_hidden_failures.clear()


def test_temporary_files_lie_in_the_private_folder_and_stale_ones_are_removed_at_the_next_begin(
    tmp_path,
):
    out = tmp_path / "out"
    child = os.fork()
    if child == 0:
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        files.write_text(out / "README.md", "# New\n")
        os._exit(3)
    os.waitpid(child, 0)
    left = [path for path in out.rglob("*") if path.is_file()]
    assert [path.parent for path in left] == [out / "_autocard"]
    old = out / "_autocard-abcdefgh.tmp"  # as 0.1.0 named them
    old.write_text("")
    os.utime(old, (0, 0))
    live = out / "_autocard" / f"_autocard-{process_mark.own()}-x.tmp"
    live.write_text("")

    training.trainer(out, callbacks=[AutoCardCallback(emissions=False)], max_steps=1).train()

    assert [path for path in out.rglob("*.tmp") if path.is_file()] == [live]


def test_a_file_written_where_there_is_no_private_folder_leaves_none(tmp_path):
    files.write_text(tmp_path / "README.md", "# New\n")

    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_card_that_is_refused_is_in_every_upload_of_a_training_and_ours_in_none(hub, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    refused = REFUSED["an unclosed fence"]
    (out / "README.md").write_bytes(refused)
    with quiet():
        trainer = HOSTS["TRL SFT"].make(
            tmp_path / "base",
            out,
            [AutoCardCallback(emissions=False)],
            push_to_hub=True,
            hub_strategy="every_save",
            save_steps=1,
            max_steps=2,
        )
        trainer.train()
        trainer.push_to_hub()

    pushes = [push for push in hub.repo("me/out").pushes if "README.md" in push.files]
    assert len(pushes) > 1
    for push in pushes:
        assert push.files["README.md"] == refused
        assert [name for name in push.files if "autocard.md" in name] == []


def test_a_card_too_large_to_fill_is_put_back_behind_a_library(tmp_path):
    large = (MINE + "x" * 6_000_000).encode()
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_bytes(large)
    trainer = trained(out)

    with quiet():
        trainer.create_model_card()

    assert (out / "README.md").read_bytes() == large


def test_a_model_saved_by_another_thread_while_training_runs_is_no_broken_off_run(tmp_path):
    import json
    import threading

    from transformers import TrainerCallback

    class Saves(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            thread = threading.Thread(target=lambda: model.save_pretrained(str(tmp_path)))
            thread.start()
            thread.join()

    trainer = training.trainer(
        tmp_path, callbacks=[AutoCardCallback(emissions=False), Saves()], max_steps=2
    )
    with quiet():
        trainer.train()

    assert json.loads((tmp_path / "autocard.json").read_text())["run"]["status"] == "finished"
    assert "interrupted" not in card(tmp_path)


def test_no_empty_folder_stays_where_the_record_cannot_be_kept_elsewhere_either(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    session = Session(resolve({}), 0.0)
    event = Event(session.observed(TrainerEvent(None, None)))
    event.record = records.lora_on_cpu()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(NotWrittenError):
            writing.keep_elsewhere(session.run, event)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(tmp_path.iterdir()) == []
