"""Tokens of rows and batches, with and without padding, of one sequence or several in a row; counted by hand."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
import transformers
from transformers import Trainer

from autocard import AutoCardCallback
from autocard.capture.data import token_lengths
from autocard.errors import UnavailableError
from autocard.record import load
from support import models

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def padded(count=20, length=16):
    """Rows whose texts have 3 to 12 tokens, filled up to *length*."""
    real = [3 + row % 10 for row in range(count)]
    return datasets.Dataset.from_dict(
        {
            "input_ids": [
                [5 + row % 8] * size + [0] * (length - size) for row, size in enumerate(real)
            ],
            "attention_mask": [[1] * size + [0] * (length - size) for size in real],
            "labels": [row % 2 for row in range(count)],
        }
    )


def train(folder, rows, model=None, **settings):
    trainer = {"processing_class": models.tokenizer(), **settings.pop("trainer", {})}
    host = models.train(
        models.bert() if model is None else model,
        rows,
        folder,
        AutoCardCallback(emissions=False),
        trainer=trainer,
        **settings,
    )
    return load(folder), (Path(folder) / "README.md").read_text(), host


def real_tokens(rows):
    return sum(sum(row["attention_mask"]) for row in rows)


@pytest.mark.parametrize("way", ["as they are", "shuffled", "some", "sliced", "joined"])
def test_padding_in_rows_is_told_apart(tmp_path, way):
    rows = padded()
    if way == "shuffled":
        rows = rows.shuffle(seed=1)
    elif way == "some":
        rows = rows.select([3, 1, 19])
    elif way == "sliced":
        rows = rows.select(range(4, 9))
    elif way == "joined":
        rows = datasets.concatenate_datasets([rows, padded(5)])

    record, card, _ = train(tmp_path, rows)

    (data,) = record.data.train
    assert data.tokens == 16 * len(rows)
    assert data.tokens_without_padding == real_tokens(rows) < data.tokens
    assert (
        f"{len(rows)} rows, {16 * len(rows)} tokens ({real_tokens(rows)} without padding)" in card
    )
    assert record.data.preprocessing.longest_input == max(
        sum(row["attention_mask"]) for row in rows
    )
    assert f"- Longest example: {record.data.preprocessing.longest_input} tokens\n" in card


def test_rows_without_padding_are_told_as_before(tmp_path):
    rows = models.tokens(12)

    record, card, _ = train(tmp_path, rows)

    (data,) = record.data.train
    assert data.tokens == data.tokens_without_padding == sum(map(len, rows["input_ids"]))
    assert f"12 rows, {data.tokens} tokens, columns" in card
    assert "without padding" not in card


def test_without_a_mask_the_token_that_only_pads_tells_padding(tmp_path):
    record, _, _ = train(tmp_path, padded().remove_columns("attention_mask"))

    assert record.data.train[0].tokens_without_padding == real_tokens(padded())


def test_a_token_that_ends_texts_too_does_not_tell_padding(tmp_path):
    tokenizer = models.tokenizer()
    tokenizer.add_special_tokens({"eos_token": tokenizer.pad_token})

    record, card, _ = train(
        tmp_path, padded().remove_columns("attention_mask"), trainer={"processing_class": tokenizer}
    )

    assert record.data.train[0].tokens_without_padding is None
    assert record.why_missing("data.train.0.tokens_without_padding")
    assert "without padding" not in card


def choices(rows=6, count=4, length=9):
    ids = [
        [[5 + (row + choice) % 8] * (length - choice) for choice in range(count)]
        for row in range(rows)
    ]
    mask = [[[1] * len(one) for one in row] for row in ids]
    return datasets.Dataset.from_dict(
        {"input_ids": ids, "attention_mask": mask, "labels": [0] * rows}
    )


@pytest.mark.parametrize("way", ["all", "some", "unequal", "empty"])
def test_tokens_of_several_sequences_in_a_row_are_all_counted(way):
    rows = choices()
    if way == "some":
        rows = rows.select([4, 0])
    elif way == "unequal":
        rows = datasets.Dataset.from_dict(
            {"input_ids": [[[1, 2], [3]], [], [[4, 5, 6, 7]], [[], [8]]]}
        )
    elif way == "empty":
        rows = datasets.Dataset.from_dict({"input_ids": [[[1]], [], []]})
    counted = [len(one) for row in rows["input_ids"] for one in row]

    assert token_lengths.tokens(rows) == sum(counted)
    assert token_lengths.longest(rows).tokens == max(counted)


def test_a_multiple_choice_card_counts_every_choice(tmp_path):
    model = transformers.BertForMultipleChoice(models.bert().config)
    rows = choices(length=9)

    collator = transformers.DataCollatorForMultipleChoice(models.tokenizer())

    record, card, host = train(tmp_path, rows, model, trainer={"data_collator": collator})

    assert host.state.global_step == 2
    assert record.data.train[0].tokens == 6 * (9 + 8 + 7 + 6)
    assert "6 rows, 180 tokens" in card
    assert "- Longest example: 9 tokens\n" in card


def test_of_many_rows_the_card_says_which_were_looked_at(tmp_path):
    ids = [[5] * 4] * 1000 + [[6] * 30]
    rows = datasets.Dataset.from_dict({"input_ids": ids, "labels": [0] * len(ids)})

    record, card, _ = train(tmp_path, rows)

    assert record.data.preprocessing.longest_input_rows == 1000
    assert "- Longest example (first 1,000 rows): 4 tokens\n" in card


class Hooked(Trainer):
    """Counts the tokens of each batch, and those that are padding."""

    def training_step(self, model, inputs, *args, **kwargs):
        counted = getattr(self, "counted", [0, 0])
        # the suite's own look at the last batch comes after it
        if self.state.global_step < self.state.max_steps:
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            self.counted = [counted[0] + ids.numel(), counted[1] + int(mask.sum())]
        return super().training_step(model, inputs, *args, **kwargs)


@pytest.mark.parametrize(
    ("mode", "place", "words"),
    [("all", 0, "including padding"), ("non_padding", 1, "without padding")],
)
def test_tokens_seen_say_whether_padding_is_among_them(tmp_path, mode, place, words):
    record, card, host = train(
        tmp_path, padded(), cls=Hooked, include_num_input_tokens_seen=mode, max_steps=4
    )

    assert record.time.tokens == host.counted[place]
    assert record.time.tokens_with_padding is ("without" not in words)
    assert f"- Input tokens seen: {record.time.tokens} ({words})\n" in card


def test_an_encoder_s_tokens_are_called_input_tokens(tmp_path):
    config = transformers.T5Config(
        vocab_size=50,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    rows = datasets.Dataset.from_dict({"input_ids": [[5, 6, 7]] * 8, "labels": [[8, 9]] * 8})

    record, card, _ = train(tmp_path, rows, transformers.T5ForConditionalGeneration(config))

    assert "8 rows, 24 input tokens" in card
    assert record.time.flops_estimate is None
    assert "decoder" in record.why_missing("time.flops_estimate")


def test_rows_that_are_no_token_lists_have_no_lengths():
    for rows in (models.texts(), [1, 2], datasets.Dataset.from_dict({"input_ids": [1, 2]})):
        assert token_lengths.tokens(rows) is None
        assert token_lengths.tokens_without_padding(rows, 0) is None
        with pytest.raises(UnavailableError):
            token_lengths.longest(rows)
