"""The training regime, against what forward hooks and the optimizer's state show: real runs, one for each way there."""

from types import SimpleNamespace

import pytest
import torch

from autocard.capture.training import precision
from autocard.errors import UnavailableError
from autocard.record import empty_leaves
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import models
from support.captured import value_of
from support.formats import Oracle

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*autocast.*:UserWarning")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders with the same weights in three formats."""
    folder = tmp_path_factory.mktemp("formats")
    return {
        name: models.save(models.llama(), folder / name, getattr(torch, name))
        for name in ("float32", "float16", "bfloat16")
    }


def run(made, tmp_path, **arguments):
    """Train for real; return (what was captured when training began, what the oracle saw)."""
    oracle, missing = Oracle(made), {}
    watch = models.Watch(lambda seen: value_of("precision", precision.capture, missing, seen))
    trainer = models.train(made, models.language(), tmp_path, watch, max_steps=1, **arguments)
    oracle.after(trainer.optimizer)
    assert [path for path in empty_leaves(watch.result, "precision") if path not in missing] == []
    return watch.result, oracle


def lora(made):
    from peft import LoraConfig, get_peft_model

    return get_peft_model(made, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))


def test_a_model_that_an_earlier_trainer_left_in_autocast_is_told_as_it_runs(saved, tmp_path):
    made = models.load("AutoModelForCausalLM", saved["float32"])
    run(made, tmp_path, bf16=True)

    found, oracle = run(made, tmp_path)

    assert found.regime == oracle.term() == "bf16 mixed precision"


def test_a_second_trainer_s_settings_do_not_change_what_the_first_is_told(saved, tmp_path):
    made = models.load("AutoModelForCausalLM", saved["float32"])
    watch = models.Watch(lambda seen: value_of("precision", precision.capture, {}, seen))
    first = models.Trainer(
        model=made,
        args=models.arguments(tmp_path, max_steps=1, bf16=True),
        train_dataset=models.language(),
        callbacks=[watch],
    )
    # A second trainer resets accelerate's one state of the process.
    models.Trainer(
        model=models.llama(),
        args=models.arguments(tmp_path / "other"),
        train_dataset=models.language(),
    )

    first.train()

    assert watch.result.regime == "bf16 mixed precision"


def test_a_compiled_model_is_told_like_the_one_inside(saved, tmp_path):
    made = torch.compile(models.load("AutoModelForCausalLM", saved["float32"]), backend="eager")
    missing = {}
    watch = models.Watch(lambda seen: value_of("precision", precision.capture, missing, seen))

    models.train(
        made,
        models.language(),
        tmp_path,
        watch,
        max_steps=1,
        bf16=True,
        remove_unused_columns=False,
    )

    assert watch.result.regime == "bf16 mixed precision"


def test_half_of_the_trainable_parameters_in_another_format_is_noted(saved):
    made = models.load("AutoModelForCausalLM", saved["bfloat16"])
    made.lm_head.to(torch.float32)

    found = value_of(
        "precision", precision.capture, {}, observe(Settings(), SimpleNamespace(), None, model=made)
    )

    assert found.regime == "bf16 non-mixed precision"
    assert "float32" in found.note


def test_notes_say_what_the_term_does_not(saved):
    seen = observe(
        Settings(),
        SimpleNamespace(),
        None,
        model=lora(models.load("AutoModelForCausalLM", saved["bfloat16"])),
    )

    found = value_of("precision", precision.capture, {}, seen)

    assert found.note == "frozen base in bf16, trainable parameters in fp32, no autocast"
    assert (found.weights_dtype, found.trainable_dtype) == ("bfloat16", "float32")


# -- what cannot run here is read from real configuration objects ----------------------------------


@pytest.mark.parametrize(
    ("config", "arguments", "expected"),
    [
        ({"bf16": {"enabled": True}}, {}, "bf16 mixed precision"),
        ({"fp16": {"enabled": True}}, {}, "fp16 mixed precision"),
        (
            {"bf16": {"enabled": "auto"}},
            {"bf16": False, "bf16_full_eval": True},
            "bf16 mixed precision",
        ),
        ({"bf16": {"enabled": False}}, {}, "fp32"),
        ({}, {}, "fp32"),
    ],
)
def test_under_deepspeed_its_own_configuration_decides(config, arguments, expected):
    plugin = SimpleNamespace(deepspeed_config=config)
    args = SimpleNamespace(
        deepspeed="zero.json", deepspeed_plugin=plugin, mixed_precision="no", **arguments
    )

    found = value_of(
        "precision", precision.capture, {}, observe(Settings(), args, None, model=models.llama())
    )

    assert found.regime == expected


def test_deepspeed_s_half_weights_have_float32_masters(saved):
    made = models.load("AutoModelForCausalLM", saved["bfloat16"])
    plugin = SimpleNamespace(deepspeed_config={"bf16": {"enabled": True}})

    found = value_of(
        "precision",
        precision.capture,
        {},
        observe(Settings(), SimpleNamespace(deepspeed_plugin=plugin), None, model=made),
    )

    assert found.regime == "bf16 mixed precision"


def test_layers_of_fp8_are_seen():
    class Float8Linear(torch.nn.Linear):
        """torchao's class is told by its name."""

    made = torch.nn.Sequential(Float8Linear(4, 4))

    found = value_of(
        "precision",
        precision.capture,
        {},
        observe(Settings(), SimpleNamespace(mixed_precision="fp8"), None, model=made),
    )

    assert found.regime == "fp8 mixed precision"


def test_fp8_that_was_asked_for_and_not_given_is_not_told():
    found = value_of(
        "precision",
        precision.capture,
        {},
        observe(Settings(), SimpleNamespace(mixed_precision="fp8"), None, model=models.llama()),
    )

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

    found = value_of(
        "precision", precision.capture, {}, observe(Settings(), SimpleNamespace(), None, model=made)
    )

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

    found = value_of(
        "precision", precision.capture, {}, observe(Settings(), SimpleNamespace(), None, model=made)
    )

    assert found.quantization == {"method": "bitsandbytes", "bits": 8}


def test_a_gptq_base_tells_bits_and_groups():
    made = models.llama()
    made.config.quantization_config = {
        "quant_method": "gptq",
        "bits": 4,
        "group_size": 128,
        "dataset": "/home/a/c4",
    }

    found = value_of(
        "precision", precision.capture, {}, observe(Settings(), SimpleNamespace(), None, model=made)
    )

    assert found.quantization == {"method": "gptq", "bits": 4, "group_size": 128}


def test_formats_that_the_template_has_no_term_for_get_none():
    missing = {}

    found = value_of(
        "precision",
        precision.capture,
        missing,
        observe(Settings(), SimpleNamespace(), None, model=models.llama().double()),
    )

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

        found = value_of(
            "precision",
            precision.capture,
            {},
            observe(Settings(), args, None, model=models.llama()),
        )
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before

    assert found.tf32 is expected


def test_tf32_says_nothing_on_a_cpu():
    missing = {}
    args = SimpleNamespace(device=torch.device("cpu"))

    found = value_of(
        "precision",
        precision.capture,
        missing,
        observe(Settings(), args, None, model=models.llama()),
    )

    assert found.tf32 is None
    assert "GPU" in missing["precision.tf32"]
