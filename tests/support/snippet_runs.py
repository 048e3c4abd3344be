"""Real runs whose cards show code, and a reader who runs that code in a process of its own.

Usage: snippet_runs.py train FOLDER (trains, saves, writes what the models answer) or read FOLDER
(the reader). benchmarks/peers.py makes the same runs, with and without autocard.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import warnings
from pathlib import Path

SHA = "0123456789abcdef0123456789abcdef01234567"
TEXT = "the cat sat on a mat"
OURS = [True]
"""Whether the runs have autocard; benchmarks/peers.py turns it off for the others' cards."""


def into_cache(folder: Path, hub_id: str, saved: Path) -> None:
    """Lay *saved* out as the Hub's cache does."""
    home = folder / "hub" / f"models--{hub_id.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(SHA)
    (home / "snapshots").mkdir()
    saved.rename(home / "snapshots" / SHA)


def answer(model, task: str):
    """Return the output of *model* for one text, as plain numbers."""
    import torch

    model.eval()
    with torch.no_grad():
        if task == "sentences":
            return [float(number) for number in model.encode([TEXT])[0][:8]]
        return [
            float(number)
            for number in model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits.flatten()[:8]
        ]


def trained(trainer) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
        trainer.save_model()
        trainer.evaluate()
    TRAINERS.append(trainer)


TRAINERS: list = []
"""Those of the runs of this process, in their order."""


def ours(**settings):
    """Return the callbacks of a run: autocard's, or none."""
    from autocard import AutoCardCallback

    return [AutoCardCallback(emissions=False, **settings)] if OURS[0] else []


def train(folder: Path) -> dict[str, dict]:
    """Train; return the output of each model, its card, and the false statements that the oracles found."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import peers

    import autocard.callback  # noqa: F401 - or there is nothing to stand around yet
    import truth

    watch = truth.Watch()
    watch.install()
    lay_bases(folder)
    found = {}
    for name, run in RUNS.items():
        said = run(folder / name)
        trainer = TRAINERS[-1]
        true = peers.truth_of(name, trainer, peers.training_s(trainer))
        card = (folder / name / "README.md").read_text(encoding="utf-8")
        found[name] = {"answer": said, "claims": list(peers.claims(card, true))}
        found[name] |= {"judged": watch.fields, "false": list(watch.false)}
    return found


def lay_bases(folder: Path) -> None:
    """Put the bases of the runs into the Hub's cache in *folder*."""
    import torch

    from support import models

    torch.manual_seed(0)
    bases = {"org/tiny-bert": models.bert(), "org/tiny-llama": models.llama()}
    for hub_id, base in bases.items():
        models.save(base, folder / "base")
        models.tokenizer().save_pretrained(folder / "base")
        into_cache(folder, hub_id, folder / "base")


def _classifier(folder: Path, made, **settings):
    from transformers import Trainer

    from support import models

    trainer = Trainer(
        model=made,
        args=models.arguments(folder, learning_rate=0.05),
        train_dataset=models.tokens(),
        eval_dataset=models.tokens(4),
        processing_class=models.tokenizer(),
        callbacks=ours(**settings),
    )
    trained(trainer)
    return answer(trainer.model, "logits")


def full(folder: Path):
    from support import models

    labels = {"id2label": {0: "calm", 1: "storm"}, "label2id": {"calm": 0, "storm": 1}}
    return _classifier(
        folder, models.load("AutoModelForSequenceClassification", "org/tiny-bert", **labels)
    )


def adapter(folder: Path):
    from support import models

    labels = {"id2label": {0: "calm", 1: "storm"}, "label2id": {"calm": 0, "storm": 1}}
    base = models.load("AutoModelForSequenceClassification", "org/tiny-bert", **labels)
    return _classifier(
        folder, models.lora(base, task_type="SEQ_CLS", target_modules=["query", "value"])
    )


def chat(folder: Path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from support import models

    words = models.tokenizer()
    words.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}{% if add_generation_prompt %}a{% endif %}"
    said = [
        {"role": "user", "content": "the cat"},
        {"role": "assistant", "content": "sat on a mat"},
    ]
    rows = Dataset.from_dict({"messages": [said] * 8})
    from peft import LoraConfig

    trainer = SFTTrainer(
        model="org/tiny-llama",
        args=models.arguments(folder, SFTConfig, learning_rate=0.05, bf16=False),
        train_dataset=rows,
        eval_dataset=rows,
        processing_class=words,
        peft_config=LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
        callbacks=ours(),
    )
    trained(trainer)
    return answer(trainer.model, "logits")


def sentences(folder: Path):
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from support import models

    words = Transformer("org/tiny-bert")
    made = SentenceTransformer(
        modules=[words, Pooling(words.get_embedding_dimension())], device="cpu"
    )
    rows = Dataset.from_dict(
        {"a": ["the cat", "a dog"] * 4, "b": ["a cat", "the dog"] * 4, "score": [1.0, 0.0] * 4}
    )
    trainer = SentenceTransformerTrainer(
        model=made,
        args=models.arguments(folder, SentenceTransformerTrainingArguments, learning_rate=0.01),
        train_dataset=rows,
        eval_dataset=rows,
        callbacks=ours(),
    )
    trained(trainer)
    return answer(made, "sentences")


RUNS = {"full": full, "adapter": adapter, "chat": chat, "sentences": sentences}


def read(folder: Path) -> dict[str, dict]:
    """Run each card's code in the run's folder; return what it printed and the output of its model."""
    from autocard.card.fields import facts
    from autocard.record import load

    found = {}
    for name in RUNS:
        # From the record: a card of sentence-transformers' own has another program, with a made-up
        # id, before ours.
        fact = facts(load(folder / name)).get("get_started_code")
        shown = (
            None if fact is None else re.fullmatch(r"```python\n(.*?)\n```", fact.body(), re.DOTALL)
        )
        if shown is None:
            found[name] = {"code": None}
            continue
        os.chdir(folder / name)
        namespace: dict = {}
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(shown[1], namespace)  # noqa: S102 - that is what its reader does
        kind = "sentences" if name == "sentences" else "logits"
        found[name] = {
            "code": shown[1],
            "printed": out.getvalue(),
            "answer": answer(namespace["model"], kind),
        }
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    work = {"train": train, "read": read}[sys.argv[1]]
    told = work(Path(sys.argv[2]))
    print(json.dumps(told))
