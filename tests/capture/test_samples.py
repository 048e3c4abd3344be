"""Batch sizes, samples per second and epochs against what a hook of the model counts, over unlike ways to train."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import Trainer

from autocard import AutoCardCallback
from autocard.record import load
from support import models

ROWS = 15


class Counting(Trainer):
    """Counts the rows of each forward pass in training by a hook of the model."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rows = []
        self.model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module, args, kwargs):
        if module.training:
            self.rows.append((self.state.global_step, len(kwargs["input_ids"])))


class TooLarge(Counting):
    """Runs out of memory with batches of more than six."""

    def training_step(self, model, inputs, *args, **kwargs):
        if len(inputs["input_ids"]) > 6:
            msg = "CUDA out of memory."
            raise RuntimeError(msg)
        return super().training_step(model, inputs, *args, **kwargs)


class EndsItsEpochsEarly(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        control.should_epoch_stop = state.global_step % 3 == 0


def data(rows=ROWS):
    return models.language(rows)


def stream(rows=ROWS):
    return data(rows).to_iterable_dataset()


def train(folder, rows=None, *, resume=None, cls=Counting, callbacks=(), **arguments):
    """Train; return (rows of each forward pass with their step, record, card, trainer)."""
    plain = {"per_device_train_batch_size": 4, "max_steps": -1, "num_train_epochs": 2.0}
    host = models.train(
        models.llama(),
        data() if rows is None else rows,
        folder,
        AutoCardCallback(emissions=False),
        *callbacks,
        cls=cls,
        resume=resume,
        **{**plain, **arguments},
    )
    return host.rows, load(folder), (Path(folder) / "README.md").read_text(), host


def runtime_s(host):
    return next(
        entry["train_runtime"]
        for entry in reversed(host.state.log_history)
        if "train_runtime" in entry
    )


def samples_of(record, host):
    """Return the samples that the record's speed stands for."""
    return (
        None if record.time.samples_per_s is None else record.time.samples_per_s * runtime_s(host)
    )


WAYS = {
    "epochs": {},
    "epochs, last batches dropped": {"dataloader_drop_last": True},
    "part of an epoch": {"num_train_epochs": 1.5},
    "steps over epochs": {"max_steps": 6},
    "steps over epochs, last batches dropped": {"max_steps": 7, "dataloader_drop_last": True},
    "accumulation that does not divide an epoch": {"gradient_accumulation_steps": 3},
    "accumulation and dropped batches": {
        "gradient_accumulation_steps": 2,
        "dataloader_drop_last": True,
    },
    "accumulation longer than an epoch": {"gradient_accumulation_steps": 8, "max_steps": 3},
    "batch larger than the data": {"per_device_train_batch_size": 64},
    "rows of like length together": {"train_sampling_strategy": "group_by_length"},
    "batches of like cost": {
        "train_sampling_strategy": "batch_rebalance",
        "gradient_accumulation_steps": 2,
    },
    "batches of like cost, last ones dropped": {
        "train_sampling_strategy": "batch_rebalance",
        "dataloader_drop_last": True,
    },
    "in order": {"train_sampling_strategy": "sequential"},
    "batch size found automatically": {
        "cls": TooLarge,
        "auto_find_batch_size": True,
        "per_device_train_batch_size": 8,
    },
    "batch size found automatically, by steps": {
        "cls": TooLarge,
        "auto_find_batch_size": True,
        "per_device_train_batch_size": 8,
        "max_steps": 5,
    },
    "a stream that goes on": {"rows": "stream", "max_steps": 3},
    "two data loader workers": {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 2},
}


@pytest.mark.parametrize("way", WAYS)
def test_samples_per_second_are_those_that_a_hook_counts(tmp_path, way):
    arguments = dict(WAYS[way])
    rows = stream(ROWS) if arguments.pop("rows", None) else None

    counted, record, _, host = train(tmp_path, rows, **arguments)

    by_step = {}
    for step, size in counted:
        by_step[step] = by_step.get(step, 0) + size
    assert samples_of(record, host) == pytest.approx(sum(by_step.values()), rel=1e-6)
    assert record.training.effective_batch_size == max(by_step.values())


@pytest.mark.parametrize(
    "way", ["a stream that ended", "a stream that was read twice", "epochs that were ended early"]
)
def test_samples_that_are_not_known_are_a_gap_with_a_reason(tmp_path, way):
    if way == "epochs that were ended early":
        _, record, _, _ = train(tmp_path, callbacks=[EndsItsEpochsEarly()], max_steps=7)
    else:
        _, record, _, _ = train(
            tmp_path, stream(), max_steps=4 if way == "a stream that ended" else 7
        )

    assert record.time.samples_per_s is None
    assert record.why_missing("time.samples_per_s")
    assert record.time.steps_per_s > 0


def test_one_unknown_batch_in_a_long_stream_does_not_cost_the_figure(tmp_path):
    counted, record, _, host = train(tmp_path, stream(4 * 250 + 1), max_steps=251)

    assert samples_of(record, host) == pytest.approx(sum(size for _, size in counted), rel=0.005)


RESUMED = {
    "smaller batch, by steps": (
        {"max_steps": 4},
        {"max_steps": 8, "per_device_train_batch_size": 2},
    ),
    "smaller batch, by epochs": (
        {"num_train_epochs": 1.0},
        {"num_train_epochs": 3.0, "per_device_train_batch_size": 2},
    ),
    "larger batch": ({"max_steps": 4, "per_device_train_batch_size": 2}, {"max_steps": 6}),
    "resumed inside an epoch": (
        {"max_steps": 2},
        {"max_steps": 6, "per_device_train_batch_size": 2},
    ),
    "more accumulation": ({"max_steps": 4}, {"max_steps": 6, "gradient_accumulation_steps": 2}),
    "the same batch": ({"max_steps": 2}, {"max_steps": 7}),
    "without skipping data": ({"max_steps": 2}, {"max_steps": 5, "ignore_data_skip": True}),
    "last batches dropped since": (
        {"max_steps": 5},
        {"max_steps": 9, "dataloader_drop_last": True},
    ),
}


@pytest.mark.parametrize("way", RESUMED)
def test_a_resumed_training_is_counted_by_the_batches_it_consumed(tmp_path, way):
    first, then = RESUMED[way]
    one = Counting
    before, _, _, host = train(
        tmp_path, save_strategy="steps", save_steps=first.get("max_steps", 4), cls=one, **first
    )
    steps = host.state.global_step

    after, record, card, host = train(
        tmp_path, resume=str(tmp_path / f"checkpoint-{steps}"), **then
    )

    assert samples_of(record, host) == pytest.approx(sum(size for _, size in after), rel=1e-6)
    sizes = [
        max(sum(size for at, size in rows if at == step) for step, _ in rows)
        for rows in (before, after)
    ]
    assert record.training.effective_batch_size == sizes[1]
    assert (
        record.training.hyperparameters["per_device_train_batch_size"]
        == host.args.per_device_train_batch_size
    )
    if sizes[0] == sizes[1]:
        assert f"- Total train batch size: {sizes[1]}\n" in card
    else:
        accumulated = host.args.gradient_accumulation_steps
        how = (
            f" ({host.args.per_device_train_batch_size} per device × {accumulated} accumulation steps)"
            if accumulated > 1
            else ""
        )
        assert f"{sizes[0]} up to step {steps}, then {sizes[1]}{how}\n" in card
    assert [leg.batch.step_samples for leg in record.legs] == sizes
    if way != "without skipping data":
        seen_rows = sum(size for _, size in before + after)
        per_epoch = 12 if then.get("dataloader_drop_last") else ROWS
        if sizes[0] != sizes[1]:
            assert record.run.epochs == pytest.approx(seen_rows / per_epoch)


def test_steps_that_were_done_again_count_once_in_the_epochs(tmp_path):
    train(tmp_path, max_steps=6, save_strategy="steps", save_steps=2)

    _, record, card, _ = train(
        tmp_path, resume=str(tmp_path / "checkpoint-2"), max_steps=6, per_device_train_batch_size=2
    )

    assert record.run.epochs == pytest.approx((2 * 4 + 4 * 2) / ROWS)
    assert "4 up to step 2, then 2\n" in card


def test_epochs_are_not_told_where_the_checkpoint_had_another_batch_size_and_no_record(tmp_path):
    first = tmp_path / "first"
    models.train(
        models.llama(),
        data(),
        first,
        max_steps=4,
        save_strategy="steps",
        save_steps=4,
        per_device_train_batch_size=4,
    )
    state = first / "checkpoint-4" / "trainer_state.json"
    assert json.loads(state.read_text())["train_batch_size"] == 4

    _, record, card, _ = train(
        tmp_path / "then", resume=str(state.parent), max_steps=8, per_device_train_batch_size=2
    )

    assert record.run.epochs is None
    assert "another batch size" in record.why_missing("run.epochs")
    assert "epochs" not in card.split("- Training length: ")[1].splitlines()[0]


def test_a_loader_of_the_run_s_own_is_counted_by_its_own_batches(tmp_path):
    class Own(Counting):
        def get_train_dataloader(self):
            return torch.utils.data.DataLoader(
                self.train_dataset, batch_size=5, collate_fn=transformers.default_data_collator
            )

    counted, record, _, host = train(tmp_path, cls=Own)

    assert samples_of(record, host) == pytest.approx(sum(size for _, size in counted), rel=1e-6)
    assert record.training.effective_batch_size == 5


def test_a_loader_that_does_not_tell_its_batches_has_no_samples(tmp_path):
    class Uneven(torch.utils.data.Sampler):
        def __iter__(self):
            yield from ([0, 1, 2], [3], [4, 5, 6, 7, 8, 9], [10, 11, 12, 13, 14])

        def __len__(self):
            return 4

    class Own(Counting):
        def get_train_dataloader(self):
            return torch.utils.data.DataLoader(
                self.train_dataset,
                batch_sampler=Uneven(),
                collate_fn=transformers.default_data_collator,
            )

    _, record, _, _ = train(tmp_path, cls=Own)

    assert record.time.samples_per_s is None
    assert record.training.effective_batch_size is None
    assert record.why_missing("training.effective_batch_size") == "the batches have no fixed size"


def test_a_list_and_a_torch_data_set_are_counted_like_a_table(tmp_path):
    for number, rows in enumerate(
        [list(data()), torch.utils.data.ConcatDataset([data(8), data(7)])]
    ):
        counted, record, _, host = train(tmp_path / str(number), rows, dataloader_drop_last=True)

        assert samples_of(record, host) == pytest.approx(sum(size for _, size in counted), rel=1e-6)
