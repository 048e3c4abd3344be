"""Resume a frozen training by the present code, and say what of its record is about the earlier legs.

Usage: resuming.py STATE FOLDER [elsewhere]: copies the state into FOLDER and trains on; prints
JSON. *elsewhere*: only the checkpoint is there, and the output folder is another one.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

STATES = Path(__file__).parent / "states"
OURS = {
    "country_iso_code": "FRA",
    "ram_power_w": 10.0,
    "cpu_power_w": 10.0,
    "measure_power_secs": 1.0,
}
MORE_STEPS = 4


def resume(state: Path, folder: Path, *, elsewhere: bool = False) -> dict[str, Any]:
    """Train on from the checkpoint of *state*; return the record."""
    from autocard import AutoCardCallback
    from support import training

    source, output = folder / "source", folder / "output"
    output = output if elsewhere else source
    if elsewhere:
        source.mkdir(parents=True)
        for checkpoint in state.glob("checkpoint-*"):
            shutil.copytree(checkpoint, source / checkpoint.name)
    else:
        shutil.copytree(state, source)
    (checkpoint,) = source.glob("checkpoint-*")
    callback = AutoCardCallback(**OURS)
    trainer = training.trainer(
        output,
        model=training.bert(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        ),
        callbacks=[callback, training.until_ready(callback)],
        max_steps=int(checkpoint.name.rpartition("-")[2]) + MORE_STEPS,
        logging_steps=1,
        save_strategy="steps",
    )
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train(resume_from_checkpoint=str(checkpoint))
    return json.loads((output / "autocard.json").read_text(encoding="utf-8"))


def earlier(record: dict[str, Any]) -> dict[str, Any]:
    """Return the part of *record* that the earlier legs decide."""
    last = len(record["legs"]) - 1
    paths = re.compile(rf"legs\.(?!{last}\b)")
    return {
        "run_id": record["run"]["id"],
        "started_at": record["run"]["started_at"],
        "legs": record["legs"][:last],
        "missing": {
            path: reason for path, reason in record["missing"].items() if paths.match(path)
        },
        "repeated_steps": record["time"]["repeated_steps"],
    }


if __name__ == "__main__":
    print(
        json.dumps(
            earlier(
                resume(
                    STATES / sys.argv[1], Path(sys.argv[2]), elsewhere="elsewhere" in sys.argv[3:]
                )
            )
        )
    )
