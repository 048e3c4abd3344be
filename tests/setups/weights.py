"""Set-ups by what is trained, and on what weights: adapters of each kind, frozen parts, earlier stages."""

from __future__ import annotations

import warnings

import peft
import torch
import transformers

from setups.common import ragged, setup, train, words_and_padding
from support import models

KIND = "Adapters and weights"
QV = ["q_proj", "v_proj"]


def _llama():
    return models.load("AutoModelForCausalLM", "org/tiny-llama")


def _with(config, base=None):
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.get_peft_model(_llama() if base is None else base, config)


LM = {"task_type": "CAUSAL_LM"}
CONFIGS = {
    "LoRA": lambda: peft.LoraConfig(r=4, lora_alpha=8, target_modules=QV, **LM),
    "DoRA": lambda: peft.LoraConfig(r=4, use_dora=True, target_modules=QV, **LM),
    "rsLoRA": lambda: peft.LoraConfig(r=4, use_rslora=True, target_modules=QV, **LM),
    "PiSSA": lambda: peft.LoraConfig(r=2, init_lora_weights="pissa", target_modules=QV, **LM),
    "LoRA, ranks by pattern": lambda: peft.LoraConfig(
        r=2, rank_pattern={"q_proj": 4}, alpha_pattern={"v_proj": 3}, target_modules=QV, **LM
    ),
    "LoRA, all linear layers but one": lambda: peft.LoraConfig(
        r=2, target_modules="all-linear", exclude_modules=["down_proj"], **LM
    ),
    "LoRA, random start": lambda: peft.LoraConfig(
        r=2, init_lora_weights=False, target_modules=QV, **LM
    ),
    "LoRA, the head trained in full": lambda: peft.LoraConfig(
        r=2, modules_to_save=["lm_head"], target_modules=QV, **LM
    ),
    "LoRA, new tokens": lambda: peft.LoraConfig(
        r=2, trainable_token_indices=[1, 2], target_modules=QV, **LM
    ),
    "AdaLoRA": lambda: peft.AdaLoraConfig(
        init_r=6, target_r=3, total_step=10, target_modules=QV, **LM
    ),
    "IA³": lambda: peft.IA3Config(
        target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], **LM
    ),
    "Prompt tuning": lambda: peft.PromptTuningConfig(num_virtual_tokens=4, **LM),
    "Prefix tuning": lambda: peft.PrefixTuningConfig(num_virtual_tokens=4, **LM),
    "P-tuning": lambda: peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=8, **LM),
    "OFT": lambda: peft.OFTConfig(oft_block_size=4, target_modules=QV, **LM),
    "BOFT": lambda: peft.BOFTConfig(boft_block_size=4, target_modules=["q_proj"], **LM),
    "VeRA": lambda: peft.VeraConfig(r=4, target_modules=["q_proj", "o_proj"], **LM),
    "LoHa": lambda: peft.LoHaConfig(r=2, alpha=4, target_modules=QV, **LM),
    "LoKr": lambda: peft.LoKrConfig(r=2, alpha=4, target_modules=QV, **LM),
    "Trained norms (LN tuning)": lambda: peft.LNTuningConfig(**LM),
}


def _adapter(name, config):
    @setup(f"{name} on a base of the Hub's cache", KIND)
    def run(out, callbacks):
        return train(out, callbacks, _with(config()), models.language())


for _name, _config in CONFIGS.items():
    _adapter(_name, _config)


@setup("X-LoRA over two adapters", KIND)
def xlora(out, callbacks):
    folders = {}
    for number in range(2):
        made = _with(peft.LoraConfig(r=2, target_modules=QV, **LM))
        made.save_pretrained(out.parent / f"part{number}")
        folders[str(number)] = str(out.parent / f"part{number}")
    base = _llama()
    base.config.use_cache = False
    config = peft.XLoraConfig(hidden_size=16, xlora_depth=1, adapters=folders, **LM)
    return train(out, callbacks, _with(config, base), models.language())


@setup("Two adapters, the second one trained", KIND)
def two_adapters(out, callbacks):
    model = _with(peft.LoraConfig(r=4, target_modules=QV, **LM))
    model.add_adapter("second", peft.LoraConfig(r=2, target_modules=["o_proj"], **LM))
    model.set_adapter("second")
    return train(out, callbacks, model, models.language())


@setup("An adapter continued", KIND)
def continued(out, callbacks):
    first = out.parent / "first"
    train(first, [], _with(CONFIGS["LoRA"]()), models.language())
    model = peft.PeftModel.from_pretrained(_llama(), first, is_trainable=True)
    return train(out, callbacks, model, models.language())


@setup("An adapter merged, then a new one", KIND)
def merged_then_new(out, callbacks):
    model = _with(
        peft.LoraConfig(r=4, init_lora_weights=False, target_modules=QV, **LM)
    ).merge_and_unload()
    return train(out, callbacks, _with(CONFIGS["LoRA"](), model), models.language())


@setup("LoRA and norms that are trained beside it", KIND)
def lora_and_norms(out, callbacks):
    model = _with(CONFIGS["LoRA"]())
    for name, one in model.named_parameters():
        if "norm" in name:
            one.requires_grad_(True)
    return train(out, callbacks, model, models.language())


@setup("A LoRA added by transformers (`add_adapter`)", KIND)
def native(out, callbacks):
    model = _llama()
    model.add_adapter(CONFIGS["LoRA"]())
    return train(out, callbacks, model, models.language())


@setup("LoRA on a local stage, itself from the Hub's cache", KIND)
def local_stage(out, callbacks):
    from autocard import AutoCardCallback

    stage = out.parent / "stage1"
    first = [AutoCardCallback(base_model="org/tiny-llama", emissions=False)] if callbacks else []
    train(stage, first, _llama(), models.language())
    return train(
        out,
        callbacks,
        _with(CONFIGS["LoRA"](), models.load("AutoModelForCausalLM", stage)),
        models.language(),
    )


@setup("Full fine-tuning of a local stage", KIND)
def full_of_stage(out, callbacks):
    stage = out.parent / "stage1"
    train(stage, [], _llama(), models.language())
    return train(out, callbacks, models.load("AutoModelForCausalLM", stage), models.language())


@setup("Weights that came by load_state_dict", KIND)
def state_dict(out, callbacks):
    teacher = train(
        out.parent / "teacher",
        [],
        models.bert(),
        ragged(16),
        max_steps=6,
        learning_rate=0.05,
        trainer=(transformers.Trainer, words_and_padding()),
    ).model
    student = models.bert()
    student.load_state_dict(teacher.state_dict())
    return train(
        out, callbacks, student, ragged(16), trainer=(transformers.Trainer, words_and_padding())
    )


@setup("A frozen body, the head trained", KIND)
def frozen(out, callbacks):
    model = models.bert()
    for one in model.bert.parameters():
        one.requires_grad_(False)
    return train(
        out, callbacks, model, ragged(16), trainer=(transformers.Trainer, words_and_padding())
    )


@setup("The last layer and the head trained", KIND)
def last_layer(out, callbacks):
    model = models.build(
        transformers.BertForSequenceClassification,
        transformers.BertConfig(**models.sizes(num_hidden_layers=4)),
    )
    for name, one in model.named_parameters():
        one.requires_grad_("layer.3" in name or "classifier" in name)
    return train(
        out, callbacks, model, ragged(16), trainer=(transformers.Trainer, words_and_padding())
    )


@setup("bfloat16 weights", KIND)
def bfloat16(out, callbacks):
    return train(
        out,
        callbacks,
        models.bert().to(torch.bfloat16),
        ragged(16),
        trainer=(transformers.Trainer, words_and_padding()),
    )


@setup("A classifier's LoRA with its head", KIND)
def classifier_lora(out, callbacks):
    base = models.load("AutoModelForSequenceClassification", "org/tiny-bert")
    config = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"])
    return train(
        out,
        callbacks,
        _with(config, base),
        ragged(16),
        trainer=(transformers.Trainer, words_and_padding()),
    )
