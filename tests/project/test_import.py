"""What importing costs others: nothing heavy comes along."""

import subprocess
import sys

PROGRAM = """
import sys
import transformers.trainer_callback
before = set(sys.modules)
from autocard import AutoCardCallback
print(" ".join(sorted(set(sys.modules) - before)))
"""


def test_the_callback_brings_nothing_but_its_own_light_modules(tmp_path):
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout

    brought = {name for name in out.split() if name.split(".")[0] not in sys.stdlib_module_names}

    assert brought == {
        "autocard",
        "autocard._version",
        "autocard.callback",
        "autocard.capture",
        "autocard.capture.observed",
        "autocard.errors",
        "autocard.files",
        "autocard.guard",
        "autocard.card_guard",
        "autocard.card_guard.card_library",
        "autocard.card_guard.class_wrapper",
        "autocard.card_guard.wrapped_methods",
        "autocard.card_guard.method_wrapper",
        "autocard.card_guard.card_writers",
        "autocard.process_mark",
        "autocard.settings",
        "autocard.settings.countries",
        "autocard.settings.nearest",
        "autocard.settings.numeric",
        "autocard.settings.one_place",
        "autocard.settings.regions",
        "autocard.settings.sources",
        "autocard.settings.values",
        "autocard.trainers",
        "autocard.trainers.trainer_calls",
        "autocard.trainers.trainer_event",
        "autocard.weak_identity",
    }


def test_the_record_and_the_cards_work_without_transformers(tmp_path):
    (tmp_path / "transformers.py").write_text("raise ImportError('not here')")

    out = subprocess.run(
        [
            sys.executable,
            "-c",
            "from autocard import RunRecord; print(RunRecord().schema_version); from autocard import AutoCardCallback",
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert out.stdout == "1\n"
    assert "pip install 'autocard[train]'" in out.stderr
