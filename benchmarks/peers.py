"""Compare cards of the same runs: filled, true and false fields of other writers' cards and ours.

Four tiny runs (a classifier, a LoRA on it, a chat model by TRL, sentence embeddings) are made
twice, without autocard and with it. The claims of `FIELDS` are read from each card and compared
with the run: the given settings, counts of the state dict, versions of the installed packages, the
result of `evaluate()`, the Trainer's clock; code is run in the card's folder. A field is false if
the card states something different, or something that cannot be known. Then the set-ups of the
tests' matrix are trained in the same way, and the fields that can be checked for any training are
read. Prints a table of the four runs and a table of the totals.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))


@dataclass(frozen=True)
class Truth:
    """What a run was, by the program that made it."""

    base: str
    library: str
    tag: str | None
    architecture: str
    rank: int | None
    rows: int
    total: int
    trained: int
    loss: float
    seconds: float
    learning_rate: float
    batch: int = 4
    seed: int = 42
    steps: int = 2
    optimizer: str = "adamw"
    regime: str = "fp32"
    unknown: frozenset[str] = frozenset()
    """Fields of which the truth is not known here: what a card says of them is left alone."""


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _near(said: str, true: float, share: float = 0.01) -> bool:
    return abs(_number(said) - true) <= share * abs(true) + 5e-5


def _version(package: str) -> Callable[[str, Truth], bool]:
    return lambda said, _: (
        importlib.metadata.version(package).split("+")[0] == said.split("+")[0].rstrip(".")
    )


NO_NAME = "no base that has a name"


def _names_none(said: str) -> bool:
    """Return whether a card states no base, or a base without a name; the matrix judges that."""
    return any(
        word in said for word in ("from scratch", "local checkpoint", "not recorded", "not known")
    )


_ROUNDED_S = 0.2
"""Seconds by which a time may be off: some tell one digit behind the point, and each has a clock of
its own."""

FIELDS: dict[str, tuple[str, Callable[[str, Truth], bool]]] = {
    "base (front matter)": (r"^base_model: (.+)$", lambda said, true: said.strip() == true.base),
    "base (text)": (
        r"fine-tuned version of (.*?)[.\n]|\*\*Finetuned from model[^:]*:\*\* (.*)$",
        lambda said, true: true.base in said or (true.base == NO_NAME and _names_none(said)),
    ),
    "library": (r"^library_name: (.+)$", lambda said, true: said.strip() == true.library),
    "pipeline tag": (r"^pipeline_tag: (.+)$", lambda said, true: said.strip() == true.tag),
    "licence (front matter)": (r"^licen[sc]e: (.+)$", lambda *_: False),  # nobody named one
    "language (front matter)": (r"^language:\s*(.+)$", lambda *_: False),
    "data (front matter)": (r"^datasets:\s*\n?-? ?(.+)$", lambda *_: False),  # made in memory
    "data (text)": (
        r"on (an unknown dataset|the \S+ dataset)|([Ii]n-memory data ?set)",
        lambda said, _: said != "" and "the" not in said.split(),
    ),
    "rows of training data": (
        r"(?:Size: |, )([\d,]+) (?:training samples|rows)",
        lambda said, true: _number(said) == true.rows,
    ),
    "architecture": (
        r"\b(?!Auto)(\w+For\w+Classification|\w+ForCausalLM|BertModel)",
        lambda said, true: said.removeprefix("PeftModel") == true.architecture,
    ),
    "parameters": (
        r"(\d[\d,]*?)(?: in total|, all trained)",
        lambda said, true: _number(said) == true.total,
    ),
    "trained parameters": (
        r"(\d[\d,]*?)(?:, all trained| trained)",
        # A sentence encoder's pooler asks for gradients and gets none, so fewer may have been
        # trained.
        lambda said, true: (
            _number(said) == true.trained
            or (true.library == "sentence-transformers" and 0 < _number(said) < true.trained)
        ),
    ),
    "LoRA's rank": (r"\br = (\d+)", lambda said, true: int(said) == true.rank),
    "LoRA's modules": (
        r"target modules: (.+?);?$",
        lambda said, _: "query" in said or "q_proj" in said,
    ),
    "learning rate": (
        r"learning[_ ]rate`?\W{1,4}([\d.]+(?:e-?\d+)?)",
        lambda said, true: _near(said, true.learning_rate),
    ),
    "batch size": (
        r"train_batch_size(?:`|</code>)?\W{1,4}(\d+)",
        lambda said, true: int(said) == true.batch,
    ),
    "seed": (r"\bseed\W{1,4}(\d+)", lambda said, true: int(said) == true.seed),
    "optimizer": (
        r"(?i)optimizer:\W+(?:use )?([A-Za-z_.]+)",
        lambda said, true: true.optimizer in said.lower(),
    ),
    "steps": (
        r"training_steps\W{1,4}(\d+)|(\d+) optimizer steps",
        lambda said, true: int(said) == true.steps,
    ),
    "regime": (
        r"Training regime:?\*{0,2} (\S+)|mixed_precision_training: (.+)",
        lambda said, true: said == true.regime,
    ),
    "loss of the evaluation": (
        r"^(?:- Loss: |\| loss \| )([\d.]+)",
        lambda said, true: _near(said, true.loss),
    ),
    "time of training": (
        r"Wall-clock time: ([\d.]+) s|\*\*Training\*\*: ([\d.]+) seconds",
        lambda said, true: (
            _near(said, true.seconds, 0.25) or abs(float(said) - true.seconds) < _ROUNDED_S
        ),
    ),
    "hardware": (r"Hardware Type:\*\* (.+)$", lambda said, _: "no GPU" in said),
    "PEFT": (r"(?i)^- peft:? ([\d.]+)", _version("peft")),
    "Transformers": (r"(?i)^- transformers:? ([\d.]+)", _version("transformers")),
    "PyTorch": (r"(?i)^- pytorch:? ([\d.]+)", _version("torch")),
}
"""Field → (how a card says it, whether that is so)."""  # fmt: skip


def claims(card: str, true: Truth) -> Iterator[tuple[str, str, bool]]:
    """Yield (field, statement of *card*, whether it is true) for each field with a statement."""
    visible = re.sub(r"(?s)<!--.*?-->", "", card)
    for field, (pattern, is_so) in FIELDS.items():
        found = re.search(pattern, visible, re.MULTILINE)
        said = next((group for group in found.groups() if group), "") if found else ""
        if said and not said.startswith("[More") and field not in true.unknown:
            yield field, said, is_so(said, true)


def code_runs(card: str, folder: Path) -> bool | None:
    """Return whether the first program in *card* runs in *folder*, offline; None: there is none."""
    program = re.search(r"```python\n(.*?)\n```", re.sub(r"(?s)<!--.*?-->", "", card), re.DOTALL)
    if program is None:
        return None
    done = subprocess.run(
        [sys.executable, "-c", program[1]], cwd=folder, capture_output=True, check=False
    )
    return done.returncode == 0


def truth_of(name: str, trainer: Any, seconds: float) -> Truth:
    """Return what the run *name* was; *trainer* has ended."""
    model = trainer.model
    sizes = {tensor.data_ptr(): tensor.numel() for tensor in model.parameters()}
    trained = {one.data_ptr(): one.numel() for one in model.parameters() if one.requires_grad}
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    llama, sentences = name == "chat", name == "sentences"
    return Truth(
        base="org/tiny-llama" if llama else "org/tiny-bert",
        library={"full": "transformers", "sentences": "sentence-transformers"}.get(name, "peft"),
        tag={"chat": "text-generation", "sentences": "sentence-similarity"}.get(
            name, "text-classification"
        ),
        architecture="LlamaForCausalLM"
        if llama
        else "BertModel"
        if sentences
        else "BertForSequenceClassification",
        rank={"adapter": 4, "chat": 2}.get(name),
        rows=8 if llama or sentences else 16,
        total=sum(sizes.values()),
        trained=sum(trained.values()),
        loss=losses[-1],
        seconds=seconds,
        learning_rate=float(trainer.args.learning_rate),
    )


UNKNOWN = frozenset(
    {"pipeline tag", "LoRA's modules", "data (text)", "time of training", "hardware"}
)
"""Fields that the four runs above are asked for, and the set-ups are not: each would need a truth
of its own."""


def truth_of_setup(trainer: Any) -> Truth:
    """Return what any training was, as far as that can be told of every one alike."""
    import truth

    true = truth.Truth(trainer, trainer.state)
    rows, unknown = getattr(trainer.train_dataset, "num_rows", None), set(UNKNOWN)
    base = next((name for name in truth.names_of_base(true) if name.startswith("org/")), "")
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    ranks = {getattr(one, "r", None) for one in true.adapters.values()} - {None}
    sentences = type(trainer).__module__.startswith("sentence_transformers")
    weights = true.parameters or []
    lora_only = {
        str(getattr(one.peft_type, "value", one.peft_type)) for one in true.adapters.values()
    } <= {"LORA"}
    unknown |= {"LoRA's rank"} if len(ranks) != 1 or not lora_only else set()
    unknown |= {"loss of the evaluation"} if len(losses) != 1 else set()
    unknown |= {"rows of training data"} if not isinstance(rows, int) else set()
    unknown |= {"parameters", "trained parameters"} if not weights else set()
    unknown |= {"architecture"} if true.inner is None else set()
    unknown |= (
        {"regime"} if {one.dtype for one in weights} != {"float32"} or trainer.args.bf16 else set()
    )
    rates = {group.get("initial_lr") for group in trainer.optimizer.param_groups}
    unknown |= {"learning rate"} if rates != {trainer.args.learning_rate} else set()
    return Truth(
        base=base or NO_NAME,
        library="sentence-transformers"
        if sentences
        else "peft"
        if true.adapters
        else "transformers",
        tag=None,
        architecture=type(true.inner).__name__,
        rank=next(iter(ranks), None),
        rows=rows or 0,
        total=sum(one.count for one in weights),
        trained=sum(one.count for one in weights if one.trained),
        loss=losses[0] if losses else 0.0,
        seconds=0.0,
        learning_rate=float(trainer.args.learning_rate),
        batch=int(trainer.args.per_device_train_batch_size),
        seed=int(trainer.args.seed),
        steps=int(trainer.state.global_step),
        optimizer=type(getattr(trainer.optimizer, "optimizer", trainer.optimizer)).__name__.lower(),
        unknown=frozenset(unknown),
    )


def matrix(folder: Path) -> Iterator[tuple[str, str, list[tuple[str, str, bool]]]]:
    """Train the set-ups of the tests' matrix twice; yield the claims of other cards and of ours."""
    import importlib.util

    from autocard import AutoCardCallback
    from setups import SETUPS

    for number, one in enumerate(SETUPS.values()):
        if any(importlib.util.find_spec(module) is None for module in one.needs):
            continue
        for ours in (False, True):
            place = folder / f"{number}-{ours}"
            place.mkdir()
            out = place / "out"
            trainer = one.run(out, [AutoCardCallback(emissions=False)] if ours else [])
            true = truth_of_setup(trainer)
            name = {
                "Trainers of TRL": "chat",
                "Trainers of sentence-transformers": "sentences",
            }.get(one.kind, "")
            cards = {"autocard": out / "README.md"} if ours else _cards(name, trainer, out)
            for whose, card in cards.items():
                text = card.read_text(encoding="utf-8") if isinstance(card, Path) else card
                yield one.name, whose, list(claims(text, true))


def totals(rows: list[tuple[str, str, list[tuple[str, str, bool]]]]) -> None:
    """Print the number of fields and of false fields for each writer of cards."""
    print(
        f"{'all set-ups':22} {'cards':>6} {'fields':>7} {'a card':>7} {'false':>6}  "
        "false ones, by field"
    )
    for whose in dict.fromkeys(whose for _, whose, _ in rows):
        told = [one for _, by, claims_ in rows if by == whose for one in claims_]
        cards = sum(by == whose for _, by, _ in rows)
        false: dict[str, int] = {}
        for field, _, is_so in told:
            false[field] = false.get(field, 0) + (not is_so)
        named = ", ".join(f"{field} {count}" for field, count in false.items() if count)
        print(
            f"{whose:22} {cards:6} {len(told):7} {len(told) / cards:7.1f} "
            f"{sum(false.values()):6}  {named}"
        )


def main() -> int:
    """Make the runs, read the cards, print the tables; return 1 if our card has a false field."""
    warnings.simplefilter("ignore")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ |= {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "HOME": place}
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            rows = list(_rows(folder))
            more = list(matrix(folder))
    print(f"{'run':10} {'card':22} {'fields':>7} {'true':>5} {'false':>6}  false ones")
    for run, whose, told in rows:
        false = [f"{field}: {said[:40]}" for field, said, is_so in told if not is_so]
        print(
            f"{run:10} {whose:22} {len(told):7} {len(told) - len(false):5} {len(false):6}  "
            f"{'; '.join(false)}"
        )
    totals([*rows, *more])
    ours = [
        (run, *one) for run, whose, told in [*rows, *more] if whose == "autocard" for one in told
    ]
    for run, field, said, is_so in ours:
        if not is_so:
            print(f"ours, false: {run}: {field}: {said}")
    wrong = sum(not is_so for *_, is_so in ours)
    print(f"false fields of ours: {wrong}")
    return int(wrong > 0)


def _rows(folder: Path) -> Iterator[tuple[str, str, list[tuple[str, str, bool]]]]:
    from support import snippet_runs

    snippet_runs.lay_bases(folder)
    for ours in (False, True):
        snippet_runs.OURS[0] = ours
        for name, run in snippet_runs.RUNS.items():
            out = folder / ("ours" if ours else "theirs") / name
            run(out)
            trainer = snippet_runs.TRAINERS[-1]
            true = truth_of(name, trainer, training_s(trainer))
            cards = {"autocard": (out / "README.md")} if ours else _cards(name, trainer, out)
            for whose, card in cards.items():
                text = card.read_text(encoding="utf-8") if isinstance(card, Path) else card
                told = list(claims(text, true))
                runs = code_runs(text, out)
                yield (
                    name,
                    whose,
                    [
                        *told,
                        *([] if runs is None else [("code", "runs" if runs else "fails", runs)]),
                    ],
                )


def training_s(trainer: Any) -> float:
    """Return the seconds of training as the trainer's own log has them."""
    return float(
        next(entry["train_runtime"] for entry in trainer.state.log_history if "train_loss" in entry)
    )


def _cards(name: str, trainer: Any, out: Path) -> dict[str, str]:
    """Return the other cards of a run: that of saving, and that of the trainer's own writer."""
    found = {}
    card = out / "README.md"
    if card.is_file():
        found[{"sentences": "sentence-transformers"}.get(name, "PEFT")] = card.read_text(
            encoding="utf-8"
        )
    # of a plain module the Trainer writes no card
    if name != "sentences" and hasattr(trainer.model, "config"):
        trainer.create_model_card()
        found["TRL" if name == "chat" else "Trainer"] = card.read_text(encoding="utf-8")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
