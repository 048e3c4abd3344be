"""What TRL's and sentence-transformers' trainers optimized, in cards of real trainings.

The oracles are the trainers' own: labels of the rows that were trained on, weights in the loss,
logged rewards.
"""

import pytest
import torch
import transformers
from datasets import Dataset, DatasetDict

from autocard import AutoCardCallback
from autocard.card.fields import identity
from autocard.record import load
from support import card_writers as hosts
from support import models

trl = pytest.importorskip("trl")
st = pytest.importorskip("sentence_transformers")

PAIRS = [{"prompt": "the cat", "chosen": "sat on a mat", "rejected": "ran off"}] * 8
DESIRED = [
    {"prompt": "the cat", "completion": " sat on a mat", "label": True},
    {"prompt": "the dog", "completion": " ran off", "label": False},
] * 4
COMPLETED = [{"prompt": "the cat", "completion": " sat on a mat"}] * 8
PROMPTS = [{"prompt": "the cat sat"}, {"prompt": "a dog ran"}] * 4
GENERATED = {"num_generations": 2, "generation_batch_size": 4, "max_completion_length": 4}


def longer(completions, **_):
    return [float(len(text)) for text in completions]


def polite(completions, **_):
    return [1.0 for _ in completions]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("base") / "llama"


def trained(base, folder, cls, config, rows, **settings):
    model = hosts._loaded(base, "AutoModelForCausalLM", models.llama)
    with hosts.quiet():
        host = hosts._trl(cls, config, model, Dataset.from_list(rows), folder, [ours()], **settings)
        host.train()
    return load(folder), (folder / "README.md").read_text(encoding="utf-8"), host


def ours():
    return AutoCardCallback(emissions=False)


@pytest.mark.parametrize(
    ("settings", "objective", "purpose"),
    [
        ({}, "direct preference optimization (DPO)", "aligned with DPO"),
        ({"loss_type": "ipo"}, "identity preference optimization (IPO)", "aligned with IPO"),
        (
            {"loss_type": "hinge"},
            "direct preference optimization (DPO), hinge loss",
            "aligned with DPO",
        ),
        (
            {"loss_type": ["sigmoid", "sft"], "loss_weights": [0.8, 0.2]},
            "direct preference optimization (DPO), loss 0.8 × sigmoid + 0.2 × SFT",
            "aligned with DPO",
        ),
    ],
)
def test_the_losses_of_preference_optimization_are_told_with_their_weights(
    base, tmp_path, settings, objective, purpose
):
    record, card, host = trained(
        base, tmp_path, trl.DPOTrainer, trl.DPOConfig, PAIRS, max_length=16, **settings
    )

    asked = settings.get("loss_type", "sigmoid")
    assert host.loss_types == (asked if isinstance(asked, list) else [asked])
    assert record.training.objective == objective
    assert f"fine-tuned version of a local checkpoint, {purpose}." in card
    assert "trained for causal language" not in card
    assert ("loss_weights" in record.training.hyperparameters) is ("loss_weights" in settings)


@pytest.mark.parametrize(
    ("name", "rows", "settings", "objective", "purpose"),
    [
        ("KTO", DESIRED, {}, "Kahneman-Tversky optimization (KTO)", "aligned with KTO"),
        (
            "RLOO",
            PROMPTS,
            {"reward_funcs": longer, **GENERATED},
            "REINFORCE leave-one-out (RLOO)",
            "trained with RLOO",
        ),
    ],
)
def test_a_summary_names_the_alignment_and_not_language_modeling(
    base, tmp_path, name, rows, settings, objective, purpose
):
    cls, config = getattr(trl, f"{name}Trainer"), getattr(trl, f"{name}Config")

    record, card, _ = trained(base, tmp_path, cls, config, rows, **settings)

    assert record.training.objective == objective
    assert f"fine-tuned version of a local checkpoint, {purpose}." in card
    # The form of TRL's cards has no model type; other forms show this one.
    assert identity.facts(record)["model_type"].line.endswith(f"causal language model {purpose}")
    assert "trained for causal language" not in card


def test_a_reward_model_is_no_regression(tmp_path):
    with hosts.quiet():
        hosts.reward(tmp_path / "base", tmp_path / "out", [ours()]).train()

    record, card = (
        load(tmp_path / "out"),
        (tmp_path / "out" / "README.md").read_text(encoding="utf-8"),
    )
    assert record.model.task == "reward model (pairwise preferences)"
    assert "trained as a reward model (pairwise preferences)" in card
    assert "regression" not in card


def test_a_policy_s_rewards_are_told_with_names_weights_and_last_values(base, tmp_path):
    rewarded = {"reward_funcs": [longer, polite], "reward_weights": [0.5, 2.0]}

    record, card, host = trained(
        base,
        tmp_path,
        trl.GRPOTrainer,
        trl.GRPOConfig,
        PROMPTS,
        beta=0.1,
        loss_type="dr_grpo",
        **rewarded,
        **GENERATED,
    )

    last = [entry for entry in host.state.log_history if "reward" in entry][-1]
    assert record.training.objective == "group relative policy optimization (GRPO), Dr. GRPO loss"
    assert record.training.reward_functions == {"longer": 0.5, "polite": 2.0}
    assert "- Reward functions: `longer` (weight 0.5) and `polite` (weight 2)" in card
    for name in (
        "reward",
        "rewards/longer/mean",
        "rewards/polite/mean",
        "kl",
        "completions/mean_length",
    ):
        assert record.evaluation.rewards[name] == pytest.approx(last[name])
    assert f"Last logged rewards (step {last['step']}): mean reward" in card
    assert "of `polite` 1.000" in card


def test_the_folder_of_a_reward_model_is_not_told(base, tmp_path):
    judge = models.llama(
        transformers.LlamaForSequenceClassification, num_attention_heads=2, num_labels=1
    )
    folder = tmp_path / "secret-judge"
    judge.save_pretrained(folder)
    models.tokenizer().save_pretrained(folder)
    out = tmp_path / "out"

    record, card, _ = trained(
        base, out, trl.GRPOTrainer, trl.GRPOConfig, PROMPTS, reward_funcs=str(folder), **GENERATED
    )

    assert record.training.reward_functions == {"reward model LlamaForSequenceClassification": 1.0}
    assert "secret-judge" not in card + (out / "autocard.json").read_text(encoding="utf-8")
    assert "rewards/reward model LlamaForSequenceClassification/mean" in record.evaluation.rewards


@pytest.mark.parametrize(
    ("settings", "masked", "tokens"),
    [
        ({}, True, " on completion tokens only"),
        ({"completion_only_loss": False}, False, ""),
        ({"packing": True}, True, " on completion tokens only"),
    ],
)
def test_the_tokens_that_carry_the_loss_are_those_of_the_labels(
    base, tmp_path, settings, masked, tokens
):
    record, _, host = trained(
        base, tmp_path, trl.SFTTrainer, trl.SFTConfig, COMPLETED, max_length=16, **settings
    )

    batch = next(iter(host.get_train_dataloader()))
    prompt = batch["labels"][batch["input_ids"] != 0] == -100
    assert bool(prompt.any()) is masked
    assert record.training.objective == f"supervised fine-tuning (next-token cross-entropy{tokens})"


def test_a_loss_of_the_run_s_own_in_trl_s_trainers_is_called_custom(base, tmp_path):
    def squares(outputs, *_, **__):
        return outputs.logits.pow(2).mean()

    class Shifted(trl.DPOTrainer):
        def _compute_loss(self, *args, **kwargs):
            return super()._compute_loss(*args, **kwargs)

    rows = {"max_length": 16}
    tuned, card, _ = trained(
        base,
        tmp_path / "sft",
        trl.SFTTrainer,
        trl.SFTConfig,
        COMPLETED,
        compute_loss_func=squares,
        **rows,
    )
    aligned, _, _ = trained(base, tmp_path / "dpo", Shifted, trl.DPOConfig, PAIRS, **rows)

    assert tuned.training.objective == "supervised fine-tuning, custom loss (compute_loss_func)"
    assert "cross-entropy" not in card
    assert aligned.training.objective.startswith(
        "direct preference optimization (DPO), custom loss code (_compute_loss"
    )


def test_counters_of_trl_are_no_results(base, tmp_path):
    record, card, host = trained(
        base,
        tmp_path,
        trl.SFTTrainer,
        trl.SFTConfig,
        COMPLETED,
        max_length=16,
        eval_strategy="steps",
        eval_steps=1,
    )

    logged = {name for entry in host.state.log_history for name in entry}
    assert {"eval_num_tokens", "eval_entropy"} <= logged
    assert {one.name for one in record.evaluation.results} == {"loss", "mean_token_accuracy"}
    assert {"num_tokens", "entropy"} <= {
        name.removeprefix("eval_") for name in record.evaluation.counters
    }
    assert "num\\_tokens" not in card
    assert "entropy |" not in card
    front = card.split("---")[1]
    assert "metrics:" not in front


# -- sentence-transformers -------------------------------------------------------------------------

PAIRED = {"anchor": ["the cat", "a dog"] * 4, "positive": ["a cat", "the dog"] * 4}
SCORED = {"a": ["the cat", "a dog"] * 4, "b": ["a cat", "the dog"] * 4, "label": [0.1, 0.9] * 4}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A folder with a sentence-transformers model, one with a classifier, one with a masked language model."""
    folder = tmp_path_factory.mktemp("encoders")
    config = models.bert().config
    models.save(transformers.BertModel(config), folder / "bert")
    models.tokenizer().save_pretrained(folder / "bert")
    models.save(models.bert(num_labels=1), folder / "cross")
    models.tokenizer().save_pretrained(folder / "cross")
    models.save(transformers.BertForMaskedLM(config), folder / "sparse")
    models.tokenizer().save_pretrained(folder / "sparse")
    with hosts.quiet():
        st.SentenceTransformer(str(folder / "bert"), device="cpu").save(str(folder / "bert"))
    return folder


def embedded(folder, model, loss, rows, kind="SentenceTransformer", **given):
    own = {name: given.pop(name) for name in ("eval_dataset", "evaluator") if name in given}
    data = (
        DatasetDict({name: Dataset.from_dict(part) for name, part in rows.items()})
        if "x" in rows
        else None
    )
    with hosts.quiet():
        host = getattr(st, f"{kind}Trainer")(
            model=model,
            args=hosts._arguments(getattr(st, f"{kind}TrainingArguments"), folder, **given),
            train_dataset=data or Dataset.from_dict(rows),
            loss=loss,
            callbacks=[ours()],
            **own,
        )
        host.train()
    return load(folder), (folder / "README.md").read_text(encoding="utf-8"), host


class Squares(torch.nn.Module):
    """A loss of the run's own."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, features, _):
        return sum(self.model(part)["sentence_embedding"].pow(2).mean() for part in features)


def test_the_loss_of_a_sentence_transformers_trainer_is_named_with_its_settings(encoder, tmp_path):
    with hosts.quiet():
        from sentence_transformers import losses

        model = st.SentenceTransformer(str(encoder / "bert"), device="cpu")
    ranking = losses.MultipleNegativesRankingLoss
    cases = [
        (ranking(model, scale=20.0), PAIRED, "MultipleNegativesRankingLoss"),
        (ranking(model, scale=30.0), PAIRED, "MultipleNegativesRankingLoss (scale 30)"),
        (
            losses.MatryoshkaLoss(model, ranking(model), [16, 8]),
            PAIRED,
            "MatryoshkaLoss (matryoshka_dims [16, 8]) around MultipleNegativesRankingLoss",
        ),
        (Squares(model), PAIRED, "custom loss (Squares)"),
        (
            {"x": ranking(model), "y": losses.CosineSimilarityLoss(model)},
            {"x": PAIRED, "y": SCORED},
            "x: MultipleNegativesRankingLoss; y: CosineSimilarityLoss",
        ),
    ]
    for number, (loss, rows, expected) in enumerate(cases):
        record, _, _ = embedded(tmp_path / str(number), model, loss, rows)

        assert record.training.objective == f"sentence embeddings, {expected}"


def test_the_losses_of_cross_and_sparse_encoders_are_named(encoder, tmp_path):
    with hosts.quiet():
        from sentence_transformers.cross_encoder import losses
        from sentence_transformers.sparse_encoder import losses as sparse_losses

        cross = st.CrossEncoder(str(encoder / "cross"), device="cpu")
        sparse = st.SparseEncoder(str(encoder / "sparse"), device="cpu")
    weighted = losses.BinaryCrossEntropyLoss(cross, pos_weight=torch.tensor(3.0))
    inner = sparse_losses.SparseMultipleNegativesRankingLoss(sparse)
    splade = sparse_losses.SpladeLoss(
        sparse, inner, document_regularizer_weight=3e-5, query_regularizer_weight=5e-5
    )

    scored, _, _ = embedded(tmp_path / "cross", cross, weighted, SCORED, "CrossEncoder")
    sparsed, _, _ = embedded(tmp_path / "sparse", sparse, splade, PAIRED, "SparseEncoder")

    assert scored.training.objective == "text pair scoring, BinaryCrossEntropyLoss (pos_weight 3)"
    weights = "document_regularizer_weight 3e-05, query_regularizer_weight 5e-05"
    expected = (
        f"sparse embeddings, SpladeLoss ({weights}) around SparseMultipleNegativesRankingLoss"
    )
    assert sparsed.training.objective == expected


def test_an_evaluator_s_metrics_are_its_own_and_told_once(encoder, tmp_path):
    with hosts.quiet():
        from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator
        from sentence_transformers.losses import MultipleNegativesRankingLoss

        model = st.SentenceTransformer(str(encoder / "bert"), device="cpu")
    texts = (["the cat", "a dog", "a cat ran"], ["a cat", "the dog", "off"], [0.1, 0.9, 0.3])
    sets = {"nli": Dataset.from_dict(PAIRED), "sts": Dataset.from_dict(PAIRED).select(range(3))}

    _, _, host = embedded(
        tmp_path,
        model,
        MultipleNegativesRankingLoss(model),
        PAIRED,
        eval_dataset=sets,
        evaluator=EmbeddingSimilarityEvaluator(*texts, name="dev"),
        eval_strategy="steps",
        eval_steps=1,
    )
    during = load(tmp_path).evaluation.results
    with hosts.quiet():
        told = host.evaluate()
    after = load(tmp_path).evaluation.results

    for results in (during, after):
        found = sorted((one.dataset, one.name) for one in results)
        own = [("evaluator", "dev_pearson_cosine"), ("evaluator", "dev_spearman_cosine")]
        assert found == [*own, ("nli", "loss"), ("sts", "loss")]
    values = {one.name: one.value for one in after if one.dataset == "evaluator"}
    assert values["dev_pearson_cosine"] == pytest.approx(told["eval_nli_dev_pearson_cosine"])


def test_one_figure_of_two_reward_functions_with_one_name_is_that_of_neither(base, tmp_path):
    def other(completions, **_):
        return [3.0 * len(completion) for completion in completions]

    other.__name__ = longer.__name__
    rewarded = {"reward_funcs": [longer, other], "reward_weights": [1.0, 0.5]}

    record, card, host = trained(
        base, tmp_path, trl.GRPOTrainer, trl.GRPOConfig, PROMPTS, **rewarded, **GENERATED
    )

    last = [entry for entry in host.state.log_history if "reward" in entry][-1]
    name = "longer and longer (2), averaged"
    assert record.evaluation.rewards[f"rewards/{name}/mean"] == pytest.approx(
        last["rewards/longer/mean"]
    )
    assert [one for one in record.evaluation.rewards if one.startswith("rewards/")] == [
        f"rewards/{name}/mean"
    ]
    assert f"(of `{name}` " in card
