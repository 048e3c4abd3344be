"""How it was trained: the arguments that shape the weights, optimizer, schedule, objective.

An allow-list: paths, names, addresses and tokens in the arguments are not looked at. Values are those that were really
used, where they differ from those that were asked for (`auto_find_batch_size`).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from autocard import units
from autocard.capture import Seen, execution, steps
from autocard.capture.heads import head_of
from autocard.capture.overruled import inside, overruled, own_schedule
from autocard.capture.unwrap import config_of, without_wrappers
from autocard.errors import UnavailableError
from autocard.guard import guard
from autocard.record import BatchUnit, Scalar, Training

_ALLOWED = """
per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps auto_find_batch_size
num_train_epochs max_steps learning_rate lr_scheduler_type lr_scheduler_kwargs warmup_steps warmup_ratio
optim optim_args weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm label_smoothing_factor
neftune_noise_alpha average_tokens_across_devices bf16 fp16 tf32 gradient_checkpointing torch_compile
torch_compile_backend torch_compile_mode use_liger_kernel eval_strategy eval_steps eval_on_start
save_strategy save_steps load_best_model_at_end metric_for_best_model greater_is_better seed data_seed
full_determinism dataloader_drop_last dataloader_num_workers train_sampling_strategy group_by_length
remove_unused_columns ddp_backend fsdp
max_length max_prompt_length max_completion_length max_seq_length packing packing_strategy padding_free
completion_only_loss assistant_only_loss loss_type beta label_smoothing precompute_ref_log_probs
sync_ref_model ref_model_mixup_alpha num_generations temperature top_p top_k epsilon epsilon_high
num_iterations steps_per_generation generation_batch_size
scale_rewards use_vllm desirable_weight undesirable_weight center_rewards_coefficient
disable_dropout
batch_sampler multi_dataset_batch_sampler
predict_with_generate generation_max_length generation_num_beams
"""
ALLOWED = tuple(_ALLOWED.split())
"""Arguments that may be told: numbers, flags and words out of a library's own choice."""

_OBJECTIVES = {
    "SFTConfig": "supervised fine-tuning (next-token cross-entropy)",
    "DPOConfig": "direct preference optimisation (DPO)",
    "GRPOConfig": "group relative policy optimisation (GRPO)",
    "RLOOConfig": "REINFORCE leave-one-out (RLOO)",
    "PPOConfig": "proximal policy optimisation (PPO)",
    "KTOConfig": "Kahneman-Tversky optimisation (KTO)",
    "ORPOConfig": "odds-ratio preference optimisation (ORPO)",
    "CPOConfig": "contrastive preference optimisation (CPO)",
    "BCOConfig": "binary classifier optimisation (BCO)",
    "OnlineDPOConfig": "online direct preference optimisation",
    "NashMDConfig": "Nash mirror descent",
    "XPOConfig": "exploratory preference optimisation (XPO)",
    "GKDConfig": "generalised knowledge distillation (GKD)",
    "RewardConfig": "reward modelling (pairwise preferences)",
    "PRMConfig": "process reward modelling",
}
"""Class of TRL's arguments → objective; subclasses (OnlineDPO's, GKD's) are told by the first that fits."""

_LOSSES = {
    "single_label_classification": "cross-entropy",
    "multi_label_classification": "binary cross-entropy, several labels",
    "regression": "mean squared error",
}
_BY_TASK = {
    "causal language modelling": "causal language modelling (next-token cross-entropy)",
    "masked language modelling": "masked language modelling (cross-entropy)",
    "token classification": "token classification (cross-entropy)",
    "sequence-to-sequence generation": "sequence-to-sequence generation (cross-entropy)",
}
_SETTINGS = ("lr", "betas", "eps", "weight_decay", "momentum", "nesterov", "amsgrad", "alpha", "centered")
_OPTIMIZER_WORDS = {"lr": "learning rate", "eps": "epsilon", "weight_decay": "weight decay"}


def capture(seen: Seen, missing: dict[str, str]) -> Training:
    """Return how training was set up when it begins."""
    facts: dict[str, Any] = {}
    with guard("training.hyperparameters", missing):
        facts["hyperparameters"], facts["non_default"] = _hyperparameters(seen)
    with guard("training.optimizer", missing):
        facts["optimizer"] = _optimizer(seen)
    with guard("training.scheduler", missing):
        facts["scheduler"] = _scheduler(seen)
    with guard("training.effective_batch_size", missing):
        facts["effective_batch_size"] = effective_batch_size(seen)
    facts["batch_unit"] = batch_unit(seen)
    facts["batch_detail"] = generation(seen, facts.get("effective_batch_size"))
    with guard("training.seed", missing):
        facts["seed"] = int(seen.args.seed)
    with guard("training.objective", missing):
        facts["objective"] = _objective(seen)
    facts.update(execution.facts(seen, missing))
    return Training(**facts)


def effective_batch_size(seen: Seen) -> int:
    """Return the samples of one optimizer step: of a process × processes that see different data × accumulation.

    Where an epoch has fewer samples, each step takes all of them.

    Raises:
        UnavailableError: batches are not of one size.
    """
    return steps.plan(seen).effective_batch_size


def batch_unit(seen: Seen) -> BatchUnit:
    """Return what the batch size counts."""
    if steps.is_online(seen.args):
        return "completions"
    return "packed sequences" if getattr(seen.args, "packing", None) is True else "samples"


def generation(seen: Seen, completions: int | None) -> str:
    """Return how the *completions* of an optimizer step were generated, in words; empty: they were not.

    TRL generates a batch of completions for several steps at once, and may use each of them several times.
    """
    args = seen.args
    per_prompt, at_once = getattr(args, "num_generations", None), getattr(args, "generation_batch_size", None)
    if not steps.is_online(args) or not isinstance(at_once, int) or not per_prompt or not completions:
        return ""
    whole_batches = completions % at_once == 0
    generated = completions if whole_batches else at_once
    words = f"{units.plural(generated // per_prompt, 'prompt')} × {units.plural(per_prompt, 'generation')}"
    if not whole_batches:
        words = f"from generation batches of {units.count(at_once)}: {words}"
    uses = int(getattr(args, "num_iterations", 1) or 1)
    return f"{words}, each used in {units.plural(uses, 'iteration')}" if uses > 1 else words


def _plain(value: Any) -> Scalar:
    """Return *value* as a plain one; enums become their values, empty containers None."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, Mapping):
        pairs = [f"{key}={value[key]}" for key in value if isinstance(value[key], str | int | float | bool)]
        return ", ".join(pairs) or None
    if isinstance(value, list | tuple | set):
        return " ".join(str(_plain(item)) for item in value) or None
    return value if isinstance(value, str | int | float | bool) else None


def _hyperparameters(seen: Seen) -> tuple[dict[str, Scalar], list[str]]:
    """Return (argument → value, those that are not at their default)."""
    values: dict[str, Scalar] = {}
    changed = []
    defaults = _defaults(seen.args)
    for name in ALLOWED:
        value = _plain(getattr(seen.args, name, None))
        if name == "per_device_train_batch_size":
            value = steps.device_batch_size(seen)
        if value is None or value == "" or _has_no_effect(name, seen.args) or overruled(name, seen):
            continue
        values[name] = value
        if name in defaults and not _same(value, defaults[name]):
            changed.append(name)
    return values, changed


def _has_no_effect(name: str, args: Any) -> bool:
    """Return whether another argument overrules *name*, so that telling it would mislead."""
    if name in {"num_train_epochs", "max_steps"}:
        steps_rule = int(getattr(args, "max_steps", -1) or -1) > 0
        return steps_rule if name == "num_train_epochs" else not steps_rule
    strategy = {"eval_steps": "eval_strategy", "save_steps": "save_strategy"}.get(name)
    if strategy is not None:
        return _plain(getattr(args, strategy, None)) != "steps"
    if name.startswith("torch_compile_"):
        return not getattr(args, "torch_compile", False)
    return name == "greater_is_better" and getattr(args, "metric_for_best_model", None) is None


def _defaults(args: Any) -> dict[str, Scalar]:
    """Return the default of every field of the arguments' class, as a plain value."""
    if not dataclasses.is_dataclass(args):
        return {}
    found = {}
    for entry in dataclasses.fields(args):
        default = entry.default
        if default is dataclasses.MISSING:
            default = entry.default_factory() if entry.default_factory is not dataclasses.MISSING else None
        found[entry.name] = _plain(default)
    return found


def _same(value: Scalar, default: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(default, bool):
        return bool(value) == bool(default)
    return value == default


def _optimizer(seen: Seen) -> str:
    """Return the optimizer's class and settings; of parameter groups that differ, every value."""
    inner = inside(seen.optimizer, "optimizer")
    groups = getattr(inner, "param_groups", None)
    if inner is None or not groups:
        msg = "the trainer showed no optimizer when training began"
        raise UnavailableError(msg)
    words = []
    for name in _SETTINGS:
        # A schedule has already changed `lr` to that of the first step; `initial_lr` is what was asked for.
        values = [group.get("initial_lr", group.get(name)) if name == "lr" else group.get(name) for group in groups]
        values = list(dict.fromkeys(_number(value) for value in values if value is not None and value is not False))
        if values:
            words.append(f"{_OPTIMIZER_WORDS.get(name, name)} {' / '.join(values)}")
    return f"{type(inner).__name__} ({', '.join(words)})" if words else type(inner).__name__


def _number(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(_number(item) for item in value)})"
    if hasattr(value, "item"):
        value = value.item()
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _scheduler(seen: Seen) -> str:
    if seen.lr_scheduler is None:
        msg = "the trainer showed no schedule when training began"
        raise UnavailableError(msg)
    kind = _plain(getattr(seen.args, "lr_scheduler_type", None))
    made = type(inside(seen.lr_scheduler, "scheduler")).__name__
    if own_schedule(seen):
        return f"{made} of the run's own" if made == "LambdaLR" else made
    # transformers makes its schedules as LambdaLR; any other class was given by the user or named by the argument.
    name = str(kind) if made == "LambdaLR" and kind else made
    warmup = _warmup_steps(seen)
    return f"{name}, {warmup} warm-up steps of {int(seen.state.max_steps)}" if warmup else name


def _warmup_steps(seen: Seen) -> int:
    planned = int(seen.state.max_steps)
    if hasattr(seen.args, "get_warmup_steps"):
        return int(seen.args.get_warmup_steps(planned))
    return int(getattr(seen.args, "warmup_steps", 0) or 0)


def _objective(seen: Seen) -> str:
    """Return task and loss, of the library's code or the run's own."""
    if seen.own_loss is None:
        return _library_objective(seen)
    head = head_of(seen.model, without_wrappers(seen.model))
    task = f"{_task(seen, head.task)}, " if head is not None else ""
    return f"{task}with a loss that the run's own code works out ({seen.own_loss.where})"


def _task(seen: Seen, task: str) -> str:
    """Return what the head does; of a classifier that predicts numbers, that it does."""
    regression = task == "sequence classification" and _problem_type(seen) == "regression"
    return "sequence regression" if regression else task


def _library_objective(seen: Seen) -> str:
    names = [cls.__name__ for cls in type(seen.args).__mro__]
    for name in names:
        if name in _OBJECTIVES:
            return _OBJECTIVES[name]
    whole = without_wrappers(seen.model)
    head = head_of(seen.model, whole)
    if head is None:
        msg = "the model's class is not one whose loss is known, and callbacks do not see the loss function"
        raise UnavailableError(msg)
    smoothing = getattr(seen.args, "label_smoothing_factor", 0) or 0
    words = _BY_TASK.get(head.task, head.task)
    if head.task == "sequence classification":
        problem = _problem_type(seen)
        words = _task(seen, head.task)
        words += f" ({_LOSSES[problem]})" if problem in _LOSSES else ""
    return f"{words}, label smoothing {smoothing:g}" if smoothing else words


def _problem_type(seen: Seen) -> str | None:
    """Return what the classification head will take its labels for; it decides at the first batch, by their type."""
    config = config_of(seen.model)
    decided = getattr(config, "problem_type", None)
    if decided is not None:
        return str(decided)
    if getattr(config, "num_labels", None) == 1:
        return "regression"
    features = getattr(getattr(seen.train_dataloader, "dataset", None), "features", None) or {}
    label = next((features[name] for name in ("labels", "label") if name in features), None)
    kind = str(getattr(label, "dtype", ""))
    return "single_label_classification" if kind.startswith(("int", "uint")) else None
