"""Set-ups of the libraries' own trainers: TRL and sentence-transformers."""

from __future__ import annotations

from datasets import Dataset

from setups.common import go, setup
from support import models

KIND = "Trainers of TRL"
SENTENCES = "Trainers of sentence-transformers"


def _tokenizer():
    words = models.tokenizer()
    words.eos_token = "[SEP]"  # noqa: S105 - a word
    words.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}{% if add_generation_prompt %}a{% endif %}"
    return words


def _trl(trainer, config, out, callbacks, data, *, model=None, more=None, **settings):
    import trl

    plain = {"learning_rate": 0.01, "bf16": False, "gradient_checkpointing": False}
    made = getattr(trl, trainer)(
        model=models.load("AutoModelForCausalLM", "org/tiny-llama") if model is None else model,
        args=models.arguments(out, getattr(trl, config), **{**plain, **settings}),
        train_dataset=data,
        processing_class=_tokenizer(),
        callbacks=list(callbacks),
        **(more or {}),
    )
    return go(made)


def _texts(count=12):
    return Dataset.from_dict(
        {"text": ["the cat sat on a mat", "the dog ran", "a cat"] * (count // 3)}
    )


def _prompts(count=12):
    return Dataset.from_dict(
        {
            "prompt": ["the cat"] * count,
            "completion": [" sat on a mat", " ran off a dog"] * (count // 2),
        }
    )


def _pairs(count=12):
    return Dataset.from_dict(
        {
            "prompt": ["the cat"] * count,
            "chosen": [" sat on a mat"] * count,
            "rejected": [" ran off"] * count,
        }
    )


def _sft(name, data, **settings):
    @setup(f"SFT, {name}", KIND)
    def run(out, callbacks):
        rows = data()
        return _trl(
            "SFTTrainer", "SFTConfig", out, callbacks, rows, more={"eval_dataset": rows}, **settings
        )


_sft("texts", _texts)
_sft("prompts and completions", _prompts)
_sft("packed", lambda: _texts(24), packing=True, max_length=16, packing_strategy="bfd")
_sft("chunked loss off, loss of tokens (nll)", _texts, loss_type="nll")


@setup("SFT with a LoRA of TRL", KIND)
def sft_lora(out, callbacks):
    import peft

    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return _trl("SFTTrainer", "SFTConfig", out, callbacks, _texts(), more={"peft_config": config})


def _dpo(name, loss, **settings):
    @setup(f"DPO, {name}", KIND)
    def run(out, callbacks):
        rows = _pairs()
        return _trl(
            "DPOTrainer",
            "DPOConfig",
            out,
            callbacks,
            rows,
            more={"eval_dataset": rows},
            loss_type=loss,
            **settings,
        )


_dpo("sigmoid", ["sigmoid"])
_dpo("IPO", ["ipo"])
_dpo("mixed with SFT", ["sigmoid", "sft"], loss_weights=[1.0, 0.5])


@setup("DPO with a LoRA", KIND)
def dpo_lora(out, callbacks):
    import peft

    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return _trl("DPOTrainer", "DPOConfig", out, callbacks, _pairs(), more={"peft_config": config})


@setup("KTO", KIND)
def kto(out, callbacks):
    rows = Dataset.from_dict(
        {
            "prompt": ["the cat"] * 12,
            "completion": [" sat on a mat", " ran off"] * 6,
            "label": [True, False] * 6,
        }
    )
    return _trl("KTOTrainer", "KTOConfig", out, callbacks, rows)


def long_ones(completions, **_):
    return [float(len(one)) for one in completions]


def _online(name, trainer, config, **settings):
    @setup(name, KIND)
    def run(out, callbacks):
        rows = Dataset.from_dict({"prompt": ["the cat", "a dog"] * 7})
        plain = {"num_generations": 4, "max_completion_length": 4}
        return _trl(
            trainer,
            config,
            out,
            callbacks,
            rows,
            more={"reward_funcs": long_ones},
            **{**plain, **settings},
        )


_online("GRPO", "GRPOTrainer", "GRPOConfig", gradient_accumulation_steps=2)
_online("RLOO", "RLOOTrainer", "RLOOConfig")


@setup("Reward model", KIND)
def reward(out, callbacks):
    import transformers

    config = transformers.LlamaConfig(
        **models.sizes(), num_key_value_heads=2, pad_token_id=0, num_labels=1
    )
    rows = _pairs().remove_columns("prompt")
    model = transformers.LlamaForSequenceClassification(config)
    return _trl(
        "RewardTrainer",
        "RewardConfig",
        out,
        callbacks,
        rows,
        model=model,
        more={"eval_dataset": rows},
    )


def _scored(count=8):
    half = count // 2
    return Dataset.from_dict(
        {
            "a": ["the cat", "a dog"] * half,
            "b": ["a cat", "the dog"] * half,
            "score": [1.0, 0.0] * half,
        }
    )


def _embedder(**parts):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer("org/tiny-bert")
    return SentenceTransformer(
        modules=[words, Pooling(words.get_embedding_dimension())], device="cpu", **parts
    )


def _sentences(out, callbacks, model, prefix, data, loss=None, **more):
    import sentence_transformers

    arguments = getattr(sentence_transformers, f"{prefix}TrainingArguments")
    made = getattr(sentence_transformers, f"{prefix}Trainer")(
        model=model,
        args=models.arguments(out, arguments, learning_rate=0.01),
        train_dataset=data,
        loss=loss,
        callbacks=list(callbacks),
        **{"eval_dataset": data, **more},
    )
    return go(made)


@setup("Sentence embeddings, cosine loss", SENTENCES)
def embeddings(out, callbacks):
    from sentence_transformers import losses

    model = _embedder()
    return _sentences(
        out, callbacks, model, "SentenceTransformer", _scored(), losses.CosineSimilarityLoss(model)
    )


@setup("Sentence embeddings, ranking loss", SENTENCES)
def ranking(out, callbacks):
    from sentence_transformers import losses

    model = _embedder()
    data = _scored().remove_columns("score")
    return _sentences(
        out,
        callbacks,
        model,
        "SentenceTransformer",
        data,
        losses.MultipleNegativesRankingLoss(model),
    )


@setup("Sentence embeddings, two sets and an evaluator", SENTENCES)
def two_sets(out, callbacks):
    from sentence_transformers import losses
    from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator

    model, data = _embedder(), {"nli": _scored(), "sts": _scored(12)}
    judge = EmbeddingSimilarityEvaluator(
        data["sts"]["a"], data["sts"]["b"], data["sts"]["score"], name="dev"
    )
    loss = losses.CosineSimilarityLoss(model)
    return _sentences(out, callbacks, model, "SentenceTransformer", data, loss, evaluator=judge)


@setup("Cross-encoder", SENTENCES)
def cross_encoder(out, callbacks):
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

    base = models.save(models.bert(num_labels=1), out.parent / "base")
    models.tokenizer().save_pretrained(base)
    model = CrossEncoder(base, num_labels=1, device="cpu")
    loss = BinaryCrossEntropyLoss(model, pos_weight=torch.tensor(3.0))
    return _sentences(out, callbacks, model, "CrossEncoder", _scored(), loss)


@setup("Sparse encoder", SENTENCES)
def sparse_encoder(out, callbacks):
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder import losses
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling

    model = SparseEncoder(modules=[MLMTransformer("org/tiny-bert"), SpladePooling()], device="cpu")
    inner = losses.SparseMultipleNegativesRankingLoss(model)
    loss = losses.SpladeLoss(
        model, inner, document_regularizer_weight=3e-5, query_regularizer_weight=5e-5
    )
    return _sentences(
        out, callbacks, model, "SparseEncoder", _scored().remove_columns("score"), loss
    )
