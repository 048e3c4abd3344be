"""The trainers that write cards of their own, each as small as it can be and as real.

Every model was loaded from a local folder: that is what makes PEFT write a path into the front
matter.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import models

BASE = "org/true-base"


@dataclass(frozen=True)
class Host:
    """One kind of trainer.

    Attributes:
        make: (folder of the base, output folder, callbacks, settings) → trainer.
        library: what the Hub should call the library.
        tags: what people search the Hub by, in every card that this trainer writes.
        peft: the model is an adapter.
        predicts: `predict()` works on its evaluation data.
    """

    make: Callable[..., Any]
    library: str = "transformers"
    tags: tuple[str, ...] = ("generated_from_trainer",)
    peft: bool = False
    predicts: bool = False


def _arguments(cls: Any, out: Path, **settings: Any) -> Any:
    # Every checkpoint is uploaded, even while the last upload is under way: which ones are is not
    # left to chance.
    plain = {
        "save_strategy": "steps",
        "save_steps": 1,
        "hub_always_push": True,
        "seed": 3,
        "bf16": False,
    }
    return models.arguments(out, cls, **{**plain, **settings})


def _loaded(base: Path, cls: str, make: Callable[[], Any]) -> Any:
    if not base.exists():
        models.save(make(), base)
    return models.load(cls, base)


def trainer(
    base: Path, out: Path, callbacks: list[Any], *, peft: bool = False, **settings: Any
) -> Any:
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    model = _loaded(base, "AutoModelForSequenceClassification", models.bert)
    data = models.tokens().rename_column("label", "labels").remove_columns(["text"])
    return Trainer(
        model=models.lora(model, task_type="SEQ_CLS", target_modules=["query"]) if peft else model,
        args=_arguments(TrainingArguments, out, **settings),
        train_dataset=data,
        eval_dataset=data,
        processing_class=models.tokenizer(),
        data_collator=DataCollatorWithPadding(models.tokenizer()),
        callbacks=callbacks,
    )


def seq2seq(base: Path, out: Path, callbacks: list[Any], **settings: Any) -> Any:
    import torch
    import transformers

    def made() -> Any:
        torch.manual_seed(0)
        sizes = {
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 32,
            "num_layers": 1,
            "num_heads": 2,
            "decoder_start_token_id": 0,
        }
        return transformers.T5ForConditionalGeneration(
            transformers.T5Config(vocab_size=len(models.WORDS), **sizes)
        )

    data = models.language()
    return transformers.Seq2SeqTrainer(
        model=_loaded(base, "AutoModelForSeq2SeqLM", made),
        args=_arguments(transformers.Seq2SeqTrainingArguments, out, **settings),
        train_dataset=data,
        eval_dataset=data,
        processing_class=models.tokenizer(),
        callbacks=callbacks,
    )


def _tokenizer() -> Any:
    words = models.tokenizer()
    words.eos_token = "[SEP]"  # noqa: S105 - a token of the other kind
    return words


def _adapter(*, peft: bool, task: str = "CAUSAL_LM") -> dict[str, Any]:
    if not peft:
        return {}
    from peft import LoraConfig

    return {"peft_config": LoraConfig(task_type=task, r=2, target_modules=["q_proj"])}


_OF_TRAINER = ("peft_config", "reward_funcs", "compute_loss_func")


def _trl(
    cls: Any, config: Any, model: Any, data: Any, out: Path, callbacks: list[Any], **settings: Any
) -> Any:
    """Return a trainer of TRL: what `_OF_TRAINER` names is for itself, other *settings* are for its arguments."""
    own = {name: settings.pop(name) for name in _OF_TRAINER if name in settings}
    return cls(
        model=model,
        args=_arguments(config, out, **settings),
        train_dataset=data,
        eval_dataset=data,
        processing_class=_tokenizer(),
        callbacks=callbacks,
        **own,
    )


def sft(base: Path, out: Path, callbacks: list[Any], *, peft: bool = False, **settings: Any) -> Any:
    from trl import SFTConfig, SFTTrainer

    model = _loaded(base, "AutoModelForCausalLM", models.llama)
    data = models.texts(8).select_columns(["text"])
    return _trl(
        SFTTrainer,
        SFTConfig,
        model,
        data,
        out,
        callbacks,
        max_length=16,
        **_adapter(peft=peft),
        **settings,
    )


def dpo(base: Path, out: Path, callbacks: list[Any], *, peft: bool = False, **settings: Any) -> Any:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    model = _loaded(base, "AutoModelForCausalLM", models.llama)
    data = Dataset.from_list(
        [{"prompt": "the cat", "chosen": "sat on a mat", "rejected": "ran off"}] * 8
    )
    return _trl(
        DPOTrainer,
        DPOConfig,
        model,
        data,
        out,
        callbacks,
        max_length=16,
        **_adapter(peft=peft),
        **settings,
    )


def reward(base: Path, out: Path, callbacks: list[Any], **settings: Any) -> Any:
    import torch
    import transformers
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    def made() -> Any:
        torch.manual_seed(0)
        config = models.llama().config
        config.num_labels = 1
        return transformers.LlamaForSequenceClassification(config)

    model = _loaded(base, "AutoModelForSequenceClassification", made)
    data = Dataset.from_list([{"chosen": "the cat sat", "rejected": "the dog ran off"}] * 8)
    return _trl(RewardTrainer, RewardConfig, model, data, out, callbacks, max_length=16, **settings)


def grpo(base: Path, out: Path, callbacks: list[Any], **settings: Any) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def longer(completions: list[str], **_: Any) -> list[float]:
        return [float(len(text)) for text in completions]

    model = _loaded(base, "AutoModelForCausalLM", models.llama)
    data = Dataset.from_list([{"prompt": "the cat sat"}, {"prompt": "a dog ran"}] * 4)
    sizes = {"num_generations": 2, "generation_batch_size": 4, "max_completion_length": 4}
    return _trl(
        GRPOTrainer,
        GRPOConfig,
        model,
        data,
        out,
        callbacks,
        reward_funcs=longer,
        **sizes,
        **settings,
    )


def embeddings(base: Path, out: Path, callbacks: list[Any], **settings: Any) -> Any:
    import sentence_transformers as st
    from datasets import Dataset
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    if not base.exists():
        import transformers

        models.save(transformers.BertModel(models.bert().config), base)
        models.tokenizer().save_pretrained(base)
        with contextlib.redirect_stderr(io.StringIO()):
            st.SentenceTransformer(str(base), device="cpu").save(str(base))
    model = st.SentenceTransformer(str(base), device="cpu")
    data = Dataset.from_dict(
        {"anchor": ["the cat", "a dog"] * 4, "positive": ["a cat", "the dog"] * 4}
    )
    return st.SentenceTransformerTrainer(
        model=model,
        args=_arguments(st.SentenceTransformerTrainingArguments, out, **settings),
        train_dataset=data,
        eval_dataset=data,
        loss=MultipleNegativesRankingLoss(model),
        callbacks=callbacks,
    )


def adapted(make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **settings: make(*args, peft=True, **settings)


HOSTS = {
    "Trainer": Host(trainer, predicts=True),
    "Trainer + PEFT": Host(adapted(trainer), library="peft", tags=(), peft=True, predicts=True),
    "Seq2SeqTrainer": Host(seq2seq, predicts=True),
    "TRL SFT": Host(sft, tags=("generated_from_trainer", "trl", "sft")),
    "TRL SFT + PEFT": Host(adapted(sft), library="peft", tags=("trl", "sft"), peft=True),
    "TRL DPO": Host(dpo, tags=("generated_from_trainer", "trl", "dpo")),
    "TRL DPO + PEFT": Host(adapted(dpo), library="peft", tags=("trl", "dpo"), peft=True),
    "TRL Reward": Host(reward, tags=("generated_from_trainer", "trl", "reward-trainer")),
    "TRL GRPO": Host(grpo, tags=("generated_from_trainer", "trl", "grpo")),
    "sentence-transformers": Host(
        embeddings,
        library="sentence-transformers",
        tags=("sentence-transformers", "dataset_size:8"),
    ),
}


@contextlib.contextmanager
def quiet():
    """Without the progress bars and notices of the libraries."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
