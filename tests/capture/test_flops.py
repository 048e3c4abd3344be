"""The estimate of operations against what torch counts in one real step, over unlike ways to train."""

from __future__ import annotations

from pathlib import Path

import datasets
import peft
import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from autocard import AutoCardCallback
from autocard.capture.training import flops, throughput
from autocard.record import load
from support import models
from support.captured import value_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

LENGTH, ROWS = 8, 4
SIZES = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 4, "vocab_size": 300}


def llama(**changes):
    return models.llama(**{"num_attention_heads": 2, **SIZES, **changes})


def bert(cls=transformers.BertForSequenceClassification, **changes):
    return models.bert(cls, **{**SIZES, **changes})


def mixtral():
    config = transformers.MixtralConfig(
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        **SIZES,
    )
    config._experts_implementation = "eager"  # torch does not count products of groups
    return models.build(transformers.MixtralForCausalLM, config)


def gpt2():
    return models.gpt2(vocab_size=300, n_embd=64, n_layer=4)


def only(model, *names):
    """Train the parameters whose names hold one of *names*, and no others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(one in name for one in names))
    return model


def norms_too(model, *names):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad or any(one in name for one in names))
    return model


def lora(model, **settings):
    return models.lora(model, **{"target_modules": ["q_proj", "v_proj"], **settings})


def with_inputs_that_need_gradients():
    model = lora(llama(), layers_to_transform=[3])
    model.enable_input_require_grads()
    return model


WAYS = {
    "full": llama,
    "full, tied embeddings": lambda: llama(tie_word_embeddings=True),
    "full, GPT-2": gpt2,
    "full, BERT": bert,
    "full, masked language model": lambda: bert(transformers.BertForMaskedLM),
    "frozen embeddings": lambda: only(llama(), "layers", "norm", "lm_head"),
    "embeddings alone": lambda: only(llama(), "embed_tokens"),
    "tied embeddings alone": lambda: only(llama(tie_word_embeddings=True), "embed_tokens"),
    "linear probing": lambda: only(bert(), "classifier"),
    "head alone": lambda: only(llama(), "lm_head"),
    "upper half": lambda: only(llama(), "layers.2", "layers.3", "lm_head"),
    "biases": lambda: only(bert(), "bias"),
    "norms": lambda: only(llama(), "norm"),
    "upper norms": lambda: only(
        llama(), "layers.2.post_attention_layernorm", "layers.3.input_layernorm"
    ),
    "norms beside LoRA": lambda: norms_too(
        lora(llama(), layers_to_transform=[2, 3]), "layers.2.input_layernorm"
    ),
    "LoRA": lambda: lora(llama()),
    "LoRA on all linear layers": lambda: lora(llama(), target_modules="all-linear"),
    "LoRA on the last layer": lambda: lora(llama(), layers_to_transform=[3]),
    "LoRA on the upper values": lambda: lora(
        llama(), target_modules=["v_proj"], layers_to_transform=[2, 3]
    ),
    "LoRA on down projections": lambda: lora(llama(), target_modules=["down_proj"]),
    "LoRA and a trained head": lambda: lora(llama(), modules_to_save=["lm_head"]),
    "LoRA on BERT": lambda: lora(bert(), target_modules=["query"], task_type="SEQ_CLS"),
    "LoRA whose inputs need gradients": with_inputs_that_need_gradients,
    "experts": mixtral,
    "LoRA below experts": lambda: lora(mixtral(), layers_to_transform=[3]),
}


def batch(model):
    ids = torch.randint(5, 290, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    classifier = type(inner).__name__.endswith("ForSequenceClassification")
    return {"input_ids": ids, "labels": ids[:, 0] % 2 if classifier else ids}


@pytest.mark.parametrize("way", WAYS)
def test_the_estimate_is_what_torch_counts_in_a_real_step(way):
    model = WAYS[way]()
    given = batch(model)
    with FlopCounterMode(display=False) as counter:
        model(**given).loss.backward()
    without_embeddings = model.num_parameters(exclude_embeddings=True)

    found = flops.estimate(model, 6.0 * without_embeddings * ROWS * LENGTH)

    by_operation = counter.get_flop_counts()["Global"]
    attention = sum(
        count
        for operation, count in by_operation.items()
        if "attention" in str(operation) or "bmm" in str(operation)
    )
    assert found == pytest.approx(counter.get_total_flops() - attention, rel=0.06)


ROWS_OF = {
    "images": lambda count: datasets.Dataset.from_dict(
        {
            "pixel_values": torch.rand(count, 3, 16, 16).tolist(),
            "labels": [row % 2 for row in range(count)],
        }
    ),
    "text and images": lambda count: datasets.Dataset.from_dict(
        {
            "input_ids": [[5, 6, 7, 8]] * count,
            "pixel_values": torch.rand(count, 3, 16, 16).tolist(),
            "return_loss": [True] * count,
        }
    ),
}


@pytest.mark.parametrize(
    ("made", "rows"),
    [(models.vit, "images"), (models.clip, "text and images")],
    ids=["ViT", "CLIP"],
)
def test_operations_on_images_are_not_told_as_those_on_tokens(tmp_path, made, rows):
    class Pairs(transformers.Trainer):
        def _prepare_inputs(self, inputs):
            if "return_loss" in inputs:
                inputs["return_loss"] = True
            return super()._prepare_inputs(inputs)

    host = models.train(
        made(),
        ROWS_OF[rows](8),
        tmp_path,
        AutoCardCallback(emissions=False),
        cls=Pairs,
        remove_unused_columns=False,
    )

    record, card = load(tmp_path), (Path(tmp_path) / "README.md").read_text()
    assert host.state.total_flos > 0
    for leaf in ("flops", "flops_estimate", "peak_share"):
        assert getattr(record.time, leaf) is None
        assert record.why_missing(f"time.{leaf}")
    assert "Training FLOPs" not in card
    assert "6 × parameters" not in card


def test_sound_is_not_counted_in_tokens():
    model = transformers.Wav2Vec2ForCTC(
        transformers.Wav2Vec2Config(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=[8],
            conv_stride=[5], conv_kernel=[10], num_feat_extract_layers=1, num_conv_pos_embedding_groups=2,
            num_conv_pos_embeddings=4,
        )
    )  # fmt: skip

    with pytest.raises(flops.UnavailableError, match="input_values, which are no tokens"):
        flops.check_counted(model)


def test_a_decoder_s_tokens_are_not_made_up():
    model = models.t5(num_layers=1)

    with pytest.raises(flops.UnavailableError, match="decoder"):
        flops.estimate(model, 1e6)


def test_learned_prompts_have_no_estimate():
    model = peft.get_peft_model(
        llama(), peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=20)
    )

    with pytest.raises(flops.UnavailableError, match="prompt"):
        flops.estimate(model, 1e6)


class Crashes(transformers.TrainerCallback):
    def __init__(self):
        self.again = False

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 3 and not self.again:
            self.again = True
            msg = "out of luck"
            raise RuntimeError(msg)


def test_operations_of_an_attempt_that_crashed_are_not_those_of_the_next_training(tmp_path):
    host = models.train(
        models.llama(), models.language(), tmp_path / "one", max_steps=4, logging_steps=100
    )
    expected = host.state.total_flos
    host = models.Trainer(
        model=models.llama(),
        args=models.arguments(tmp_path, max_steps=4, logging_steps=100),
        train_dataset=models.language(),
        callbacks=[AutoCardCallback(emissions=False), Crashes()],
    )
    with pytest.raises(RuntimeError, match="out of luck"):
        host.train()

    host.train()

    assert host.state.total_flos > 1.5 * expected
    assert load(tmp_path).time.flops == pytest.approx(expected)


def test_the_method_says_what_is_counted(tmp_path):
    watch = models.Watch()
    models.train(only(models.llama(), "lm_head"), models.language(), tmp_path, watch)

    parts = value_of("time", throughput.time_parts, {}, watch.seen, 0)

    assert "after the first trained one" in parts["flops_estimate_method"]
    assert "attention products and recomputation are not" in parts["flops_estimate_method"]
    assert parts["flops_estimate"] < 0.5 * parts["flops"]


class TwoPasses(transformers.Trainer):
    """Two forward passes for each batch, in a training step of its own."""

    def training_step(self, model, inputs, *_):
        loss = self.compute_loss(model, inputs) + self.compute_loss(model, inputs)
        self.accelerator.backward(loss)
        return loss.detach()


class TwoPassesForTheLoss(transformers.Trainer):
    """The same in a loss of its own."""

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        outputs = model(**inputs)
        loss = outputs.loss + model(**inputs).loss
        return (loss, outputs) if return_outputs else loss


@pytest.mark.parametrize(
    ("cls", "where"), [(TwoPasses, "training_step"), (TwoPassesForTheLoss, "compute_loss")]
)
def test_a_step_that_runs_the_model_twice_has_no_estimate_of_one_pass(tmp_path, cls, where):
    trainer = models.train(
        models.llama(),
        models.language(),
        tmp_path,
        AutoCardCallback(emissions=False),
        cls=cls,
        trainer={"eval_dataset": models.language()},
    )
    assert load(tmp_path).time.flops_estimate is None
    trainer.evaluate()

    known = load(tmp_path)
    assert known.time.flops_estimate is None
    assert where in known.missing["time.flops_estimate"]
    assert known.time.flops is not None


def test_a_loss_of_outputs_alone_keeps_the_estimate(tmp_path):
    def mine(outputs, labels, **_):
        return torch.nn.functional.cross_entropy(outputs.logits.flatten(0, 1), labels.flatten())

    ours = AutoCardCallback(emissions=False)
    models.train(
        models.llama(), models.language(), tmp_path, ours, trainer={"compute_loss_func": mine}
    )

    assert load(tmp_path).time.flops_estimate > 0
