"""Host × order × strategy: after each thing that users do, the card on disk and the card in the upload are ours.

Every cell is a real training and a real push to a Hub on this machine. `JOURNEY` is one trainer's
life; what is wrong with the card after each of its steps is collected, and nothing may be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from transformers import TrainerCallback

from autocard import AutoCardCallback
from support import ROOT
from support.card_writers import BASE, HOSTS, Host, quiet

pytest_plugins = ["support.hub_fixtures"]

WORDS = "What this model is for, nobody but me can know."
MINE = f"""---
license: mit  # chosen by me
tags:
- mine
language: no
---

# My model

{WORDS}

## Environmental Impact

- **Hours used:** [More Information Needed]
"""
ON_THE_HUB = "This sentence was written on the Hub's own page."
GARBAGE = (
    "None dataset",
    "[More Information Needed]",
    "trained from scratch on",
    "huggingface.co/None",
    "licence:",
    '_model_id"',
)


@dataclass
class Life:
    """One trainer from its making to its last push, and what was found wrong on the way."""

    host: Host
    trainer: object
    out: Path
    base: Path
    hub: object
    mine: bool
    tagged: bool = False
    """The host has written a card, so its tags are known."""
    wrong: list[str] = field(default_factory=list)

    @property
    def repo(self):
        return self.hub.repo("me/out")

    def disk(self, step: str) -> None:
        self.tagged |= step in ("create_model_card", "push_to_hub")
        self._look(
            f"{step}, on disk",
            (self.out / "README.md").read_text(),
            (self.out / "autocard.json").read_text(),
        )

    def upload(self, step: str) -> None:
        files = self.repo.pushes[-1].files if self.repo.pushes else {}
        if "README.md" not in files or "autocard.json" not in files:
            self.wrong.append(f"{step}, uploaded: no card or no record in {sorted(files)}")
            return
        self._look(
            f"{step}, uploaded", files["README.md"].decode(), files["autocard.json"].decode()
        )
        self.wrong += [
            f"{step}, uploaded: private {path}" for path in files if path.startswith("_")
        ]

    def _look(self, where: str, text: str, record: str, *, over: bool = True) -> None:
        self.wrong += [
            f"{where}: {what}" for what in self._problems(text, json.loads(record), over=over)
        ]

    def _problems(self, text, record, *, over):
        ModelCard(text)
        front = yaml.safe_load(text.split("---\n")[1])
        if front.get("base_model") != BASE:
            yield f"base_model is {front.get('base_model')!r}"
        if front.get("library_name") != self.host.library:
            yield f"library_name is {front.get('library_name')!r}"
        tags = front.get("tags") or []
        wanted = [
            *(self.host.tags if self.tagged else []),
            *(["lora"] if self.host.peft else []),
            *(["mine"] if self.mine else []),
        ]
        if missing := [tag for tag in wanted if tag not in tags]:
            yield f"tags {missing} are not among {tags}"
        if bad := [tag for tag in tags if tag.startswith("base_model:") and not tag.endswith(BASE)]:
            yield f"tags {bad}"
        if str(self.base) in text or str(self.out) in text:
            yield "a local path"
        # While training runs nobody knows the hours: the person's own form still asks for them.
        if found := [
            words for words in GARBAGE if words in text and (over or "Needed" not in words)
        ]:
            yield f"generated: {found}"
        if text.count("\n- PEFT ") != self.host.peft:
            yield f"{text.count('- PEFT ')} PEFT lines"
        if self.mine:
            yield from self._persons(text)
        if over:
            yield from self._ours(text, record)

    def _persons(self, text):
        for words in (WORDS, "license: mit  # chosen by me", "language: no", "# My model"):
            if text.count(words) != 1:
                yield f"{text.count(words)} times {words!r}"

    def _ours(self, text, record):
        said = record["slots"]["README.md"].get("hours_used")
        if not said or text.count(said) < 1 or "wall-clock" not in said:
            yield f"hours used: {said!r}"
        if record["run"]["started_at"][:19].replace("T", " ") not in text:
            yield "the start of this run is not in it"


def live(name: str, hub, tmp_path: Path, *, mine: bool, **settings) -> Life:
    host, out, base = HOSTS[name], tmp_path / "out", tmp_path / "base"
    if mine:
        out.mkdir()
        (out / "README.md").write_text(MINE)
    callback = AutoCardCallback(base_model=BASE, country_iso_code="FRA", cpu_power_w=50)
    patient = Patient()
    with quiet():
        trainer = patient.trainer = host.make(base, out, [callback, patient], **settings)
    return Life(host, trainer, out, base, hub, mine)


class Patient(TrainerCallback):
    """Waits for each upload: which text a background upload reads is the host's own race."""

    trainer = None

    def on_save(self, args, state, control, **objects):
        self.trainer._finish_current_push()


def in_training(life: Life) -> None:
    """Look at every card that was uploaded while training ran, those of checkpoints too."""
    for commit in life.repo.pushes:
        text = commit.files.get("README.md", b"").decode()
        if not text:
            life.wrong.append(f"{commit.message}: no card")
            continue
        record = commit.files.get("autocard.json", b"{}").decode()
        life._look(f"upload {commit.message!r}", text, record, over=False)
        for path in commit.files:
            if path.endswith("/README.md"):
                front = yaml.safe_load(commit.text(path).split("---\n")[1])
                if front.get("base_model", BASE) != BASE or str(life.base) in commit.text(path):
                    life.wrong.append(
                        f"{commit.message}: base_model of {path} is {front['base_model']!r}"
                    )
    for check in life.hub.checks:
        life.wrong += [f"refused by the Hub: {error}" for error in check.errors]


STRATEGIES = {"off": HOSTS, "end": HOSTS, "every_save": HOSTS}
"""What `hub_strategy` is, "off" without `push_to_hub`, and for which hosts."""
for _strategy in ("checkpoint", "all_checkpoints"):
    STRATEGIES[_strategy] = ["Trainer + PEFT", "TRL SFT + PEFT", "sentence-transformers"]
CELLS = [(name, strategy) for strategy, names in STRATEGIES.items() for name in names]
STEPS = (
    "train",
    "save_model",
    "save_pretrained",
    "evaluate",
    "predict",
    "create_model_card",
    "push_to_hub",
    "push_to_hub after an edit on the Hub",
    "train again",
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "strategy"), CELLS)
def test_our_card_stands_after_everything_that_users_do(name, strategy, hub, tmp_path):
    pushes = {} if strategy == "off" else {"push_to_hub": True, "hub_strategy": strategy}
    life = live(name, hub, tmp_path, mine=strategy != "off", hub_model_id="me/out", **pushes)

    with quiet():
        for step in STEPS:
            if step != "predict" or life.host.predicts:
                DO[step](life)
                life.disk(step)
            if step == "train":
                in_training(life) if strategy not in ("off", "end") else None
            elif step.startswith("push_to_hub") or (step == "save_model" and strategy != "off"):
                life.upload(step)
        if (
            ON_THE_HUB not in life.repo.text()
            or ON_THE_HUB not in (life.out / "README.md").read_text()
        ):
            life.wrong.append("the edit on the Hub is gone")

    if life.wrong:
        pytest.fail("\n".join(life.wrong))
    assert [error for check in hub.checks for error in check.errors] == []


def _edit_and_push(life: Life) -> None:
    text = life.repo.text().replace("\n\n## ", f"\n\n{ON_THE_HUB}\n\n## ", 1)
    life.hub.edit("me/out", "README.md", text)
    life.trainer.push_to_hub()


DO = {
    "train": lambda life: life.trainer.train(),
    "save_model": lambda life: life.trainer.save_model(),
    "save_pretrained": lambda life: life.trainer.model.save_pretrained(str(life.out)),
    "evaluate": lambda life: life.trainer.evaluate(),
    "predict": lambda life: life.trainer.predict(life.trainer.eval_dataset),
    "create_model_card": lambda life: life.trainer.create_model_card(),
    "push_to_hub": lambda life: life.trainer.push_to_hub(),
    "push_to_hub after an edit on the Hub": _edit_and_push,
    "train again": lambda life: (life.trainer.train(), life.trainer.push_to_hub()),
}


@pytest.mark.parametrize("name", ["Trainer", "Trainer + PEFT", "sentence-transformers"])
def test_our_card_stands_after_the_best_model_was_loaded(name, hub, tmp_path):
    best = {
        "load_best_model_at_end": True,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "metric_for_best_model": "loss",
    }
    life = live(name, hub, tmp_path, mine=True, hub_model_id="me/out", push_to_hub=True, **best)

    with quiet():
        for step in ("train", "save_model", "push_to_hub"):
            DO[step](life)
            life.disk(step)
        life.upload("push_to_hub")

    if life.wrong:
        pytest.fail("\n".join(life.wrong))


def test_the_table_in_the_docs_is_what_was_tested():
    """`docs/dev/card_guard.md` names each cell of the matrix; a failing cell fails its own test."""
    page = ROOT / "docs" / "dev" / "card_guard.md"
    rows = [
        f"| {name} | " + " | ".join(_cell(name, step) for step in STEPS) + " |" for name in HOSTS
    ]
    head = "| | " + " | ".join(f"`{step}`" if " " not in step else step for step in STEPS) + " |"
    table = "\n".join([head, "| --- " * (len(STEPS) + 1) + "|", *rows])

    assert table in page.read_text(encoding="utf-8"), f"put this table into {page.name}:\n{table}"


def _cell(name: str, step: str) -> str:
    if step == "predict" and not HOSTS[name].predicts:
        return "–"
    return ", ".join(strategy for strategy, names in STRATEGIES.items() if name in names)
