"""How it was trained: the arguments that shape the weights, optimizer, schedule, objective.

An allow-list: paths, names, addresses and tokens in the arguments are not looked at. Values are
those that were really used, where they differ from those that were asked for
(`auto_find_batch_size`).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

from autocard import units
from autocard.capture.observed import Observed
from autocard.capture.training import (
    consumed_samples,
    execution,
    objective,
    optimizer,
    schedule,
)
from autocard.capture.training.effective_args import overruled
from autocard.record import BatchUnit, Scalar, Training
from autocard.record.gaps import Part, PartBuilder

_ALLOWED = """
per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps
auto_find_batch_size num_train_epochs max_steps learning_rate lr_scheduler_type
lr_scheduler_kwargs warmup_steps warmup_ratio optim optim_args weight_decay adam_beta1 adam_beta2
adam_epsilon max_grad_norm label_smoothing_factor neftune_noise_alpha
average_tokens_across_devices bf16 fp16 tf32 gradient_checkpointing torch_compile
torch_compile_backend torch_compile_mode use_liger_kernel eval_strategy eval_steps eval_on_start
save_strategy save_steps load_best_model_at_end metric_for_best_model greater_is_better seed
data_seed full_determinism dataloader_drop_last dataloader_num_workers train_sampling_strategy
group_by_length remove_unused_columns ddp_backend fsdp max_length max_prompt_length
max_completion_length max_seq_length packing packing_strategy padding_free completion_only_loss
assistant_only_loss loss_type beta label_smoothing precompute_ref_log_probs sync_ref_model
ref_model_mixup_alpha num_generations temperature top_p top_k epsilon epsilon_high num_iterations
steps_per_generation generation_batch_size scale_rewards use_vllm desirable_weight
undesirable_weight center_rewards_coefficient disable_dropout loss_weights f_divergence_type
ld_alpha use_weighting cpo_alpha simpo_gamma rpo_alpha discopop_tau reward_weights
importance_sampling_level mask_truncated_completions delta entropy_coef top_entropy_quantile
router_aux_loss_coef optim_target_modules batch_sampler multi_dataset_batch_sampler
predict_with_generate generation_max_length generation_num_beams
"""
ALLOWED = tuple(_ALLOWED.split())
"""Arguments that may be told: numbers, flags and words out of a library's own choice."""


_SWITCHES = {
    "generation_max_length": "predict_with_generate",
    "generation_num_beams": "predict_with_generate",
    "ref_model_mixup_alpha": "sync_ref_model",
    "packing_strategy": "packing",
}
"""Argument → the one that has to be on for it to have an effect."""


def capture(observed: Observed) -> Part[Training]:
    """Return how training was set up when it begins."""
    part = PartBuilder(Training, "training")
    with part.guard("hyperparameters"):
        values, changed = _hyperparameters(observed)
        part.fields.update(hyperparameters=values, non_default=changed)
    with part.guard("optimizer"):
        part.fields["optimizer"] = optimizer.in_words(observed)
    with part.guard("scheduler"):
        part.fields["scheduler"] = schedule.in_words(observed)
    with part.guard("effective_batch_size"):
        part.fields["effective_batch_size"] = effective_batch_size(observed)
    part.fields["batch_unit"] = batch_unit(observed)
    part.fields["batch_detail"] = generation(observed, part.fields.get("effective_batch_size"))
    with part.guard("seed"):
        part.fields["seed"] = int(observed.argument("seed"))
    with part.guard("objective"):
        part.fields["objective"] = objective.objective(observed)
    _fill_losses_summed(part, observed)
    with part.guard("purpose"):
        part.fields["purpose"] = objective.purpose(observed)
    with part.guard("reward_functions"):
        part.fields["reward_functions"] = observed.trainer.reward_functions()
    execution.fill(part, observed)
    return part.build()


def _fill_losses_summed(part: PartBuilder[Training], observed: Observed) -> None:
    """Fill in over how many batches each logged loss is a sum."""
    found = None
    with part.guard("losses_summed"):
        found = observed.trainer.batches_summed(observed)
        if found is None:
            part.gaps["losses_summed"] = "the logged losses are means, or not known to be sums"
    part.fields["losses_summed"] = None if found is None else found.usual
    part.put(
        "losses_summed_last",
        None if found is None else found.last,
        "losses are not sums, or each is one over the same number of batches",
    )


@dataclasses.dataclass(frozen=True)
class Shown:
    """What the optimizer steps have shown of the settings."""

    learning_rates: Mapping[str, float]
    changed: Sequence[str] = ()
    """Settings that code of the run changed between steps, in words."""
    rates_changed: bool = False
    """Whether learning rates other than the schedule's are among them."""
    batches_changed: bool = False
    """Whether the number of batches of an optimizer step is among them."""


def at_end(begun: Training, observed: Observed, shown: Shown) -> Part[Training]:
    """Return *begun* with what the steps have shown: learning rates, the first batch's loss."""

    def completed(**fields: Any) -> Training:
        return begun.model_copy(update=fields)

    part, rates = PartBuilder(completed, "training"), shown.learning_rates
    part.fields.update(learning_rates=dict(rates), changed=list(shown.changed))
    with part.guard("objective"):
        part.fields["objective"] = objective.objective(observed)
    if observed.trainer.found:
        _fill_losses_summed(part, observed)
    if observed.lr_scheduler is not None:
        with part.guard("scheduler"):
            part.fields["scheduler"] = schedule.in_words(observed, rates)
    if shown.rates_changed:
        read = ", ".join(
            f"{units.setting(rate, units.MEASURED)} at step {step}" for step, rate in rates.items()
        )
        words = f"changed by custom code (learning rate {read})"
        part.fields["scheduler"] = words
    if shown.batches_changed:
        _leave_out_batches(part, begun)
    return part.build()


def _leave_out_batches(part: PartBuilder[Training], begun: Training) -> None:
    """Leave out what depends on the accumulation, which was changed during training."""
    settings = dict(begun.hyperparameters)
    settings.pop("gradient_accumulation_steps", None)
    part.fields.update(hyperparameters=settings, batch_detail="")
    reason = "gradient_accumulation_steps was changed during training"
    part.put("effective_batch_size", None, reason)
    part.put("losses_summed", None, reason)


def effective_batch_size(observed: Observed) -> int:
    """Return the samples of one optimizer step, over all processes with different data.

    Where an epoch has fewer samples, each step takes all of them.

    Raises:
        UnavailableError: batches are not of one size.
    """
    return consumed_samples.plan(observed).effective_batch_size


def batch_unit(observed: Observed) -> BatchUnit:
    """Return what the batch size counts."""
    if consumed_samples.is_online(observed):
        return "completions"
    return "packed sequences" if observed.arguments.get("packing") is True else "samples"


def generation(observed: Observed, completions: int | None) -> str:
    """Describe how the *completions* of an optimizer step were generated; "": they were not.

    TRL generates a batch of completions for several steps at once, and may use each of them several
    times.
    """
    arguments = observed.arguments
    per_prompt, at_once = (
        arguments.get("num_generations"),
        arguments.get("generation_batch_size"),
    )
    if (
        not consumed_samples.is_online(observed)
        or not isinstance(at_once, int)
        or not per_prompt
        or not completions
    ):
        return ""
    whole_batches = completions % at_once == 0
    generated = completions if whole_batches else at_once
    prompts = units.plural(generated // per_prompt, "prompt")
    words = f"{prompts} × {units.plural(per_prompt, 'generation')}"
    if not whole_batches:
        words = f"from generation batches of {units.count(at_once)}: {words}"
    uses = int(arguments.get("num_iterations", 1) or 1)
    return f"{words}, each used in {units.plural(uses, 'iteration')}" if uses > 1 else words


def _plain(value: Any) -> Scalar:
    """Return *value* as a plain one; enums become their values, empty containers None."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, Mapping):
        pairs = [
            f"{key}={value[key]}"
            for key in value
            if isinstance(value[key], str | int | float | bool)
        ]
        return ", ".join(pairs) or None
    if isinstance(value, list | tuple | set):
        return " ".join(str(_plain(item)) for item in value) or None
    return value if isinstance(value, str | int | float | bool) else None


def _hyperparameters(observed: Observed) -> tuple[dict[str, Scalar], list[str]]:
    """Return (argument → value, those that are not at their default)."""
    values: dict[str, Scalar] = {}
    changed = []
    defaults = observed.trainer.defaults()
    for name in ALLOWED:
        value = _plain(observed.arguments.get(name))
        if name == "per_device_train_batch_size":
            value = consumed_samples.device_batch_size(observed)
        if (
            value is None
            or value == ""
            or _has_no_effect(name, observed.arguments)
            or overruled(name, observed)
        ):
            continue
        if name in defaults and not _same(value, _plain(defaults[name])):
            if not observed.arguments.get(_SWITCHES.get(name, ""), True):
                continue
            changed.append(name)
        values[name] = value
    return values, changed


def _has_no_effect(name: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether another argument overrules *name*, so that telling it would mislead."""
    if name in {"num_train_epochs", "max_steps"}:
        steps_rule = int(arguments.get("max_steps", -1) or -1) > 0
        return steps_rule if name == "num_train_epochs" else not steps_rule
    strategy = {"eval_steps": "eval_strategy", "save_steps": "save_strategy"}.get(name)
    if strategy is not None:
        return _plain(arguments.get(strategy)) != "steps"
    if name.startswith("torch_compile_"):
        return not arguments.get("torch_compile", False)
    return name == "greater_is_better" and arguments.get("metric_for_best_model") is None


def _same(value: Scalar, default: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(default, bool):
        return bool(value) == bool(default)
    return value == default
