"""The command line: what it prints, what it writes, its exit status. Each test starts it as a user does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autocard.record import to_json
from support import records

HEAVY = ["torch", "transformers", "peft", "codecarbon", "pandas", "accelerate", "datasets"]


class Done:
    """One finished run of the command line."""

    def __init__(self, *arguments, cwd):
        command = [sys.executable, "-m", "autocard", *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, cwd=cwd, timeout=120)
        self.status, self.out, self.err = (
            done.returncode,
            done.stdout.decode(),
            done.stderr.decode(),
        )


@pytest.fixture
def autocard(tmp_path):
    return lambda *arguments: Done(*arguments, cwd=tmp_path)


@pytest.fixture
def out(tmp_path):
    """An output folder with a record and no card."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "autocard.json").write_text(to_json(records.lora_on_cpu()), encoding="utf-8")
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("out")
def test_show_prints_the_facts_that_one_wants_to_see_first(autocard):
    done = autocard("show", "out")

    assert done.status == 0
    assert done.out.splitlines() == [
        "Model            minilm-topics-lora",
        "Base model       sentence-transformers/all-MiniLM-L6-v2",
        "Training regime  fp32",
        "Hardware         Intel(R) Xeon(R) Platinum 8488C (no GPU)",
        "Hours used       18 min 04 s wall-clock (no GPU)",
        "Results          loss 0.5123, accuracy 0.8525",
        "Energy           0.010 kWh at the devices",
        "CO2eq            0.56 g CO2eq (location-based, 56.0 g/kWh, France 2023)",
    ]


def test_show_takes_names_for_text_and_not_for_markup(autocard, out):
    record = records.lora_on_cpu()
    record = record.model_copy(
        update={"model": record.model.model_copy(update={"name": "[red]x[/red]\x1b[31m"})}
    )
    (out / "autocard.json").write_text(to_json(record), encoding="utf-8")

    done = autocard("show", "out/autocard.json")

    assert "[red]x[/red]" in done.out
    assert "\x1b" not in done.out


def test_show_as_json_is_the_record(autocard, out):
    done = autocard("show", "out", "--json")

    assert json.loads(done.out) == json.loads((out / "autocard.json").read_text(encoding="utf-8"))


def test_show_says_why_a_fact_is_not_there(autocard, out):
    (out / "autocard.json").write_text(to_json(records.nothing_measured()), encoding="utf-8")

    done = autocard("show", "out")

    assert "Energy           not known: NVML: driver not loaded" in done.out


def test_fill_makes_a_card_and_the_second_time_changes_nothing(autocard, out):
    first = autocard("fill", "out/README.md")
    made = content(out)
    second = autocard("fill", "out/README.md")

    assert first.status == second.status == 0
    assert "0.56 g CO2eq" in made["README.md"].decode()
    assert (out / "README.md").read_bytes() == made["README.md"]
    assert json.loads(content(out)["autocard.json"]) == json.loads(made["autocard.json"])
    assert "nothing to do" in second.err


def test_check_writes_nothing_and_fails_until_the_card_is_filled(autocard, out):
    before = content(out)
    unfilled = autocard("fill", "out/README.md", "--check")

    assert unfilled.status == 1
    assert content(out) == before

    autocard("fill", "out/README.md")

    assert autocard("fill", "out/README.md", "--check").status == 0
    assert autocard("check", "out/README.md").status == 0


def test_a_folder_stands_for_the_card_in_it(autocard, out):
    made = autocard("fill", "out")
    checked = autocard("check", "out")

    assert made.status == 0
    assert "0.56 g CO2eq" in (out / "README.md").read_text(encoding="utf-8")
    assert checked.status == 0
    assert "README.md: up to date" in checked.out


def test_a_folder_without_a_card_or_a_record_is_told_so(autocard, tmp_path):
    (tmp_path / "bare").mkdir()

    assert autocard("fill", "bare").status == autocard("check", "bare").status == 2
    assert "README.md: there is no such card" in autocard("check", "bare").err


def test_check_names_the_line_that_is_out_of_date(autocard, out):
    autocard("fill", "out/README.md")
    record = records.lora_on_cpu()
    time = record.time.model_copy(update={"wall_clock_s": 7200.0})
    slots = json.loads((out / "autocard.json").read_text(encoding="utf-8"))["slots"]
    newer = record.model_copy(update={"time": time, "slots": slots})
    (out / "autocard.json").write_text(to_json(newer), encoding="utf-8")
    lines = (out / "README.md").read_text(encoding="utf-8").splitlines()
    line = next(
        number for number, text in enumerate(lines, 1) if text.startswith("- **Hours used:**")
    )

    done = autocard("check", "out/README.md")
    told = autocard("check", "out/README.md", "--json")

    assert done.status == told.status == 1
    assert f"{line:>6}  Hours used: not what the record has\n" in done.out
    assert "autocard fill out/README.md" in done.out
    assert {
        "slot": "hours_used",
        "label": "Hours used",
        "line": line,
        "state": "refreshed",
    } in json.loads(told.out)["out_of_date"]


@pytest.mark.usefixtures("out")
def test_only_strict_asks_for_what_people_have_to_write(autocard):
    autocard("fill", "out/README.md")

    done = autocard("check", "out/README.md", "--strict")

    assert done.status == 1
    assert "For you to write\n" in done.out


def test_a_person_s_edit_is_kept_told_and_can_be_overwritten(autocard, out):
    autocard("fill", "out/README.md")
    card = out / "README.md"
    text = card.read_text(encoding="utf-8")
    ours = "- **Hours used:** 18 min 04 s wall-clock (no GPU)"
    card.write_text(text.replace(ours, "- **Hours used:** all night"), encoding="utf-8")

    kept = autocard("fill", "out/README.md")

    assert kept.status == 0
    assert "- **Hours used:** all night" in card.read_text(encoding="utf-8")
    assert (
        'slot "Hours used" was edited by hand since autocard wrote it. Nothing was written there.'
        in kept.err
    )
    assert 'autocard fill out/README.md --overwrite "Hours used"' in kept.err

    taken = autocard("fill", "out/README.md", "--overwrite", "Hours used")

    assert taken.status == 0
    assert card.read_text(encoding="utf-8") == text


def test_a_template_for_a_card_that_exists_is_told_and_a_wrong_one_refused(autocard, out):
    autocard("fill", "out")
    before = content(out)

    told = autocard("fill", "out", "--template", "compact")
    wrong = autocard("fill", "out", "--template", "compct")

    assert told.status == 0
    assert "keeps its form" in told.err
    assert "autocard render out/README.md --template compact -o NEW.md" in told.err
    assert wrong.status == 2
    assert "Did you mean compact?" in wrong.err
    assert content(out) == before


def test_an_edit_that_contradicts_the_record_is_told_once(autocard, out):
    autocard("fill", "out")
    card = out / "README.md"
    text = card.read_text(encoding="utf-8")
    ours = "- **Hours used:** 18 min 04 s wall-clock (no GPU)"
    card.write_text(text.replace(ours, "- **Hours used:** 300 h"), encoding="utf-8")

    done = autocard("fill", "out")

    assert done.err.count('--overwrite "Hours used"') == 1


@pytest.mark.parametrize("command", ["fill", "check", "remove"])
def test_a_folder_that_does_not_exist_is_named_as_it_was_given(autocard, tmp_path, command):
    done = autocard(command, "ouput")

    assert done.status == 2
    assert done.err.strip() == "autocard: ouput: there is no such folder or card."
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("out")
def test_a_misspelled_slot_is_answered_by_the_nearest_one(autocard):
    autocard("fill", "out")

    done = autocard("fill", "out", "--overwrite", "Hour used")

    assert done.status == 2
    assert done.err.endswith("that the record could fill. Did you mean Hours used?\n")


def test_diff_shows_what_would_change_and_writes_nothing(autocard, out):
    (out / "README.md").write_text(
        "# Mine\n\n- **Hours used:** [More Information Needed]\n", encoding="utf-8"
    )
    before = content(out)

    done = autocard("fill", "out/README.md", "--diff")

    assert done.status == 0
    assert "-- **Hours used:** [More Information Needed]" in done.out.splitlines()
    assert "+- **Hours used:** 18 min 04 s wall-clock (no GPU)" in done.out.splitlines()
    assert content(out) == before


def test_a_record_that_is_named_is_read_and_not_written(autocard, out, tmp_path):
    (tmp_path / "README.md").write_text(
        "# Mine\n\n- **Hours used:** [More Information Needed]\n", encoding="utf-8"
    )
    before = content(out)

    done = autocard("fill", "README.md", "--record", "out")

    assert done.status == 0
    assert "18 min 04 s" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "autocard.json").exists()
    assert content(out) == before


def test_render_prints_a_card_or_makes_a_new_file(autocard, out, tmp_path):
    before = content(out)
    printed = autocard("render", "--record", "out")
    written = autocard("render", "--record", "out", "-o", "CARD.md")

    assert printed.status == written.status == 0
    assert printed.out.startswith("---\n")
    assert (tmp_path / "CARD.md").read_text(encoding="utf-8") == printed.out
    assert content(out) == before


@pytest.mark.usefixtures("out")
def test_render_does_not_write_over_a_file(autocard, tmp_path):
    (tmp_path / "CARD.md").write_text("Mine.\n", encoding="utf-8")

    done = autocard("render", "--record", "out", "-o", "CARD.md")

    assert done.status == 3
    assert "left alone" in done.err
    assert not (tmp_path / "autocard.json").exists()
    assert (tmp_path / "CARD.md").read_text(encoding="utf-8") == "Mine.\n"


@pytest.mark.usefixtures("out")
def test_what_render_made_can_be_filled_later(autocard):
    autocard("render", "--record", "out", "-o", "CARD.md")

    done = autocard("fill", "CARD.md")

    assert done.status == 0
    assert "nothing to do" in done.err


@pytest.mark.usefixtures("out")
def test_render_does_not_replace_a_record(autocard):
    done = autocard("render", "--record", "out", "-o", "out/README.md")

    assert done.status == 3
    assert "autocard fill out/README.md" in done.err


def test_a_card_whose_record_was_lost_does_not_get_its_energy_twice(autocard, out):
    record = (out / "autocard.json").read_bytes()
    autocard("fill", "out/README.md")
    before = (out / "README.md").read_text(encoding="utf-8")
    (out / "autocard.json").write_bytes(record)

    autocard("fill", "out/README.md")

    assert (out / "README.md").read_text(encoding="utf-8") == before


def test_a_card_that_cannot_be_filled_safely_is_refused_and_nothing_is_written(autocard, out):
    (out / "README.md").write_text("---\nlicense: [mit\n---\n\n# Mine\n", encoding="utf-8")
    before = content(out)

    done = autocard("fill", "out/README.md")

    assert done.status == 3
    assert "Nothing was written" in done.err
    assert content(out) == before
    assert autocard("check", "out/README.md").status == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "nowhere"], "there is no such record"),
        (["fill", "README.md"], "--record"),
        (["check", "out/README.md"], "there is no such card"),
        (["render", "--record", "out", "--template", "no-such-form"], "no-such-form"),
        (
            ["fill", "out/README.md", "--overwrite", "No such slot"],
            'there is no slot "No such slot"',
        ),
        (["fill"], "CARD"),
        (["total", "out"], "total"),
        (["show", "out", "--frobnicate"], "frobnicate"),
    ],
    ids=[
        "no-record",
        "no-record-beside",
        "no-card",
        "no-template",
        "no-slot",
        "no-argument",
        "no-command",
        "no-option",
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(autocard, out, arguments, says):
    before = content(out)

    done = autocard(*arguments)

    assert done.status == 2
    assert says in done.err
    assert "Traceback" not in done.err
    assert content(out) == before


def test_a_broken_record_is_refused_by_file_and_leaf(autocard, out):
    (out / "autocard.json").write_text(
        '{"schema_version": 1, "time": {"gpu_s": "long"}}', encoding="utf-8"
    )

    done = autocard("show", "out")

    assert done.status == 3
    assert "autocard.json: time.gpu_s: " in done.err
    assert "Traceback" not in done.err


def test_the_version_is_the_packages(autocard):
    import autocard as package

    assert autocard("--version").out == f"autocard {package.__version__}\n"


def test_the_schema_that_is_printed_is_json(autocard):
    assert json.loads(autocard("schema").out)["$id"] == "autocard-1.schema.json"


def test_there_are_no_commands_that_do_nothing(autocard):
    done = autocard("--help")

    assert done.status == 0
    for command in ("fill", "render", "show", "check", "push", "doctor", "schema"):
        assert command in done.out
    for command in ("total", "audit", "export", "preview"):
        assert command not in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "out"],
        ["fill", "out/README.md"],
        ["render", "--record", "out"],
        ["check", "out/CARD.md"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_command_line_imports_nothing_heavy(out, tmp_path, arguments):
    (out / "CARD.md").write_text("# Mine\n", encoding="utf-8")
    program = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print('HEAVY', sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr))\n"
        f"sys.argv = ['autocard', *{arguments}]\n"
        "from autocard.cli import main\n"
        "main()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )

    assert done.stderr.splitlines()[-1] == "HEAVY []"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("target", ["full", "closed", "unread"])
@pytest.mark.parametrize(
    "words",
    [
        ["show", "out"],
        ["check", "out"],
        ["schema"],
        ["--version"],
        ["--help"],
        ["fill", "out", "--diff"],
    ],
)
def test_a_standard_output_that_cannot_be_written_is_a_status_and_at_most_one_line(
    tmp_path, out, words, target
):
    (out / "README.md").write_text(
        "# T\n\n## Environmental Impact\n\n- **Hours used:** [More Information Needed]\n"
    )
    redirect = {"full": ">/dev/full", "closed": ">&-", "unread": "| true"}[target]
    command = f'set -o pipefail; exec 2>err; "$0" -m autocard "$@" {redirect}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, *words], cwd=tmp_path, check=False, timeout=120
    )

    said = (tmp_path / "err").read_text()
    if target == "unread":
        assert "Traceback" not in said
        assert "Exception" not in said
        return
    assert done.returncode == 2
    assert said.startswith("autocard: standard output cannot be written (")
    assert said.count("\n") == 1
