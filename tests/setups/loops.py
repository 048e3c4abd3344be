"""Set-ups by how it is trained: batches, schedules, optimizers, losses, restarts, evaluation, searches, pushes."""

from __future__ import annotations

import torch
import transformers
from datasets import Dataset, IterableDataset

from setups.common import go, padded, quiet, ragged, setup, train, words_and_padding
from support import models

KIND = "Batches, schedules, losses, restarts"


def _trainer(
    out, callbacks, *, model=None, data=None, cls=transformers.Trainer, more=None, **settings
):
    data = ragged() if data is None else data
    return cls(
        model=models.bert() if model is None and "model_init" not in (more or {}) else model,
        args=models.arguments(out, **{"learning_rate": 0.01, **settings}),
        train_dataset=data,
        callbacks=list(callbacks),
        **{
            "eval_dataset": data if isinstance(data, Dataset) else ragged(),
            **words_and_padding(),
            **(more or {}),
        },
    )


def _plain(name, **settings):
    @setup(name, KIND)
    def run(out, callbacks):
        return go(_trainer(out, callbacks, **settings))


_plain(
    "Accumulation, the last step short",
    gradient_accumulation_steps=3,
    max_steps=-1,
    num_train_epochs=2,
)
_plain("Last batch dropped", dataloader_drop_last=True, max_steps=-1, num_train_epochs=3)
_plain(
    "Constant rate with a warm-up that has no effect",
    lr_scheduler_type="constant",
    warmup_steps=3,
    max_steps=4,
)
_plain(
    "Constant rate with a warm-up",
    lr_scheduler_type="constant_with_warmup",
    warmup_steps=3,
    max_steps=6,
)
_plain("Linear with a share of warm-up", lr_scheduler_type="linear", warmup_steps=0.5, max_steps=6)
_plain("Cosine", lr_scheduler_type="cosine", warmup_steps=2, max_steps=6)
_plain("Cosine, restarting", lr_scheduler_type="cosine_with_restarts", max_steps=6)
_plain(
    "Warm-up, stable, decay", lr_scheduler_type="warmup_stable_decay", warmup_steps=2, max_steps=8,
    lr_scheduler_kwargs={"num_decay_steps": 2},
)  # fmt: skip
_plain("Adafactor", optim="adafactor")
_plain("SGD", optim="sgd")
_plain("Label smoothing", label_smoothing_factor=0.1)
_plain("bf16 mixed precision", bf16=True)
_plain("Gradient checkpointing", gradient_checkpointing=True)
_plain(
    "Batches by length", train_sampling_strategy="group_by_length", max_steps=-1, num_train_epochs=1
)


@setup("Rate that falls at plateaus", KIND)
def plateau(out, callbacks):
    return go(
        _trainer(
            out,
            callbacks,
            lr_scheduler_type="reduce_lr_on_plateau",
            warmup_steps=2,
            max_steps=4,
            eval_strategy="steps",
            eval_steps=1,
        )
    )


@setup("GaLore", KIND, "galore_torch")
def galore(out, callbacks):
    return go(
        _trainer(
            out,
            callbacks,
            optim="galore_adamw",
            optim_target_modules=["query", "value"],
            optim_args="rank=4",
        )
    )


@setup("An optimizer and a schedule of one's own", KIND)
def own_optimizer(out, callbacks):
    model = models.bert()
    head = {"params": model.classifier.parameters(), "lr": 0.01}
    optimizer = torch.optim.SGD(
        [{"params": model.bert.parameters(), "lr": 1e-3}, head], momentum=0.9
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return go(_trainer(out, callbacks, model=model, more={"optimizers": (optimizer, schedule)}))


@setup("Rows padded beforehand, tokens counted by the Trainer", KIND)
def padded_rows(out, callbacks):
    return go(
        _trainer(
            out,
            callbacks,
            data=padded(),
            include_num_input_tokens_seen="all",
            max_steps=-1,
            num_train_epochs=1,
        )
    )


@setup("Tokens counted without padding", KIND)
def counted(out, callbacks):
    settings = {
        "include_num_input_tokens_seen": "non_padding",
        "max_steps": -1,
        "num_train_epochs": 1,
    }
    return go(_trainer(out, callbacks, data=padded(), **settings))


@setup("A stream of rows", KIND)
def stream(out, callbacks):
    data = IterableDataset.from_generator(lambda: iter(ragged(16)))
    return go(_trainer(out, callbacks, data=data, max_steps=3))


@setup("A data set of an own class", KIND)
def own_data(out, callbacks):
    class Rows(torch.utils.data.Dataset):
        def __init__(self):
            self.rows = list(ragged(12))

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, index):
            return self.rows[index]

    return go(_trainer(out, callbacks, data=Rows()))


@setup("Several evaluation sets", KIND)
def several_sets(out, callbacks):
    sets = {"short": ragged(6), "long": ragged(9)}
    return go(
        _trainer(out, callbacks, more={"eval_dataset": sets}, eval_strategy="steps", eval_steps=1)
    )


@setup("Evaluated on another set afterwards", KIND)
def other_set(out, callbacks):
    trainer = go(_trainer(out, callbacks))
    with quiet():
        trainer.evaluate(ragged(5))
        trainer.evaluate(ragged(7), metric_key_prefix="test")
    return trainer


def _accuracy(told):
    return {"accuracy": float((told[0].argmax(-1) == told[1]).mean()), "PER": {"f1": 0.5}}


class _Better:
    """A metric that is best at the second evaluation."""

    def __init__(self):
        self.values = [0.2, 0.9, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1]

    def __call__(self, _):
        return {"score": self.values.pop(0)}


BEST = {
    "load_best_model_at_end": True, "metric_for_best_model": "score", "eval_strategy": "steps", "eval_steps": 1,
    "save_strategy": "steps", "save_steps": 1, "greater_is_better": True,
}  # fmt: skip


@setup("Best checkpoint loaded at the end", KIND)
def load_best(out, callbacks):
    trainer = go(_trainer(out, callbacks, more={"compute_metrics": _Better()}, max_steps=4, **BEST))
    with quiet():
        trainer.evaluate(ragged(5), metric_key_prefix="test")
    return trainer


@setup("Early stopping", KIND)
def early_stopping(out, callbacks):
    stopping = transformers.EarlyStoppingCallback(early_stopping_patience=2)
    return go(
        _trainer(
            out, [*callbacks, stopping], more={"compute_metrics": _Better()}, max_steps=6, **BEST
        )
    )


@setup("Nested metrics", KIND)
def nested(out, callbacks):
    return go(
        _trainer(
            out,
            callbacks,
            more={"compute_metrics": _accuracy},
            eval_strategy="epoch",
            max_steps=-1,
            num_train_epochs=1,
        )
    )


class Focal(transformers.BertForSequenceClassification):
    """A model with a loss of its own."""

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        out = super().forward(input_ids=input_ids, attention_mask=attention_mask)
        if labels is not None:
            share = torch.nn.functional.cross_entropy(out.logits, labels, reduction="none")
            out.loss = ((1 - (-share).exp()) ** 2 * share).mean()
        return out


@setup("A loss in the model's own forward", KIND)
def own_forward(out, callbacks):
    torch.manual_seed(0)
    return go(_trainer(out, callbacks, model=Focal(models.bert().config)))


@setup("A loss in the trainer's own training_step", KIND)
def own_step(out, callbacks):
    class Twice(transformers.Trainer):
        def training_step(self, model, inputs, num_items_in_batch=None):
            inputs = self._prepare_inputs(inputs)
            one, other = model(**inputs), model(**inputs)
            loss = one.loss + other.loss + (one.logits - other.logits).pow(2).mean()
            self.accelerator.backward(loss)
            return loss.detach()

    return go(_trainer(out, callbacks, cls=Twice))


@setup("A loss in the trainer's own compute_loss", KIND)
def own_compute_loss(out, callbacks):
    class Weighted(transformers.Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, **_):
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = torch.nn.functional.cross_entropy(
                outputs.logits, labels, weight=torch.tensor([1.0, 5.0])
            )
            return (loss, outputs) if return_outputs else loss

    return go(_trainer(out, callbacks, cls=Weighted))


@setup("A loss by compute_loss_func", KIND)
def loss_func(out, callbacks):
    def mine(outputs, labels, **_):
        return torch.nn.functional.cross_entropy(outputs.logits, labels) * 3

    return go(_trainer(out, callbacks, more={"compute_loss_func": mine}))


@setup("A loss set as the model's loss_function", KIND)
def loss_function(out, callbacks):
    model = models.llama()

    def mine(logits, **_):
        return logits.pow(2).mean()

    model.loss_function = mine
    return train(out, callbacks, model, models.language())


def _resumed(out, callbacks, first, second):
    models_ = [models.bert(), models.bert()]
    go(_trainer(out, callbacks, model=models_[0], save_strategy="steps", **first), evaluate=False)
    later = callbacks and [type(callbacks[0])(emissions=False)]
    checkpoint = str(out / f"checkpoint-{first['save_steps']}")
    return go(_trainer(out, later, model=models_[1], **second), resume=checkpoint)


@setup("Restart from a checkpoint", KIND)
def restart(out, callbacks):
    return _resumed(out, callbacks, {"max_steps": 4, "save_steps": 2}, {"max_steps": 6})


@setup("Restart with another batch size", KIND)
def restart_smaller(out, callbacks):
    second = {"max_steps": 8, "per_device_train_batch_size": 2}
    return _resumed(out, callbacks, {"max_steps": 4, "save_steps": 4}, second)


@setup("Second training in one folder", KIND)
def second_training(out, callbacks):
    go(_trainer(out, callbacks, data=ragged(8)))
    later = callbacks and [type(callbacks[0])(emissions=False)]
    return go(_trainer(out, later, data=ragged(12)))


@setup("Hyper-parameter search, then the training", KIND, "optuna")
def search(out, callbacks):
    made = _trainer(
        out,
        callbacks,
        more={"model_init": lambda _: models.bert()},
        eval_strategy="steps",
        eval_steps=2,
    )
    with quiet():
        made.hyperparameter_search(
            hp_space=lambda trial: {
                "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2)
            },
            n_trials=2,
            backend="optuna",
        )
    return go(made)


@setup("Only saved, never evaluated", KIND)
def only_saved(out, callbacks):
    return go(_trainer(out, callbacks), evaluate=False)


@setup("Saved by save_pretrained alone", KIND)
def save_pretrained(out, callbacks):
    trainer = _trainer(out, callbacks)
    with quiet():
        trainer.train()
        trainer.model.save_pretrained(out)
    return trainer
