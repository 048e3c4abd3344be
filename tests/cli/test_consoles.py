"""The command line on any console: encodings, terminals without color, streams that fail; each command is a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from autocard.record import to_json
from support import records
from support.terminal import run_in_terminal, screen

ENCODINGS = ["ascii", "latin-1", "cp1252"]
NAME = "Wölfe × 😀 → 狼"
EMOJI_CARD = f"""---
license: mit
---

# {NAME}

A model for {NAME}.

## Environmental Impact

- **Hours used:** [More Information Needed]
- **{NAME}:** [More Information Needed]
"""

COMMANDS = [
    ["show", "out"],
    ["show", "out/README.md"],
    ["show", "out", "--json"],
    ["show", "nowhere-😀"],
    ["check", "out"],
    ["check", "out", "--json"],
    ["check", "cards/😀.md", "--record", "out"],
    ["fill", "cards/😀.md", "--record", "out", "--diff"],
    ["fill", "cards/😀.md", "--record", "out", "--check"],
    ["fill", "cards/😀.md", "--record", "out", "--overwrite", "no × such"],
    ["render", "out"],
    ["render", "out", "--template", "compact"],
    ["render", "out", "-o", "new/😀.md"],
    ["schema"],
    ["facts"],
    ["facts", "--json"],
    ["reconcile", "out", "--kwh", "1", "--source", "Zähler ×"],
    ["reconcile", "out", "--kwh", "1", "--source", "Zähler ×", "--json", "--diff"],
    ["--help"],
    ["fill", "--help"],
    ["--version"],
    ["fly-😀"],
]
"""Each with text that not every console can show; status 0, 1, 2 or 3."""


@pytest.fixture
def place(tmp_path):
    """A folder with a record, its card, and a card with an emoji in name and text."""
    for name in ("out", "cards", "new"):
        (tmp_path / name).mkdir()
    measured = records.three_legs_on_gpus()
    named = measured.model_copy(
        update={
            "model": measured.model.model_copy(update={"name": NAME, "architecture": "狼Model"})
        }
    )
    (tmp_path / "out" / "autocard.json").write_text(to_json(named), encoding="utf-8")
    (tmp_path / "out" / "README.md").write_text(EMOJI_CARD, encoding="utf-8")
    (tmp_path / "cards" / "😀.md").write_text(EMOJI_CARD, encoding="utf-8")
    return tmp_path


def run(place, words, **env):
    """Run one command; return the process with its bytes."""
    return subprocess.run(
        [sys.executable, "-m", "autocard", *words],
        cwd=place,
        env={**os.environ, **env},
        capture_output=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_fails_for_the_consoles_encoding(place, words):
    expected = run(place, words)

    for encoding in ENCODINGS:
        for made in (place / "new").iterdir():
            made.unlink()
        done = run(place, words, PYTHONIOENCODING=encoding)
        said = done.stderr.decode(encoding)
        assert done.returncode == expected.returncode, (encoding, said)
        assert "Traceback" not in said
        assert bool(done.stdout.decode(encoding)) == bool(expected.stdout)


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if "--json" in words or words == ["schema"]], ids=" ".join
)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_json_is_the_same_data_on_a_console_of_any_encoding(place, words, encoding):
    here = json.loads(run(place, words).stdout.decode("utf-8"))

    there = run(place, words, PYTHONIOENCODING=encoding)

    assert json.loads(there.stdout.decode("ascii")) == here


def test_our_own_characters_are_written_in_ascii_and_other_ones_as_escapes(place):
    done = run(place, ["show", "out"], PYTHONIOENCODING="ascii")

    text = done.stdout.decode("ascii")
    assert "W\\xf6lfe x \\U0001f600 -> \\u72fc" in text
    assert "2 nodes x 4 x NVIDIA" in text


@pytest.mark.parametrize(
    "words", [["render", "out"], ["fill", "cards/😀.md", "--record", "out", "--diff"]]
)
def test_a_card_that_goes_into_a_pipe_is_utf_8_in_a_locale_of_another_encoding(place, words):
    """As on Windows, whose code page is no UTF-8, and no variable asks for an encoding."""
    script = (
        "import io, sys; sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'cp1252'); "
        f"sys.argv = ['autocard', *{words!r}]; from autocard.cli import main; main()"
    )
    plain = run(place, words).stdout

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=place, capture_output=True, check=True, timeout=120
    )

    assert done.stdout.decode("utf-8") == plain.decode("utf-8")
    assert "×" in plain.decode("utf-8")


@pytest.mark.parametrize("stream", [">/dev/full", ">&-"])
@pytest.mark.parametrize(
    "words", [["check", "out"], ["show", "nowhere"], ["fly"], ["fill", "out", "--check"]]
)
def test_a_standard_error_that_cannot_be_written_changes_no_status(place, words, stream):
    expected = run(place, words)

    done = subprocess.run(
        ["bash", "-c", f'exec "$0" -m autocard "$@" 2{stream}', sys.executable, *words],
        cwd=place,
        capture_output=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stdout) == (expected.returncode, expected.stdout)


# -- terminals -------------------------------------------------------------------------------------

SHOWN = [["show", "out"], ["--help"], ["fill", "--help"], ["check", "out"], ["fly"], ["facts"]]


@pytest.mark.slow
@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
@pytest.mark.parametrize(
    "environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}]
)
def test_no_escape_reaches_a_terminal_that_asks_for_none(place, words, environ):
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    env |= {"TERM": "xterm-256color", **environ}

    _, written = run_in_terminal([sys.executable, "-m", "autocard", *words], env=env, cwd=place)

    assert written.strip()
    assert b"\x1b" not in written


def test_a_terminal_that_shows_color_gets_the_same_words_in_bold(place):
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "autocard", "show", "out"]

    _, bold = run_in_terminal(command, env=env | {"TERM": "xterm-256color"}, cwd=place)
    _, plain = run_in_terminal(command, env=env | {"NO_COLOR": "1"}, cwd=place)

    assert b"\x1b[1m" in bold
    assert screen(bold) == screen(plain)


# -- what RUN may be -------------------------------------------------------------------------------


@pytest.mark.parametrize("run_", ["out", "out/autocard.json", "out/README.md", "out/OTHER.md"])
@pytest.mark.parametrize(
    "words",
    [
        ["show"],
        ["show", "--json"],
        ["render"],
        ["reconcile", "--kwh", "1", "--source", "m", "--json"],
    ],
)
def test_a_run_is_a_folder_its_record_or_a_card_in_it(place, words, run_):
    expected = run(place, [words[0], "out", *words[1:]])
    # reconcile writes into the record: each call has the same one
    done = run(place, [words[0], run_, *words[1:]])

    if words[0] != "reconcile":
        assert done.stdout == expected.stdout
    assert done.returncode == expected.returncode == 0
    assert done.stdout


def test_render_takes_its_record_as_an_argument_or_as_an_option(place):
    argument, option = run(place, ["render", "out"]), run(place, ["render", "--record", "out"])
    both, none = run(place, ["render", "out", "--record", "out"]), run(place, ["render"])

    assert argument.stdout == option.stdout
    assert argument.returncode == 0
    assert (both.returncode, none.returncode) == (2, 2)
    assert "RUN" in none.stderr.decode()


def test_a_card_without_a_record_beside_it_is_named_by_its_record(place):
    done = run(place, ["show", "cards/😀.md"])

    assert done.returncode == 2
    assert done.stderr.decode().startswith(
        "autocard: cards/autocard.json: there is no such record."
    )


# -- completion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(place, shell):
    words = "autocard re"
    env = {
        "_AUTOCARD_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv[0] = 'autocard'; from autocard.cli import main; main()",
        ],
        cwd=place,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert "render" in done.stdout
    assert "reconcile" in done.stdout
    assert "doctor" not in done.stdout


def test_the_completion_script_is_offered():
    done = subprocess.run(
        [sys.executable, "-m", "autocard", "--help"], capture_output=True, text=True, check=True
    )

    assert "--install-completion" in done.stdout
    assert "--show-completion" in done.stdout
