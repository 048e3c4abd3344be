"""The training regime, against what forward hooks and the optimizer's state show: real runs, one for each way there."""

from collections import Counter
from types import SimpleNamespace

import models
import pytest
import torch

from autocard.capture import Seen, precision
from autocard.errors import UnavailableError
from autocard.record import empty_leaves
from autocard.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*autocast.*:UserWarning")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders with the same weights in three formats."""
    folder = tmp_path_factory.mktemp("formats")
    return {
        name: models.save(models.llama(), folder / name, getattr(torch, name))
        for name in ("float32", "float16", "bfloat16")
    }


class Oracle:
    """Sees formats where they happen: what a layer puts out, and what the optimizer keeps."""

    def __init__(self, made):
        self.outputs, self.trainable, self.states = Counter(), Counter(), Counter()
        for name, module in made.named_modules():
            if name.endswith("mlp.up_proj"):  # a matrix product that no adapter of these tests touches
                module.register_forward_hook(lambda _, __, out: self.outputs.update([str(out.dtype)]))

    def after(self, trainer):
        for group in trainer.optimizer.param_groups:
            for tensor in group["params"]:
                self.trainable[str(tensor.dtype)] += tensor.numel()
                for value in trainer.optimizer.state[tensor].values():
                    if torch.is_tensor(value) and value.dim():
                        self.states[str(value.dtype)] += value.numel()

    def term(self):
        """The words of the Hub's template, from what was seen: formats of weights, state and products."""
        products, weights = most(self.outputs), most(self.trainable)
        assert most(self.states) == weights  # a mixed regime is one whose optimizer works in the weights' own format
        short = {"torch.float16": "fp16", "torch.bfloat16": "bf16", "torch.float32": "fp32"}
        if products == weights == "torch.float32":
            return "fp32"
        return f"{short[products]} {'non-mixed' if products == weights else 'mixed'} precision"


def most(counter):
    return counter.most_common(1)[0][0]


def run(made, tmp_path, **arguments):
    """Train for real; return (what was captured when training began, what the oracle saw)."""
    oracle, missing = Oracle(made), {}
    watch = models.Watch(lambda seen: precision.capture(seen, missing))
    trainer = models.train(made, models.language(), tmp_path, watch, max_steps=1, **arguments)
    oracle.after(trainer)
    assert [path for path in empty_leaves(watch.result, "precision") if path not in missing] == []
    return watch.result, oracle


WAYS = {
    "fp32 weights, no flags": ("float32", None, {}, "fp32"),
    "fp32 weights, bf16 flag": ("float32", None, {"bf16": True}, "bf16 mixed precision"),
    "fp32 weights, fp16 flag on a CPU": ("float32", None, {"fp16": True}, "fp32"),
    "fp32 weights, bf16_full_eval": ("float32", None, {"bf16_full_eval": True}, "fp32"),
    "bf16 weights, no flags": ("bfloat16", None, {}, "bf16 non-mixed precision"),
    "bf16 weights, bf16 flag": ("bfloat16", None, {"bf16": True}, "bf16 non-mixed precision"),
    "fp16 weights, no flags": ("float16", None, {}, "fp16 non-mixed precision"),
    "LoRA over fp32": ("float32", {}, {}, "fp32"),
    "LoRA over fp32, bf16 flag": ("float32", {}, {"bf16": True}, "bf16 mixed precision"),
    "LoRA over bf16": ("bfloat16", {}, {}, "bf16 mixed precision"),
    "LoRA over bf16, bf16 flag": ("bfloat16", {}, {"bf16": True}, "bf16 mixed precision"),
    "LoRA over fp16": ("float16", {}, {}, "fp16 mixed precision"),
    "LoRA in bf16 over bf16": ("bfloat16", {"autocast_adapter_dtype": False}, {}, "bf16 non-mixed precision"),
    "fp32 weights, gradient checkpointing and bf16": (
        "float32",
        None,
        {"bf16": True, "gradient_checkpointing": True},
        "bf16 mixed precision",
    ),
}


@pytest.mark.parametrize(("weights", "adapter", "arguments", "expected"), WAYS.values(), ids=WAYS)
def test_the_regime_is_what_hooks_and_optimizer_show(saved, tmp_path, weights, adapter, arguments, expected):
    made = models.load("AutoModelForCausalLM", saved[weights])
    if adapter is not None:
        made = lora(made, **adapter)

    found, oracle = run(made, tmp_path, **arguments)

    assert found.regime == oracle.term() == expected
    assert f"torch.{found.compute_dtype}" == most(oracle.outputs)
    assert f"torch.{found.trainable_dtype}" == most(oracle.trainable)


def lora(made, autocast_adapter_dtype=True):
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
    return get_peft_model(made, settings, autocast_adapter_dtype=autocast_adapter_dtype)


def test_the_launcher_s_variable_puts_training_into_bf16_without_a_flag(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")

    found, oracle = run(models.load("AutoModelForCausalLM", saved["float32"]), tmp_path)

    assert found.regime == oracle.term() == "bf16 mixed precision"


def test_a_flag_is_stronger_than_the_launcher_s_variable(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")

    found, oracle = run(models.load("AutoModelForCausalLM", saved["float32"]), tmp_path, bf16=True)

    assert found.regime == oracle.term() == "bf16 mixed precision"


def test_a_model_that_an_earlier_trainer_left_in_autocast_is_told_as_it_runs(saved, tmp_path):
    made = models.load("AutoModelForCausalLM", saved["float32"])
    run(made, tmp_path, bf16=True)

    found, oracle = run(made, tmp_path)

    assert found.regime == oracle.term() == "bf16 mixed precision"


def test_a_second_trainer_s_settings_do_not_change_what_the_first_is_told(saved, tmp_path):
    made = models.load("AutoModelForCausalLM", saved["float32"])
    watch = models.Watch(lambda seen: precision.capture(seen, {}))
    first = models.Trainer(
        model=made,
        args=models.arguments(tmp_path, max_steps=1, bf16=True),
        train_dataset=models.language(),
        callbacks=[watch],
    )
    # A second trainer resets accelerate's one state of the process.
    models.Trainer(model=models.llama(), args=models.arguments(tmp_path / "other"), train_dataset=models.language())

    first.train()

    assert watch.result.regime == "bf16 mixed precision"


def test_a_compiled_model_is_told_like_the_one_inside(saved, tmp_path):
    made = torch.compile(models.load("AutoModelForCausalLM", saved["float32"]), backend="eager")
    missing = {}
    watch = models.Watch(lambda seen: precision.capture(seen, missing))

    models.train(made, models.language(), tmp_path, watch, max_steps=1, bf16=True, remove_unused_columns=False)

    assert watch.result.regime == "bf16 mixed precision"


def test_half_of_the_trainable_parameters_in_another_format_is_noted(saved):
    made = models.load("AutoModelForCausalLM", saved["bfloat16"])
    made.lm_head.to(torch.float32)

    found = precision.capture(Seen(Settings(), SimpleNamespace(), None, model=made), {})

    assert found.regime == "bf16 non-mixed precision"
    assert "float32" in found.note


def test_notes_say_what_the_term_does_not(saved):
    seen = Seen(Settings(), SimpleNamespace(), None, model=lora(models.load("AutoModelForCausalLM", saved["bfloat16"])))

    found = precision.capture(seen, {})

    assert found.note == "frozen base in bf16, trainable parameters in fp32, no autocast"
    assert (found.weights_dtype, found.trainable_dtype) == ("bfloat16", "float32")


# -- what cannot run here is read from real configuration objects ------------------------------------------------


@pytest.mark.parametrize(
    ("config", "arguments", "expected"),
    [
        ({"bf16": {"enabled": True}}, {}, "bf16 mixed precision"),
        ({"fp16": {"enabled": True}}, {}, "fp16 mixed precision"),
        ({"bf16": {"enabled": "auto"}}, {"bf16": False, "bf16_full_eval": True}, "bf16 mixed precision"),
        ({"bf16": {"enabled": False}}, {}, "fp32"),
        ({}, {}, "fp32"),
    ],
)
def test_under_deepspeed_its_own_configuration_decides(config, arguments, expected):
    plugin = SimpleNamespace(deepspeed_config=config)
    args = SimpleNamespace(deepspeed="zero.json", deepspeed_plugin=plugin, mixed_precision="no", **arguments)

    found = precision.capture(Seen(Settings(), args, None, model=models.llama()), {})

    assert found.regime == expected


def test_deepspeed_s_half_weights_have_float32_masters(saved):
    made = models.load("AutoModelForCausalLM", saved["bfloat16"])
    plugin = SimpleNamespace(deepspeed_config={"bf16": {"enabled": True}})

    found = precision.capture(Seen(Settings(), SimpleNamespace(deepspeed_plugin=plugin), None, model=made), {})

    assert found.regime == "bf16 mixed precision"


def test_layers_of_fp8_are_seen():
    class Float8Linear(torch.nn.Linear):
        """torchao's class is told by its name."""

    made = torch.nn.Sequential(Float8Linear(4, 4))

    found = precision.capture(Seen(Settings(), SimpleNamespace(mixed_precision="fp8"), None, model=made), {})

    assert found.regime == "fp8 mixed precision"


def test_fp8_that_was_asked_for_and_not_given_is_not_told():
    found = precision.capture(Seen(Settings(), SimpleNamespace(mixed_precision="fp8"), None, model=models.llama()), {})

    assert found.regime == "fp32"


@pytest.mark.parametrize("as_object", [True, False])
def test_a_four_bit_base_is_told_from_an_object_and_from_a_dictionary(as_object):
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    made = models.llama()
    made.config.quantization_config = settings if as_object else settings.to_dict()

    found = precision.capture(Seen(Settings(), SimpleNamespace(), None, model=made), {})

    assert found.quantization == {
        "method": "bitsandbytes",
        "bits": 4,
        "type": "nf4",
        "compute_dtype": "bfloat16",
        "double_quantization": True,
        "storage_dtype": "uint8",
    }
    assert found.compute_dtype == "bfloat16"


def test_an_eight_bit_base_does_not_tell_four_bit_settings():
    from transformers import BitsAndBytesConfig

    made = models.llama()
    made.config.quantization_config = BitsAndBytesConfig(load_in_8bit=True)

    found = precision.capture(Seen(Settings(), SimpleNamespace(), None, model=made), {})

    assert found.quantization == {"method": "bitsandbytes", "bits": 8}


def test_a_gptq_base_tells_bits_and_groups():
    made = models.llama()
    made.config.quantization_config = {"quant_method": "gptq", "bits": 4, "group_size": 128, "dataset": "/home/a/c4"}

    found = precision.capture(Seen(Settings(), SimpleNamespace(), None, model=made), {})

    assert found.quantization == {"method": "gptq", "bits": 4, "group_size": 128}


def test_formats_that_the_template_has_no_term_for_get_none():
    missing = {}

    found = precision.capture(Seen(Settings(), SimpleNamespace(), None, model=models.llama().double()), missing)

    assert found.regime is None
    assert "float64" in missing["precision.regime"]


def test_a_model_in_which_nothing_is_trained_has_no_regime():
    made = models.llama().requires_grad_(False)

    with pytest.raises(UnavailableError):
        precision.term(precision.count_formats(made), None)


@pytest.mark.parametrize(("allowed", "expected"), [(True, True), (False, False)])
def test_tf32_is_read_where_a_gpu_trains(allowed, expected):
    before = torch.backends.cuda.matmul.allow_tf32
    args = SimpleNamespace(device=torch.device("cuda"))
    try:
        torch.backends.cuda.matmul.allow_tf32 = allowed

        found = precision.capture(Seen(Settings(), args, None, model=models.llama()), {})
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before

    assert found.tf32 is expected


def test_tf32_says_nothing_on_a_cpu():
    missing = {}
    args = SimpleNamespace(device=torch.device("cpu"))

    found = precision.capture(Seen(Settings(), args, None, model=models.llama()), missing)

    assert found.tf32 is None
    assert "GPU" in missing["precision.tf32"]
