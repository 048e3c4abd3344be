"""What stands where a file should: pipes, devices, sockets, endless files, links that lead nowhere, names too long."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import autocard
from autocard import files
from autocard.card.check.check import check
from autocard.card.update import update
from autocard.cli import app
from autocard.errors import NotWrittenError, RecordError, SettingsError
from autocard.record import load, to_json
from support import records

RECORD = to_json(records.lora_on_cpu())


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        # A socket's own name may have 108 characters.
        folder = os.open(path.parent, os.O_RDONLY)
        one.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(100_000_000_000)


STRANGE = [pipe, listening, endless, terminal, sparse]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", STRANGE)
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "x")

    with pytest.raises(OSError, match=r"not a regular file|No such device|larger than"):
        files.read_text(tmp_path / "x")


def test_a_file_is_read_up_to_its_limit_and_no_further(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")

    assert files.read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        files.read_bytes(path, 4)


def test_a_file_of_the_kernel_is_read_though_its_size_is_said_to_be_0():
    assert "Umask" in files.read_loosely(Path("/proc/self/status"))


COMMANDS = [
    ["fill", "{}/README.md"],
    ["fill", "{}/README.md", "--record", "{}/other.json"],
    ["fill", "{}/README.md", "--template", "{}/form.md"],
    ["check", "{}/README.md"],
    ["render", "--record", "{}/other.json"],
    ["show", "{}/other.json"],
    ["reconcile", "{}", "--sacct", "{}/sacct.txt"],
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [pipe, endless])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_waits_for_what_is_no_file(tmp_path, make, command):
    names = {"README.md", "other.json", "form.md", "sacct.txt", "autocard.labels.yaml"}
    strange = Path(command[-1]).name if "--" in " ".join(command) else Path(command[1]).name
    for name in names - {strange, "README.md", "autocard.labels.yaml"}:
        (tmp_path / name).write_text(RECORD)
    (tmp_path / "autocard.json").write_text(RECORD)
    make(tmp_path / strange)

    done = CliRunner().invoke(app, [word.format(tmp_path) for word in command])

    assert done.exit_code != 0
    assert isinstance(done.exception, SystemExit | RecordError | SettingsError), done.exception
    assert "regular file" in done.output + str(done.exception)


@pytest.mark.parametrize("command", ["fill", "check", "show"])
def test_a_pipe_ends_the_command_with_status_3(tmp_path, command):
    pipe(tmp_path / "README.md")
    pipe(tmp_path / "record.json")
    (tmp_path / "autocard.json").write_text(RECORD)
    path = tmp_path / ("record.json" if command == "show" else "README.md")

    done = subprocess.run(
        [sys.executable, "-m", "autocard", command, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 3
    assert "it is not a regular file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_pipe_in_the_place_of_a_card_is_left_and_the_card_goes_beside_it(tmp_path):
    pipe(tmp_path / "README.md")

    outcome = update(tmp_path / "README.md", records.lora_on_cpu())

    assert outcome.card.name == "README.autocard.md"
    assert (tmp_path / "README.md").is_fifo()
    assert (
        check(tmp_path / "README.md", None).left_alone
        == "it cannot be read (it is not a regular file)"
    )


def test_a_pipe_is_never_replaced_by_a_file(tmp_path):
    pipe(tmp_path / "README.md")

    with pytest.raises(NotWrittenError, match="not a regular file"):
        files.write_text(tmp_path / "README.md", "x")

    assert (tmp_path / "README.md").is_fifo()


def test_no_folder_is_made_where_a_link_leads_nowhere(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").symlink_to(tmp_path / "elsewhere" / "deep" / "README.md")

    with pytest.raises(NotWrittenError, match="a link that leads nowhere"):
        files.write_text(tmp_path / "out" / "README.md", "x")

    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_whose_folder_is_there_is_still_followed(tmp_path):
    (tmp_path / "README.md").symlink_to(tmp_path / "card.md")

    files.write_text(tmp_path / "README.md", "x")

    assert (tmp_path / "card.md").read_text() == "x"


@pytest.mark.parametrize(
    "command", [["fill"], ["check"], ["show"], ["render", "--record"], ["reconcile"]], ids=" ".join
)
def test_a_name_that_is_too_long_for_a_file_ends_in_a_message(tmp_path, command):
    (tmp_path / "autocard.json").write_text(RECORD)

    done = CliRunner().invoke(app, [*command, str(tmp_path / ("x" * 300))])

    assert isinstance(done.exception, SystemExit | NotWrittenError), done.exception
    assert done.exit_code != 0


def test_a_person_may_name_a_card_with_a_name_that_is_too_long(tmp_path):
    with pytest.raises(NotWrittenError, match="could not be written"):
        update(tmp_path / f"{'x' * 300}.md", records.lora_on_cpu())


def test_a_record_with_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        load(tmp_path / ("x" * 300))


def test_a_template_and_a_file_of_words_that_are_pipes_are_refused(tmp_path):
    from autocard.card.fill.new_card import blank
    from autocard.card.form.label_files import load as load_words

    pipe(tmp_path / "form.md")

    with pytest.raises(SettingsError, match="not a regular file"):
        blank(str(tmp_path / "form.md"), {})
    with pytest.raises(SettingsError, match="not a regular file"):
        load_words([tmp_path / "form.md"])


KERNEL = {"energy/host/cpu_share.py", "energy/host/host_counters.py", "process_mark.py"}
INSTALLED = {
    "card/fill/new_card.py",
    "card/form/label_files.py",
    "card/hub_lists.py",
    "card/libraries/library_text.py",
    "settings/regions.py",
}
"""Files of this package and of the installed libraries."""
TEMPORARY = {"card_guard/library_form.py"}
"""Files that a library has just written into a temporary folder of ours."""


def test_every_other_module_reads_files_by_the_one_reader_only():
    package = Path(autocard.__file__).parent
    readers = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = (
                node.func.attr
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                else ""
            )
            owner = ast.unparse(node.func.value) if name else ""
            if name in ("read_text", "read_bytes") and owner not in (
                "files",
                "files_",
                "autocard.files",
            ):
                readers.add(str(path.relative_to(package)))

    assert readers == KERNEL | INSTALLED | TEMPORARY
