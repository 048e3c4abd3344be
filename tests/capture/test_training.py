"""How it was trained, against what the optimizer and the trainer's own state show."""

import dataclasses
from types import MethodType, SimpleNamespace

import pytest
import torch
import transformers
from transformers import Trainer, TrainingArguments

from autocard import AutoCardCallback
from autocard.capture.training import execution, objective, training
from autocard.errors import UnavailableError
from autocard.record import empty_leaves, load
from autocard.record.gaps import PartBuilder
from autocard.settings import Settings
from autocard.trainers import own_code
from autocard.trainers.transformers import observe
from support import models
from support.captured import value_of

SECRET = {"hub_token": "hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def look(seen):
    missing = {}
    part = value_of("training", training.capture, missing, seen)
    assert [path for path in empty_leaves(part, "training") if path not in missing] == []
    return part


def run(folder, made=None, data=None, trainer=None, cls=Trainer, **arguments):
    watch = models.Watch(look)
    host = models.train(
        made or models.bert(),
        data or models.tokens(),
        folder,
        watch,
        cls=cls,
        trainer={"processing_class": models.tokenizer(), **(trainer or {})},
        **arguments,
    )
    return watch.result, host


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    """A run in which much is not at its default."""
    return run(
        tmp_path_factory.mktemp("run"),
        learning_rate=3e-3,
        weight_decay=0.01,
        adam_beta2=0.95,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=2,
        warmup_steps=1,
        lr_scheduler_type="cosine",
        label_smoothing_factor=0.1,
        seed=7,
        run_name="secret-run",
        **SECRET,
    )


def test_what_differs_from_the_library_s_defaults_is_named(ordinary, tmp_path):
    found, _ = ordinary
    plain = TrainingArguments(output_dir=str(tmp_path))

    for name, value in found.hyperparameters.items():
        default = getattr(plain, name)
        default = getattr(default, "value", default)
        assert (name in found.non_default) == (value != default), name


def test_values_are_plain_and_the_ones_given(ordinary):
    found, _ = ordinary

    assert found.hyperparameters["lr_scheduler_type"] == "cosine"
    assert found.hyperparameters["learning_rate"] == 3e-3
    assert found.hyperparameters["max_steps"] == 2
    assert "num_train_epochs" not in found.hyperparameters  # max_steps overrules it
    assert all(type(value) in {str, int, float, bool} for value in found.hyperparameters.values())


def test_no_path_name_or_token_is_among_the_arguments(ordinary):
    found, host = ordinary
    text = found.model_dump_json()

    assert "hf_aaaa" not in text
    assert "secret-run" not in text
    assert host.args.output_dir not in text


def test_the_optimizer_is_told_as_it_is(ordinary):
    found, host = ordinary
    groups = host.optimizer.param_groups

    assert found.optimizer.startswith("AdamW (learning rate 0.003, betas (0.9, 0.95), epsilon 1e-8")
    assert {group["weight_decay"] for group in groups} == {0.01, 0.0}
    assert "weight decay 0.01 (0 for biases and norms)" in found.optimizer


def test_the_schedule_is_told_with_its_warm_up(ordinary):
    assert ordinary[0].scheduler == "cosine with 1 warmup step (of 2 in total)"


def test_the_effective_batch_is_what_one_step_consumes(tmp_path):
    seen_rows = []

    class Counting(Trainer):
        def training_step(self, model, inputs, *args, **kwargs):
            seen_rows.append(len(inputs["input_ids"]))
            return super().training_step(model, inputs, *args, **kwargs)

    found, host = run(
        tmp_path, cls=Counting, gradient_accumulation_steps=2, per_device_train_batch_size=2
    )

    assert found.effective_batch_size == sum(seen_rows) / host.state.global_step == 4


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "steps", "drop"),
    [(10, 64, 4, 3, False), (10, 4, 2, 4, False), (10, 4, 8, 2, True), (12, 2, 1, 8, False)],
)
def test_samples_are_counted_where_steps_are_short(
    tmp_path, rows, batch, accumulation, steps, drop
):
    rows_of_step = []

    class Counting(Trainer):
        def training_step(self, model, inputs, *args, **kwargs):
            rows_of_step.append((self.state.global_step, len(inputs["input_ids"])))
            return super().training_step(model, inputs, *args, **kwargs)

    arguments = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    ours = AutoCardCallback(emissions=False)
    host = models.train(
        models.bert(),
        models.tokens(rows),
        tmp_path,
        ours,
        cls=Counting,
        trainer={"processing_class": models.tokenizer()},
        max_steps=steps,
        dataloader_drop_last=drop,
        **arguments,
    )

    known = load(tmp_path)
    each = [sum(count for at, count in rows_of_step if at == step) for step in range(steps)]
    (summary,) = [entry for entry in host.state.log_history if "train_runtime" in entry]
    assert known.training.effective_batch_size == max(each)
    assert known.time.samples_per_s == pytest.approx(sum(each) / summary["train_runtime"], rel=1e-3)


def test_the_batch_that_was_found_automatically_is_told(tmp_path):
    sizes = []

    class Small(Trainer):
        def training_step(self, model, inputs, *args, **kwargs):
            sizes.append(len(inputs["input_ids"]))
            if sizes[-1] > 6:
                msg = "CUDA out of memory."
                raise RuntimeError(msg)
            return super().training_step(model, inputs, *args, **kwargs)

    found, _ = run(
        tmp_path, cls=Small, per_device_train_batch_size=8, auto_find_batch_size=True, max_steps=1
    )

    assert found.effective_batch_size == sizes[-1] < 8
    assert found.hyperparameters["per_device_train_batch_size"] == sizes[-1]


def test_processes_and_accumulation_multiply_the_batch_and_tensor_parallel_ones_do_not():
    state = SimpleNamespace(train_batch_size=3)
    args = SimpleNamespace(world_size=8, gradient_accumulation_steps=5, parallelism_config=None)
    seen = observe(Settings(), args, state)
    assert training.effective_batch_size(seen) == 3 * 8 * 5

    args.parallelism_config = SimpleNamespace(tp_size=4, cp_size=1)

    assert training.effective_batch_size(seen) == 3 * 2 * 5


def test_a_model_that_was_loaded_in_parts_says_which_processes_have_the_same_samples():
    state = SimpleNamespace(train_batch_size=3)
    args = SimpleNamespace(world_size=8, gradient_accumulation_steps=5, parallelism_config=None)
    split, piped = torch.nn.Linear(1, 1), models.llama()
    split.tp_size = 4
    piped.config.distributed_config = SimpleNamespace(pp_size=2)

    assert training.effective_batch_size(observe(Settings(), args, state, model=split)) == 3 * 2 * 5
    with pytest.raises(UnavailableError, match="pipeline stages"):
        training.effective_batch_size(observe(Settings(), args, state, model=piped))


@pytest.mark.parametrize(
    ("labels", "dtype", "loss"),
    [(2, int, "cross-entropy"), (1, float, "mean squared error"), (2, None, None)],
)
def test_the_classifier_s_loss_is_told_as_its_head_decides(tmp_path, labels, dtype, loss):
    data = models.tokens(8)
    if dtype is None:
        data = data.remove_columns("label").add_column("labels", [[0.0, 1.0]] * 8)
        loss = "binary cross-entropy, several labels"
    elif dtype is float:
        data = data.remove_columns("label").add_column("labels", [0.5] * 8)
    made = models.bert(num_labels=labels)

    found, _ = run(tmp_path, made, data, max_steps=1)

    # The oracle: what the head decided when the first batch came.
    decided = {
        "single_label_classification": "cross-entropy",
        "regression": "mean squared error",
        "multi_label_classification": "binary cross-entropy, several labels",
    }[made.config.problem_type]
    assert decided == loss
    assert found.objective.endswith(f"({loss})") or found.objective == "sequence classification"


def test_objectives_are_told_in_words(tmp_path):
    found, _ = run(
        tmp_path, models.llama(), models.language(), max_steps=1, trainer={"processing_class": None}
    )

    assert found.objective == "causal language modeling (next-token cross-entropy)"


@pytest.mark.parametrize(
    ("name", "words"),
    [("SFTConfig", "supervised fine-tuning"), ("DPOConfig", "preference"), ("GRPOConfig", "GRPO")],
)
def test_trl_s_arguments_tell_the_objective_subclasses_included(tmp_path, name, words):
    trl = pytest.importorskip("trl")
    child = dataclasses.make_dataclass("MyConfig", [], bases=(getattr(trl, name),))

    found = objective.objective(
        observe(Settings(), child(str(tmp_path), use_cpu=True), None, model=models.llama())
    )

    assert words in found


def test_an_optimizer_and_a_schedule_of_one_s_own_are_told_by_class(tmp_path):
    made = models.bert()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.5, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)

    found, _ = run(tmp_path, made, max_steps=1, trainer={"optimizers": (optimizer, schedule)})

    assert found.optimizer == "SGD (learning rate 0.5, weight decay 0, momentum 0.9)"
    assert found.scheduler == "StepLR"


def squared(outputs, *_, **__):
    return (outputs["logits"] ** 2).mean()


class Squared(Trainer):
    """A trainer with a loss of its own."""

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        outputs = model(**inputs)
        mean = squared(outputs)
        return (mean, outputs) if return_outputs else mean


class Scaled(Trainer):
    """A trainer that scales the library's loss."""

    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


@pytest.mark.parametrize(
    ("cls", "given", "where", "smoothing"),
    [
        (Trainer, {"compute_loss_func": squared}, "compute_loss_func", None),
        (Squared, {}, "compute_loss overridden", None),
        (Scaled, {}, "compute_loss overridden, calls the library's", 0.2),
        (Trainer, {}, None, 0.2),
    ],
)
def test_a_loss_of_the_run_s_own_is_not_called_the_library_s(
    tmp_path, cls, given, where, smoothing
):
    ours = AutoCardCallback(emissions=False)
    models.train(
        models.bert(),
        models.tokens(8).rename_column("label", "labels"),
        tmp_path,
        ours,
        cls=cls,
        trainer={"processing_class": models.tokenizer(), **given},
        label_smoothing_factor=0.2,
    )

    found = load(tmp_path).training
    assert found.hyperparameters.get("label_smoothing_factor") == smoothing
    if where is None:
        assert found.objective == "sequence classification (cross-entropy), label smoothing 0.2"
    else:
        kind = "custom loss code" if "calls" in where else "custom loss"
        assert found.objective == f"sequence classification, {kind} ({where})"
        assert "cross-entropy" not in (tmp_path / "README.md").read_text()


def test_the_losses_of_libraries_trainers_are_theirs():
    import sentence_transformers
    import trl

    trainers = [trl.SFTTrainer, trl.DPOTrainer, trl.GRPOTrainer, trl.RewardTrainer]
    trainers += [
        sentence_transformers.SentenceTransformerTrainer,
        sentence_transformers.CrossEncoderTrainer,
    ]
    for cls in (*trainers, transformers.Seq2SeqTrainer):
        assert own_code.own_loss(object.__new__(cls)) is None, cls
    marked = object.__new__(trl.SFTTrainer)
    marked.compute_loss_func = "a text, as TRL's trainers set it"
    assert own_code.own_loss(marked) is None


def test_arguments_that_an_optimizer_of_one_s_own_overrules_are_not_told(tmp_path):
    made = models.bert()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.5, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)

    found, _ = run(tmp_path, made, trainer={"optimizers": (optimizer, schedule)})

    names = {
        "learning_rate",
        "optim",
        "lr_scheduler_type",
        "weight_decay",
        "adam_beta1",
        "adam_epsilon",
    }
    assert not names & (found.hyperparameters.keys() | set(found.non_default))
    assert found.optimizer.startswith("SGD (learning rate 0.5")
    assert found.scheduler == "StepLR"


def test_of_an_optimizer_of_the_same_class_only_what_differs_is_left_out(tmp_path):
    made = models.bert()
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.5, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))

    found, _ = run(tmp_path, made, trainer={"optimizers": (optimizer, schedule)})

    assert "learning_rate" not in found.hyperparameters
    assert "lr_scheduler_type" not in found.hyperparameters
    assert {"optim", "weight_decay", "adam_beta1", "adam_epsilon"} <= found.hyperparameters.keys()
    assert found.scheduler == "custom LambdaLR"


@pytest.mark.expects_failure
def test_one_fact_that_fails_does_not_cost_the_others():
    missing = {}
    args = SimpleNamespace(seed=3)  # no world size, no accumulation

    found = value_of(
        "training",
        training.capture,
        missing,
        observe(Settings(), args, SimpleNamespace(train_batch_size=2), model=None),
    )

    assert found.seed == 3
    assert "gradient_accumulation_steps" in missing["training.effective_batch_size"]


def test_every_argument_on_the_list_belongs_to_some_trainer():
    known = {entry.name for entry in dataclasses.fields(transformers.Seq2SeqTrainingArguments)}
    from sentence_transformers import SentenceTransformerTrainingArguments

    known |= {entry.name for entry in dataclasses.fields(SentenceTransformerTrainingArguments)}
    private = {
        "output_dir",
        "run_name",
        "hub_token",
        "hub_model_id",
        "deepspeed",
        "resume_from_checkpoint",
        "project",
    }

    assert private & set(training.ALLOWED) == set()
    assert len(set(training.ALLOWED) & known) > 45


# -- what runs the layers --------------------------------------------------------------------------


def running(made, tmp_path, **arguments):
    watch = models.Watch(lambda seen: value_of("training", training.capture, {}, seen))
    models.train(made, models.language(), tmp_path, watch, max_steps=1, **arguments)
    return watch.result


def test_gradient_checkpointing_is_told_where_layers_run_a_second_time(tmp_path):
    for asked in (True, False):
        made, calls = models.llama(), []
        made.model.layers[0].self_attn.q_proj.register_forward_hook(
            lambda *_, calls=calls: calls.append(1)
        )

        found = running(made, tmp_path, gradient_checkpointing=asked)

        assert found.gradient_checkpointing is asked
        assert len(calls) == (2 if asked else 1)


def test_the_attention_function_is_the_one_that_works(tmp_path):
    for name in ("sdpa", "eager"):
        made, weights = models.llama(attn_implementation=name), []
        made.model.layers[0].self_attn.register_forward_hook(
            lambda *given, kept=weights: kept.append(given[-1][1])
        )

        found = running(made, tmp_path)

        assert found.attention_implementation == name
        assert (weights[0] is None) == (name == "sdpa")  # only the eager one returns its weights


def test_a_model_without_attention_has_no_attention_function():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 20}
    made = transformers.MambaForCausalLM(transformers.MambaConfig(**sizes))
    assert made.config._attn_implementation  # it has the setting all the same

    part = PartBuilder(dict, "training")
    execution.fill(part, observe(Settings(), SimpleNamespace(), None, model=made), {})
    found, missing = part.fields, part.gaps

    assert "attention_implementation" not in found
    assert "no attention layers" in missing["attention_implementation"]


def test_compiling_is_told_where_a_flag_or_the_model_shows_it(tmp_path):
    assert running(models.llama(), tmp_path).compiled is False
    wrapped = torch.compile(models.llama(), backend="eager")
    assert running(wrapped, tmp_path, remove_unused_columns=False).compiled is True
    in_place = models.llama()
    in_place.compile(backend="eager")
    assert running(in_place, tmp_path).compiled is True


def test_kernels_are_known_by_the_package_of_layers_and_forward_functions():
    layer = torch.nn.Linear(2, 2)
    foreign = type(
        "LigerRMSNorm", (torch.nn.Linear,), {"__module__": "liger_kernel.transformers.rms_norm"}
    )

    def forward(_, x):
        return x

    forward.__module__ = "liger_kernel.transformers.swiglu"
    layer.forward = MethodType(forward, layer)
    for made in (torch.nn.Sequential(layer), torch.nn.Sequential(foreign(2, 2))):
        assert execution._kernels(
            observe(Settings(), None, None, model=made), list(made.modules())
        ) == ["liger-kernel"]
    plain = models.llama()
    assert (
        execution._kernels(observe(Settings(), None, None, model=plain), list(plain.modules()))
        == []
    )
