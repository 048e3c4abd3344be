"""The writer of files: atomic, or not at all."""

import stat

import pytest

from autocard import files
from autocard.errors import NotWrittenError


@pytest.mark.parametrize("text", ["\ufeffbom\r\n", "no newline", "form\x0cfeed\u2028\n", ""])
def test_text_comes_back_to_the_byte(tmp_path, text):
    path = tmp_path / "README.md"

    files.write_text(path, text)

    assert path.read_bytes() == text.encode()
    assert files.read_text(path) == text


def test_the_same_text_is_not_written_again(tmp_path):
    path = tmp_path / "README.md"
    files.write_text(path, "same")
    before = path.stat()

    changed = files.write_text(path, "same")

    assert changed is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_link_stays_a_link_and_the_mode_is_kept(tmp_path):
    target = tmp_path / "cards" / "mine.md"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "README.md"
    link.symlink_to(target)

    files.write_text(link, "new")

    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_that_any_program_would_give_it(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.touch()

    files.write_text(tmp_path / "deep" / "ours", "new")

    assert stat.S_IMODE((tmp_path / "deep" / "ours").stat().st_mode) == stat.S_IMODE(
        theirs.stat().st_mode
    )


def test_what_cannot_be_written_is_said_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(NotWrittenError, match=r"README\.md: could not be written .* still there"):
        files.write_text(tmp_path / "file" / "README.md", "new")

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "README.md"
    files.write_text(path, "a" * 100_000)
    held = path.open(encoding="utf-8")

    files.write_text(path, "b" * 100_000)

    with held:
        assert set(held.read()) == {"a"}
    assert set(path.read_text()) == {"b"}
