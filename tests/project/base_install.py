"""The base install, without torch and transformers, does what it promises: records, cards and the command line.

    python tests/project/base_install.py

For a Python with autocard and what it requires, nothing else. Needs no pytest; stops at the first
thing that is wrong.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("torch", "transformers", "peft", "accelerate", "datasets", "matplotlib")


def autocard(*arguments: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "autocard", *arguments]
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tempfile.gettempdir()
    )
    assert ran.returncode == status, (arguments, ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout


def main() -> None:
    there = [name for name in EXTRAS if find_spec(name) is not None]
    assert there == [], f"this is no base install: {', '.join(there)} can be imported"

    with tempfile.TemporaryDirectory() as folder:
        record, card = Path(folder) / "autocard.json", Path(folder) / "README.md"
        shutil.copy(ROOT / "examples" / "README.card.json", record)
        shutil.copy(ROOT / "examples" / "README.card.md", card)

        assert "Hours used" in autocard("show", folder)
        assert json.loads(autocard("schema"))["title"] == "RunRecord"
        for form in ("huggingface", "compact", "peft"):
            assert "wall-clock" in autocard("render", "--record", folder, "--template", form)
        autocard("check", str(card))
        card.write_text("# Mine\n\n- **Hours used:** [More Information Needed]\n", encoding="utf-8")
        autocard("fill", str(card))
        assert "\n- **Hours used:** 1 min 12 s wall-clock (no GPU)\n" in card.read_text(
            encoding="utf-8"
        )
        autocard("doctor", "--json")

    from autocard import RunRecord

    assert RunRecord().energy.gpu_kwh is None
    refused = subprocess.run(
        [sys.executable, "-c", "from autocard import AutoCardCallback"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "pip install 'autocard[train]'" in refused.stderr
    print("The base install works.")


if __name__ == "__main__":
    main()
