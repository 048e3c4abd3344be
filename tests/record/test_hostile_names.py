"""Names that hold addresses, user info or paths: what is published is their harmless part."""

from __future__ import annotations

import json

import pytest

from autocard import AutoCardCallback
from autocard.record import from_json, load, to_json
from autocard.record.gaps import Part
from autocard.record.public_names import public, with_public_names
from autocard.runtime.assemble import RecordDraft, build_record
from support import records, training
from support.counting import steps

CLEANED = {
    "https://u:PASS@h.example/x": "h.example/x",
    "eval_https://u:PASS@h.example:8080/a/x_loss?token=1#f": "eval_h.example/x_loss",
    "s3://bucket/folder/k?X-Amz-Signature=abc": "bucket/k",
    "file:///home/NAME/x": "x",
    "//server/share/NAME/x": "x",
    "eval_/home/NAME/score": "eval_score",
    "/home/jane doe/my set": "my set",
    "/alice/score": "score",
    "score of /net/alice/x at the end": "score of x at the end",
    "C:\\Users\\jane\\x.csv": "x.csv",
    "C:/Users/jane/x.csv": "x.csv",
    "\\\\server\\share\\x": "x",
    "~/data/x": "x",
    "~bob/x": "x",
    "NAME@corp.example": "corp.example",
    "eval_jane.doe+x@corp.example_loss": "eval_corp.example_loss",
    "jane:secret@corp.example/x": "corp.example/x",
    "set?token=abc&x=1": "set",
    "m/home/NAME/x": "mx",
    "eval_m/Users/NAME/x": "eval_mx",
    "xC:\\Users\\NAME\\x": "xx",
    "hf_PASSabcdefghijklmnopqrstuvwxyz0123": "(token)",
    "eval_hf_PASSabcdefghijklmnopqrstuvwxyz0123": "eval_(token)",
    "ghp_PASSabcdefghijklmnopqrstuvwxyz01234567": "(token)",
    "a=sk-proj-PASSabcdefghijklmnopqrst,b=1": "a=(token),b=1",
}
KEPT = [
    "recall@10",
    "map@5.0",
    "and/or",
    "I/O",
    "n/a",
    "/",
    "/b/",
    "/s/ vs /z/",
    "glue/sst2",
    "a?",
    "~5",
    "eval_loss",
    "/x",
    "glue/home",
    "hf_hub",
    "sk-learn",
    "loss:\\beta",
    "ghost",
]


@pytest.mark.parametrize("name", CLEANED)
def test_a_name_keeps_its_harmless_part_only(name):
    assert public(name) == CLEANED[name]
    assert public(CLEANED[name]) == CLEANED[name]


@pytest.mark.parametrize("name", KEPT)
def test_an_ordinary_name_stays_as_it_is(name):
    assert public(name) == name


@pytest.mark.parametrize(
    "piece", ["a", "a:", "a@", "/", "/a", "~", "a.", "?a=", "http://", "\\", "eval_"]
)
def test_a_long_name_takes_work_in_proportion(piece):
    import time

    long = piece * (200_000 // len(piece))
    begin = time.process_time()

    public(long)

    assert time.process_time() - begin < 5


SECRET = ("PASS", "NAME", "/home", "token=", "@")


def test_no_part_of_the_record_that_people_name_holds_an_address_or_a_path():
    hostile = "https://NAME:PASS@h.example/home/NAME/x?token=1"
    raw = json.loads(to_json(records.lora_on_cpu()))
    raw["data"]["eval"] = [
        {"name": hostile, "title": hostile, "columns": [hostile], "split": hostile}
    ]
    raw["evaluation"] = {
        "results": [{"name": hostile, "value": 1.0, "dataset": hostile}],
        "best": {"metric": f"eval_{hostile}"},
        "history": [{"step": 1, f"eval_{hostile}": 2.0}],
        "not_finite": [hostile],
        "diverged": [hostile],
    }
    raw["model"]["labels"] = [hostile, "NAME@corp.example"]
    settings = {"task_type": hostile, "target_modules": [hostile], "rank_pattern": {hostile: 4}}
    raw["adapters"] = [{"name": hostile, "method": hostile, "config": settings}]
    raw["training"] |= {
        "optimizer": hostile,
        "scheduler": hostile,
        "reward_functions": {hostile: 1.0},
    }
    raw["model"] |= {
        "architecture": hostile,
        "model_type": hostile,
        "task": hostile,
        "trained_modules": [hostile],
    }
    raw["data"]["preprocessing"] = {"collator": hostile, "tokenizer": hostile}
    raw["training"]["hyperparameters"]["metric_for_best_model"] = hostile

    text = to_json(with_public_names(from_json(json.dumps(raw))))

    assert text.count("h.example/x") >= 24
    assert not [word for word in SECRET if word in text]


def test_names_in_a_real_training_are_cleaned_in_card_and_record(tmp_path):
    trainer = training.trainer(tmp_path, callbacks=[AutoCardCallback()], eval_strategy="epoch")
    trainer.eval_dataset = {"https://NAME:PASS@h.example/x": training.dataset(4)}
    trainer.compute_metrics = lambda _: {"/home/NAME/score": 0.5, "NAME@corp.example": 1.0}

    trainer.train()

    published = (tmp_path / "README.md").read_text() + (tmp_path / "autocard.json").read_text()
    assert "h.example/x" in published
    assert not [word for word in SECRET if word in published and word not in str(tmp_path)]
    assert "score" in {one.name for one in load(tmp_path).evaluation.results}


def test_a_half_of_a_surrogate_pair_costs_nothing_but_itself(tmp_path):
    from autocard.card.update import update

    raw = records.lora_on_cpu().model_dump()
    raw["model"].update(labels=["a\udcff", "b"], name="r\ud800")
    raw.update(facts={"developers": "x\udcff"}, settings={"\ud800": "y"})

    update(tmp_path / "README.md", type(records.lora_on_cpu())(**raw))
    again = update(tmp_path / "README.md", load(tmp_path))

    assert load(tmp_path).model.labels == ["a\ufffd", "b"]
    assert not again.changed


def test_a_half_of_a_surrogate_pair_in_a_copy_of_a_record_is_written_as_a_mark():
    record = records.lora_on_cpu().model_copy(update={"facts": {"developers": "x\udcff"}})

    assert "x\ufffd" in to_json(record)


def test_freezing_a_draft_cleans_the_names():
    record = records.lora_on_cpu()
    model = record.model.model_copy(update={"labels": ["/home/NAME/x"]})
    from autocard.settings import Settings

    frozen = build_record(
        RecordDraft(
            settings=Settings(),
            run=record.run,
            legs=[Part(leg) for leg in record.legs],
            parts={"model": model},
            gaps={},
        )
    )

    assert frozen.model.labels == ["x"]
    assert steps(lambda: with_public_names(frozen)) < 20_000
