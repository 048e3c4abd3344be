"""Proposals for what only a person can say: only when asked for, marked, over nobody's text, never from the net."""

from __future__ import annotations

import subprocess

import pytest

from autocard.card.suggest import MARK, base_card, suggestions
from autocard.card.update import update
from autocard.record import load
from support import records

FORM = (
    "# A\n\n- **Developed by:** [More Information Needed]\n- **License:** [More Information Needed]\n"
    "- **Funded by:** [More Information Needed]\n\n## Citation\n\n**BibTeX:**\n\n[More Information Needed]\n"
)
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def record():
    return records.lora_on_cpu()


@pytest.fixture
def folder(tmp_path, monkeypatch, record):
    """A folder in a git repository with an author, and a cache of the Hub that holds the base's card."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "out"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "config", "user.name", "Ann_Example"], check=True)
    (folder / "README.md").write_text(FORM, encoding="utf-8")
    base = tmp_path / "cache" / ("models--" + record.model.base_model.replace("/", "--"))
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(SHA, encoding="ascii")
    (base / "snapshots" / SHA).mkdir(parents=True)
    (base / "snapshots" / SHA / "README.md").write_text(
        "---\nlicense: apache-2.0\n---\n# Base\n", encoding="utf-8"
    )
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return folder


def text_of(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


def test_nothing_is_proposed_unless_it_is_asked_for(folder, record):
    outcome = update(folder / "README.md", record)

    assert MARK not in text_of(folder)
    assert outcome.suggested == ()


def test_proposals_are_marked_in_the_card_and_in_the_report(folder, record):
    outcome = update(folder / "README.md", record, suggest=True)

    text = text_of(folder)
    assert f"- **Developed by:** Ann\\_Example ({MARK}: the author in this machine's git)\n" in text
    assert (
        f"- **License:** apache-2.0 ({MARK}: the licence of the base model sentence-transformers/"
        in text
    )
    assert (
        "@misc{minilm-topics-lora,\n  title = {minilm-topics-lora},\n  author = {Ann_Example},"
        in text
    )
    assert f"  note = {{{MARK}}},\n" in text
    assert "- **Funded by:** [More Information Needed]" in text
    assert {report.slot for report in outcome.suggested} == {
        "developers",
        "license",
        "citation_bibtex",
    }


def test_the_front_matter_gets_no_licence_by_guess(folder, record):
    update(folder / "README.md", record, suggest=True)

    assert "\nlicense:" not in text_of(folder)


def test_a_later_fill_leaves_proposals_and_replaces_no_person(folder, record):
    update(folder / "README.md", record, suggest=True)
    before = text_of(folder)

    again = update(folder / "README.md", record)
    edited = before.replace(
        f"Ann\\_Example ({MARK}: the author in this machine's git)", "Ann and Bo"
    )
    (folder / "README.md").write_text(edited, encoding="utf-8")
    update(folder / "README.md", record, suggest=True)

    assert not again.changed
    assert text_of(folder) == edited


def test_a_citation_proposed_in_both_shapes_stays_in_both(folder, record):
    update(folder / "NEW.md", record)
    update(folder / "NEW.md", record, suggest=True)
    before = (folder / "NEW.md").read_text(encoding="utf-8")
    assert before.count(f": minilm-topics-lora ({MARK})") == 1
    assert before.count("```bibtex") == 1

    again = update(folder / "NEW.md", record)

    assert not again.changed
    assert (folder / "NEW.md").read_text(encoding="utf-8") == before


def test_what_a_person_gave_goes_before_a_proposal(folder, record):
    given = record.model_copy(update={"facts": {"developers": "Us", "license": "MIT"}})
    update(folder / "README.md", record, suggest=True)

    outcome = update(folder / "README.md", given, suggest=True)

    assert "- **Developed by:** Us\n- **License:** MIT\n" in text_of(folder)
    assert {report.slot for report in outcome.suggested} == {"citation_bibtex"}
    assert "author = {Us}" in text_of(folder)


def test_without_git_and_cache_there_is_nothing_to_propose(tmp_path, record, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))

    assert suggestions(record, tmp_path / "gone") == {}


@pytest.mark.parametrize("base", ["../../etc", "/etc", "a/b/c", "a/..", "a\n/b"])
def test_a_base_that_is_no_id_leads_nowhere(base, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    assert base_card(base, None) is None


@pytest.mark.usefixtures("folder")
def test_the_command_says_what_is_to_be_checked(folder, record):
    import sys

    from autocard.record import to_json

    (folder / "autocard.json").write_text(to_json(record), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "autocard", "fill", "README.md", "--suggest"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    assert "README.md: suggested, for you to check: Developed by, License, BibTeX" in done.stderr
    assert load(folder).slots["README.md"]["license"].startswith("apache-2.0")
