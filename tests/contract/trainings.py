"""The trainings whose records the contract freezes: each one small, real, and unlike the others.

Usage: trainings.py FOLDER [NAME]…: trains in FOLDER, one output folder for each training. `make.py`
runs it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SETUPS_BY_NAME = {
    "full-fine-tuning": "BERT classifier, new weights",
    "lora": "LoRA on a base of the Hub's cache",
    "xlora": "X-LoRA over two adapters",
    "merged-then-lora": "An adapter merged, then a new one",
    "sft-packed": "SFT, packed",
    "dpo-lora": "DPO with a LoRA",
    "grpo": "GRPO",
    "sentence-embeddings": "Sentence embeddings, two sets and an evaluator",
    "clip": "CLIP (text and pictures, contrastive)",
    "stream": "A stream of rows",
    "several-evaluation-sets": "Several evaluation sets",
    "early-stopping": "Early stopping",
    "custom-loss": "A loss in the trainer's own training_step",
    "resumed": "Restart from a checkpoint",
    "second-training": "Second training in one folder",
    "search": "Hyper-parameter search, then the training",
    "bf16-mixed": "bf16 mixed precision",
}
"""Name of the record → name of the set-up (tests/setups). These do not measure energy."""
MEASURED = {
    "country_iso_code": "FRA",
    "cpu_power_w": 65.0,
    "ram_power_w": 20.0,
    "measure_power_secs": 1.0,
}
FACTS = {"license": "apache-2.0", "language": "en", "developers": "The Example Lab"}


def measured(folder: Path) -> None:
    """Train long enough for two readings of CodeCarbon; evaluate afterwards."""
    _measured_run(folder, **MEASURED)


def with_facts_of_a_person(folder: Path) -> None:
    """Give everything that a person can give."""
    given = {
        "base_model": "org/tiny-bert",
        "datasets": ["org/cats", "org/dogs"],
        "facts": FACTS,
        "region": "california",
        "country_iso_code": "USA",
        "pue": 1.25,
        "wue_l_per_kwh": 1.8,
        "market_based_co2eq_g": 0.0,
    }
    _measured_run(folder, **{**MEASURED, **given})


def without_a_place(folder: Path) -> None:
    """Measure energy where no country is given: there is no CO2 figure."""
    _measured_run(
        folder, **{name: value for name, value in MEASURED.items() if name != "country_iso_code"}
    )


def prediction(folder: Path) -> None:
    """Evaluate, then predict a test set."""
    from support import training

    trainer = _trainer(folder, eval_strategy="steps", eval_steps=3)
    trainer.train()
    trainer.evaluate()
    trainer.predict(training.dataset(8, seed=2))


def diverged(folder: Path) -> None:
    """Train at a learning rate that no model survives."""
    trainer = _trainer(folder, learning_rate=1e30, max_grad_norm=0.0, max_steps=8)
    trainer.train()


def broken_off(folder: Path) -> None:
    """End training by an error of the training program."""
    from transformers import TrainerCallback

    class Breaks(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 4:
                msg = "an error of the training program"
                raise RuntimeError(msg)

    trainer = _trainer(folder, more=[Breaks()], save_strategy="steps", save_steps=2)
    with contextlib.suppress(RuntimeError):
        trainer.train()
    trainer.create_model_card()


OWN: dict[str, Callable[[Path], None]] = {
    "measured": measured,
    "facts-of-a-person": with_facts_of_a_person,
    "no-place": without_a_place,
    "prediction": prediction,
    "diverged": diverged,
    "broken-off": broken_off,
}
NAMES = [*SETUPS_BY_NAME, *OWN]


def _trainer(folder: Path, *, more: Any = (), ours: Any = None, **changes: Any) -> Any:
    from autocard import AutoCardCallback
    from support import training

    callback = AutoCardCallback(**({"emissions": False} if ours is None else ours))
    return training.trainer(folder, model=training.bert(), callbacks=[callback, *more], **changes)


def _measured_run(folder: Path, **ours: Any) -> None:
    import time

    from transformers import TrainerCallback

    from autocard import AutoCardCallback
    from support import training

    class Slow(TrainerCallback):
        """Makes each step last, so that there are several readings."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            time.sleep(0.5)

    callback = AutoCardCallback(**ours)
    trainer = training.trainer(
        folder,
        model=training.lora(training.bert()),
        callbacks=[callback, Slow(), training.until_ready(callback)],
        max_steps=8,
        eval_strategy="steps",
        eval_steps=4,
    )
    trainer.train()
    trainer.save_model()
    trainer.evaluate()


def _train(name: str, folder: Path) -> None:
    from autocard import AutoCardCallback
    from setups import SETUPS

    if name in OWN:
        OWN[name](folder)
    else:
        SETUPS[SETUPS_BY_NAME[name]].run(folder, [AutoCardCallback(emissions=False)])


def main(folder: Path, names: list[str]) -> int:
    """Train; return 1 if a training failed or left no record."""
    warnings.simplefilter("ignore")
    os.environ |= {
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_HUB_OFFLINE": "1",
        "HOME": str(folder),
        "CI": "1",
    }
    from support import snippet_runs

    snippet_runs.lay_bases(folder)
    failed = 0
    for name in names or NAMES:
        place = folder / name / name
        place.parent.mkdir()
        try:
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                _train(name, place)
        except Exception:  # noqa: BLE001 - the other trainings go on
            failed += 1
            print(name, traceback.format_exc(), file=sys.stderr)
        print(name, flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
