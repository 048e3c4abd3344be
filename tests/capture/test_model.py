"""The model's facts, against counts from state dicts and what the test itself put there."""

import json
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers

from autocard.capture.model import artifacts, model
from autocard.errors import UnavailableError
from autocard.record import empty_leaves
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import models
from support.counting import steps

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def look(made, output_dir="runs/my-model", settings=None, **arguments):
    """Capture *made* as a callback would see it; every fact that is None has its reason."""
    args = SimpleNamespace(output_dir=output_dir, hub_model_id=None, **arguments)
    part = model.capture(observe(settings or Settings(), args, None, model=made))
    unexplained = [name for name in empty_leaves(part.value) if name not in part.gaps]
    assert unexplained == []
    return part.value, part.gaps


def in_state_dict(made):
    """Count numbers in a state dict: the oracle knows nothing of parameters()."""
    return sum(
        tensor.numel() for name, tensor in made.state_dict().items() if "position_ids" not in name
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return models.save(models.bert(), tmp_path_factory.mktemp("weights") / "base")


def hub_cache(folder, repo, sha, saved, monkeypatch, ref="main"):
    """Lay *saved* out as the Hub's cache does; return the snapshot's folder."""
    home = folder / f"models--{repo.replace('/', '--')}"
    snapshot = home / "snapshots" / sha
    snapshot.mkdir(parents=True)
    for file in saved.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    (home / "refs").mkdir(exist_ok=True)
    (home / "refs" / ref).write_text(sha)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return snapshot


# -- counts ----------------------------------------------------------------------------------------


def test_a_full_fine_tune_trains_all_of_its_parameters(base):
    made = models.load("AutoModelForSequenceClassification", base)

    part, _ = look(made)

    assert part.parameters_total == part.parameters_trainable == in_state_dict(made)


def test_a_lora_model_counts_its_adapter_and_trains_no_more_than_it(base):
    made = models.lora(
        models.load("AutoModelForSequenceClassification", base), r=3, target_modules=["query"]
    )

    part, _ = look(made)

    adapter = 2 * (16 * 3 + 3 * 16)  # layers × (A and B of one 16 × 16 projection)
    assert part.parameters_trainable == adapter
    assert part.parameters_total == in_state_dict(made)


def test_tied_embeddings_count_once():
    tied, untied = models.llama(tie_word_embeddings=True), models.llama(tie_word_embeddings=False)

    assert model.count(untied)[0] - model.count(tied)[0] == len(models.WORDS) * 16


def test_frozen_layers_are_not_trainable():
    made = models.bert()
    made.bert.requires_grad_(False)

    total, trainable = model.count(made)

    assert trainable == 2 * 16 + 2
    assert total == in_state_dict(made)


def test_parameters_that_zero_3_took_apart_count_whole():
    made = torch.nn.Linear(4, 4)
    made.weight.ds_numel = 16
    made.weight.data = torch.empty(0)

    assert model.count(made) == (20, 20)


def test_four_bit_parameters_count_each_packed_weight():
    class Params4bit(torch.nn.Parameter):
        """As bitsandbytes packs them: two weights in a byte; the class is told by its name."""

    packed = torch.nn.Module()
    packed.weight = Params4bit(torch.zeros(50, 1, dtype=torch.uint8), requires_grad=False)
    stored_wide = torch.nn.Module()
    stored_wide.weight = Params4bit(torch.zeros(25, 1, dtype=torch.bfloat16), requires_grad=False)

    assert model.count(packed) == (100, 0)
    assert model.count(stored_wide) == (100, 0)


def test_weights_packed_into_whole_numbers_are_not_counted_wrongly():
    made = models.llama()
    made.config.quantization_config = {"quant_method": "gptq", "bits": 4}

    part, missing = look(made)

    assert part.parameters_total is None
    assert "gptq" in missing["parameters_total"]


def test_what_fsdp_sharded_is_not_counted():
    class FullyShardedDataParallel(torch.nn.Module):
        def __init__(self, inside):
            super().__init__()
            self._fsdp_wrapped_module = inside

    sharded = FullyShardedDataParallel(models.bert())

    with pytest.raises(UnavailableError, match="sharded"):
        model.count(sharded)
    part, missing = look(sharded)
    assert part.architecture == "BertForSequenceClassification"
    assert "sharded" in missing["parameters_trainable"]


def test_a_thousand_modules_of_a_billion_parameters_take_steps_in_proportion():
    def twin(layers):
        with torch.device("meta"):
            config = transformers.LlamaConfig(
                hidden_size=2048, num_hidden_layers=layers, intermediate_size=5632
            )
            return transformers.LlamaForCausalLM(config)

    small, large, parts = twin(20), twin(80), []
    look(small)  # what is loaded once is loaded

    few = steps(lambda: look(small))
    many = steps(lambda: parts.append(look(large)[0]))

    # How long that takes is measured in benchmarks/capture_cost.py.
    assert len(list(large.modules())) > 1000
    assert parts[0].parameters_total > 10**9
    assert many < 4.5 * few


# -- base ------------------------------------------------------------------------------------------


def test_a_base_from_a_local_folder_is_never_told_by_its_path(base):
    part, missing = look(models.load("AutoModelForSequenceClassification", base))

    assert part.base_model is None
    assert part.base_model_description == "a local checkpoint"
    assert part.base_model_relation == "finetune"
    assert base not in part.model_dump_json() + json.dumps(missing)


def test_the_person_s_word_on_the_base_wins(base):
    made = models.lora(models.load("AutoModelForSequenceClassification", base))

    part, missing = look(made, settings=Settings(base_model="org/true-base"))

    assert part.base_model == "org/true-base"
    assert part.base_model_relation == "adapter"
    assert "author" in missing["base_model_revision"]


def test_weights_that_were_initialized_have_no_base():
    part, missing = look(models.llama())

    assert part.base_model is None
    assert part.base_model_description == "none (trained from scratch)"
    assert part.base_model_relation is None
    assert "initialized" in missing["base_model_relation"]


def test_another_model_s_configuration_alone_is_no_base():
    made = models.llama()
    made.config._name_or_path = "org/tiny"

    part, _ = look(made)

    assert part.base_model is None
    assert (
        part.base_model_description
        == "none (trained from scratch with the configuration of org/tiny)"
    )


def test_a_snapshot_of_the_hub_s_cache_gives_id_and_commit(base, tmp_path, monkeypatch):
    snapshot = hub_cache(tmp_path, "org/tiny-Bert", "a" * 40, Path(base), monkeypatch)

    part, _ = look(models.load("AutoModelForSequenceClassification", str(snapshot)))

    assert (part.base_model, part.base_model_revision) == ("org/tiny-Bert", "a" * 40)
    assert part.base_model_relation == "finetune"


def test_a_hub_id_gets_its_commit_from_the_cache_when_only_one_was_loaded(
    base, tmp_path, monkeypatch
):
    snapshot = hub_cache(tmp_path, "org/tiny", "b" * 40, Path(base), monkeypatch)
    made = models.load("AutoModelForSequenceClassification", str(snapshot))
    made.config._name_or_path = "org/tiny"  # what loading by id leaves
    assert look(made)[0].base_model_revision == "b" * 40

    hub_cache(tmp_path, "org/tiny", "c" * 40, Path(base), monkeypatch)

    part, missing = look(made)
    assert part.base_model == "org/tiny"
    assert part.base_model_revision is None
    assert "several revisions" in missing["base_model_revision"]


def test_the_revision_that_an_adapter_asks_for_is_looked_up(base, tmp_path, monkeypatch):
    hub_cache(tmp_path, "org/tiny", "b" * 40, Path(base), monkeypatch)
    snapshot = hub_cache(tmp_path, "org/tiny", "c" * 40, Path(base), monkeypatch, ref="v1")
    made = models.load("AutoModelForSequenceClassification", str(snapshot))
    made.config._name_or_path = "org/tiny"

    part, _ = look(models.lora(made, revision="v1"))

    assert part.base_model_revision == "c" * 40


@pytest.mark.parametrize(
    "gone", ["gone", "checkpoints/my-run", "someone/checkpoint-500", "./model", "a/b/c"]
)
def test_a_folder_that_has_gone_is_not_taken_for_a_hub_id(base, gone):
    made = models.load("AutoModelForSequenceClassification", base)
    made.config._name_or_path = gone

    part, _ = look(made)

    assert part.base_model is None
    assert part.base_model_description == "a local checkpoint"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("README.md", "---\nlicense: mit\nbase_model: org/grand\n---\n# x\n"),
        ("README.md", "---\nbase_model:\n- org/grand\n---\n"),
        ("adapter_config.json", json.dumps({"base_model_name_or_path": "org/grand"})),
    ],
)
def test_a_local_checkpoint_s_own_files_are_followed_one_level(base, tmp_path, file, text):
    made = models.load("AutoModelForSequenceClassification", base)
    made.config._name_or_path = str(tmp_path)
    (tmp_path / file).write_text(text)

    part, _ = look(made)

    assert part.base_model == "org/grand"
    assert "local checkpoint" in part.base_model_description


@pytest.mark.parametrize(
    "text",
    [
        "---\nbase_model: /home/a/b\n---\n",
        "---\n: [\n---\n",
        "",
        "---\nbase_model: [a/b, c/d]\n---\n",
    ],
)
def test_a_local_checkpoint_s_own_files_are_not_believed_blindly(base, tmp_path, text):
    made = models.load("AutoModelForSequenceClassification", base)
    made.config._name_or_path = str(tmp_path)
    (tmp_path / "README.md").write_text(text)

    part, _ = look(made)

    assert part.base_model is None


# -- what it is ------------------------------------------------------------------------------------


def encoder_decoder():
    return models.t5(vocab_size=20)


def masked():
    return models.bert(transformers.BertForMaskedLM)


def bare():
    return models.bert(transformers.BertModel)


@pytest.mark.parametrize(
    ("make", "tag", "auto"),
    [
        (models.bert, "text-classification", "AutoModelForSequenceClassification"),
        (models.llama, "text-generation", "AutoModelForCausalLM"),
        (masked, "fill-mask", "AutoModelForMaskedLM"),
        (bare, "feature-extraction", "AutoModel"),
        (encoder_decoder, None, "AutoModelForSeq2SeqLM"),
    ],
)
def test_the_head_decides_tag_and_auto_class(make, tag, auto):
    made = make()

    part, missing = look(made)

    assert (part.pipeline_tag, part.auto_class) == (tag, auto)
    # The oracle: the Auto class, given the configuration, makes this very class.
    assert type(getattr(transformers, auto).from_config(made.config)) is type(made)
    assert (part.pipeline_tag is None) == ("pipeline_tag" in missing)


def test_every_tag_that_can_be_told_is_one_of_the_hub_s():
    from autocard.capture.model import tasks

    known = set(HUB_TAGS.split())

    told = {
        head.tag
        for table in (tasks._BY_SUFFIX, tasks._BY_AUTO_CLASS, tasks._SENTENCE_TRANSFORMERS)
        for head in table.values()
    }

    assert told - {None} <= known
    assert len(known) == 57


def test_every_auto_class_that_can_be_told_exists():
    from autocard.capture.model import tasks

    assert [name for name in tasks._MAPPINGS.values() if not hasattr(transformers, name)] == []


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            models.llama,
            {
                "layers": 2,
                "hidden_size": 16,
                "attention_heads": 4,
                "key_value_heads": 2,
                "head_size": 4,
                "intermediate_size": 32,
                "vocabulary": len(models.WORDS),
                "context_length": 64,
            },
        ),
        (
            encoder_decoder,
            {
                "layers": 2,
                "decoder_layers": 2,
                "hidden_size": 16,
                "attention_heads": 2,
                "head_size": 8,
                "intermediate_size": 32,
                "vocabulary": 20,
            },
        ),
    ],
)
def test_dimensions_are_named_alike_in_all_families(make, expected):
    part, _ = look(make())

    assert part.dims == expected


@pytest.mark.skipif(
    not hasattr(transformers, "DeepseekV3Config"), reason="this transformers has no DeepSeek"
)
def test_the_head_sizes_of_latent_attention_are_those_of_its_queries_keys_and_values():
    config = transformers.DeepseekV3Config(
        vocab_size=14, hidden_size=16, intermediate_size=32, moe_intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, n_routed_experts=4, num_experts_per_tok=2, kv_lora_rank=8,
        q_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=8, v_head_dim=6, n_group=1, topk_group=1,
        first_k_dense_replace=1, max_position_embeddings=64,
    )  # fmt: skip
    made = transformers.DeepseekV3ForCausalLM(config)

    dims = look(made)[0].dims

    attention = made.model.layers[0].self_attn
    assert dims["query_key_head_size"] == attention.q_b_proj.out_features // 2 == 12
    assert dims["value_head_size"] == attention.o_proj.in_features // 2 == 6
    assert "head_size" not in dims


def test_gpt_2_s_own_names_of_dimensions_are_understood():
    config = transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=32, vocab_size=40)

    found = model.dims(config)

    assert found == {
        "layers": 3,
        "hidden_size": 16,
        "attention_heads": 2,
        "vocabulary": 40,
        "context_length": 32,
    }


def test_roberta_s_position_table_is_longer_than_its_context():
    config = transformers.RobertaConfig(max_position_embeddings=514, pad_token_id=1)

    assert model.dims(config)["context_length"] == 512


def test_experts_are_counted():
    config = transformers.MixtralConfig(num_local_experts=8, num_experts_per_tok=2)

    found = model.dims(config)

    assert (found["experts"], found["experts_per_token"]) == (8, 2)


def test_labels_are_told_only_where_somebody_named_them():
    named = models.bert(id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})

    assert look(named)[0].labels == ["no", "yes"]
    assert look(models.bert())[0].labels == []


def test_one_score_is_a_regression():
    assert look(models.bert(num_labels=1))[0].task == "sequence regression"


# -- name ------------------------------------------------------------------------------------------


def test_the_name_is_the_hub_id_else_the_folder_s():
    args = SimpleNamespace(output_dir="x/y", hub_model_id="org/name")
    seen = observe(Settings(), args, None, model=models.bert())

    assert model.capture(seen).value.name == "org/name"
    assert look(models.bert(), "x/my-model/")[0].name == "my-model"


@pytest.mark.parametrize(
    "folder", [".", "", "/", "trainer_output", "scratch/tmpab12cd34", "x/checkpoint-50"]
)
def test_a_folder_that_names_nothing_gives_a_name_of_base_and_task(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "_NO_NAMES", model._NO_NAMES | {tmp_path.name.lower()})

    part, _ = look(models.bert(), folder, Settings(base_model="org/tiny"))

    assert part.name == "tiny-text-classification"


@pytest.mark.parametrize("folder", ["/home/alice", "runs/alice-bert", "runs/box17.corp-bert"])
def test_a_folder_named_after_the_user_or_the_machine_is_not_told(folder, monkeypatch):
    monkeypatch.setenv("USER", "alice")
    monkeypatch.setattr("platform.node", lambda: "box17.corp")

    part, _ = look(models.bert(), folder)

    assert part.name == "BertForSequenceClassification-text-classification"


# -- hosts that are not what one expects -----------------------------------------------------------


def test_a_module_without_any_configuration_gives_what_it_has():
    part, missing = look(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)))

    assert part.architecture == "Sequential"
    assert (part.parameters_total, part.parameters_trainable) == (21, 21)
    assert part.library_name is None
    assert "transformers" in missing["model_type"]


def test_a_compiled_model_is_the_model_inside():
    part, _ = look(torch.compile(models.bert(), backend="eager"))

    assert part.architecture == "BertForSequenceClassification"
    assert part.library_name == "transformers"


def test_a_mixed_model_of_peft_has_an_adapter(base):
    from peft import LoHaConfig, LoraConfig, get_peft_model

    made = get_peft_model(
        models.load("AutoModelForSequenceClassification", base),
        LoraConfig(target_modules=["query"]),
        mixed=True,
    )
    made.add_adapter("other", LoHaConfig(target_modules=["value"]))

    part, _ = look(made)

    assert part.architecture == "BertForSequenceClassification"
    assert (part.library_name, part.base_model_relation) == ("peft", "adapter")


def test_a_native_adapter_counts_as_one(base):
    from peft import LoraConfig

    made = models.load("AutoModelForSequenceClassification", base)
    made.add_adapter(LoraConfig(r=2, target_modules=["query"]))

    part, _ = look(made)

    assert (part.library_name, part.base_model_relation) == ("peft", "adapter")


def test_prompt_tuning_leaves_the_architecture_what_it_is():
    from peft import PromptTuningConfig, get_peft_model

    part, _ = look(
        get_peft_model(
            models.llama(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
        )
    )

    assert part.architecture == "LlamaForCausalLM"
    assert part.parameters_trainable == 3 * 16


def test_capturing_changes_nothing_and_draws_no_random_numbers(base):
    made = models.lora(models.load("AutoModelForSequenceClassification", base))
    made.train()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    attributes, random = set(vars(made)), torch.get_rng_state()

    look(made)

    assert torch.equal(torch.get_rng_state(), random)
    assert set(vars(made)) == attributes
    assert made.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())


# -- saved weights ---------------------------------------------------------------------------------


def test_saved_bytes_are_those_of_the_weights_alone(tmp_path):
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"x" * 100)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(b"x" * 50)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 999)
    (tmp_path / "training_args.bin").write_bytes(b"x" * 7)
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1" / "model.safetensors").write_bytes(b"x" * 11)

    assert artifacts.saved_bytes(tmp_path) == 150


def test_saved_bytes_of_an_adapter_are_those_of_its_file(base, tmp_path):
    models.save(models.lora(models.load("AutoModelForSequenceClassification", base)), tmp_path)

    assert (
        artifacts.saved_bytes(tmp_path) == (tmp_path / "adapter_model.safetensors").stat().st_size
    )


def test_the_size_of_a_checkpoint_is_that_of_its_files_on_disk(tmp_path):
    watch = models.Watch()
    models.train(
        models.llama(),
        models.language(),
        tmp_path,
        watch,
        max_steps=4,
        save_strategy="steps",
        save_steps=2,
    )
    (tmp_path / "checkpoint-notes").mkdir()

    told = subprocess.run(
        ["find", str(tmp_path / "checkpoint-4"), "-type", "f", "-printf", "%s\n"],
        capture_output=True,
        check=True,
    ).stdout
    assert artifacts.checkpoint_bytes(tmp_path) == sum(map(int, told.split()))
    with pytest.raises(UnavailableError, match="no checkpoint"):
        artifacts.checkpoint_bytes(tmp_path, since_s=time.time() + 10)


@pytest.mark.parametrize("only_model", [True, False])
def test_a_checkpoint_without_the_optimizer_s_state_is_not_said_to_hold_it(only_model, tmp_path):
    from autocard import AutoCardCallback
    from support import training

    settings = {
        "save_strategy": "steps",
        "save_steps": 2,
        "max_steps": 2,
        "save_only_model": only_model,
    }
    training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)], **settings).train()

    card = (tmp_path / "README.md").read_text()
    assert (tmp_path / "checkpoint-2" / "optimizer.pt").exists() is not only_model
    told = json.loads((tmp_path / "autocard.json").read_text())["model"]
    assert told["checkpoint_has_optimizer"] is not only_model
    assert ("Checkpoint size, without optimizer state" in card) is only_model
    assert ("Checkpoint size, with optimizer state" in card) is not only_model


def test_saved_files_are_those_of_this_run(tmp_path):
    for name, seconds in {
        "config.json": 3000,
        "tokenizer.json": 1000,
        "secret-notes.json": 3000,
    }.items():
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, (seconds, seconds))

    assert artifacts.saved_files(tmp_path) == ["config.json", "tokenizer.json"]
    assert artifacts.saved_files(tmp_path, since_s=2000) == ["config.json"]
    assert artifacts.saved_files(tmp_path / "nowhere") == []


def test_an_adapters_configuration_that_was_left_behind_is_among_the_files_that_loading_reads(
    tmp_path,
):
    for name, seconds in {
        "model.safetensors": 3000,
        "adapter_config.json": 1000,
        "adapter_model.bin": 1000,
    }.items():
        (tmp_path / name).write_bytes(b"x" * seconds)
        os.utime(tmp_path / name, (seconds, seconds))

    assert artifacts.saved_files(tmp_path, since_s=2000) == [
        "adapter_config.json",
        "model.safetensors",
    ]
    assert artifacts.saved_bytes(tmp_path, since_s=2000) == 3000
    assert artifacts.saved_bytes(tmp_path) == 1000


def test_weights_of_an_earlier_run_are_not_this_run_s(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    os.utime(tmp_path / "model.safetensors", (1000, 1000))

    assert artifacts.saved_bytes(tmp_path, since_s=2000) is None
    assert artifacts.saved_bytes(tmp_path / "nowhere") is None


HUB_TAGS = """
text-classification token-classification table-question-answering question-answering zero-shot-classification
translation summarization feature-extraction text-generation fill-mask sentence-similarity text-to-speech
text-to-audio automatic-speech-recognition audio-to-audio audio-classification audio-text-to-text
voice-activity-detection depth-estimation image-classification object-detection image-segmentation text-to-image
image-to-text image-to-image image-to-video unconditional-image-generation video-classification
reinforcement-learning robotics tabular-classification tabular-regression tabular-to-text table-to-text
multiple-choice text-ranking text-retrieval time-series-forecasting text-to-video image-text-to-text
image-text-to-image image-text-to-video visual-question-answering document-question-answering
zero-shot-image-classification graph-ml mask-generation zero-shot-object-detection text-to-3d image-to-3d
image-feature-extraction video-text-to-text keypoint-detection visual-document-retrieval any-to-any video-to-video
other
"""
"""huggingface.js, packages/tasks/src/pipelines.ts."""


# -- models of parts -------------------------------------------------------------------------------


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def of_parts():
    vision = {**SMALL, "hidden_size": 24, "num_hidden_layers": 3, "image_size": 16, "patch_size": 8}
    text = {**SMALL, "vocab_size": 50}
    encoder, decoder = (
        transformers.BertConfig(**text),
        transformers.BertConfig(**{**text, "num_hidden_layers": 1}),
    )
    decoder.is_decoder = decoder.add_cross_attention = True
    pair = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    whisper = {
        "encoder_layers": 3,
        "decoder_layers": 1,
        "encoder_ffn_dim": 20,
        "decoder_ffn_dim": 28,
    }
    heads = {
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 4,
        "d_model": 16,
        "vocab_size": 60,
    }
    places = {
        "max_source_positions": 30,
        "max_target_positions": 20,
        "pad_token_id": 0,
        "bos_token_id": 1,
    }
    ends = {"eos_token_id": 2, "decoder_start_token_id": 1}
    return {
        "CLIP": transformers.CLIPModel(
            transformers.CLIPConfig(text_config=text, vision_config=vision)
        ),
        "BLIP": transformers.BlipForConditionalGeneration(
            transformers.BlipConfig(
                text_config={
                    **text,
                    "encoder_hidden_size": 24,
                    "bos_token_id": 1,
                    "sep_token_id": 2,
                },
                vision_config=vision,
            )
        ),
        "pair": transformers.EncoderDecoderModel(config=pair),
        "Whisper": transformers.WhisperForConditionalGeneration(
            transformers.WhisperConfig(**whisper, **heads, **places, **ends)
        ),
        "T5": transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                vocab_size=50,
                d_model=16,
                num_layers=3,
                num_decoder_layers=1,
                num_heads=2,
                d_kv=8,
                d_ff=32,
            )
        ),
    }


@pytest.mark.parametrize(
    ("name", "part", "told"),
    [
        ("CLIP", "text", {"layers": 2, "hidden_size": 16, "vocabulary": 50}),
        ("CLIP", "vision", {"layers": 3, "hidden_size": 24, "image_size": 16, "patch_size": 8}),
        ("BLIP", "vision", {"layers": 3, "hidden_size": 24}),
        ("pair", "encoder", {"layers": 2, "hidden_size": 16}),
        ("pair", "decoder", {"layers": 1, "hidden_size": 16}),
        (
            "Whisper",
            "encoder",
            {"layers": 3, "intermediate_size": 20, "attention_heads": 2, "context_length": 30},
        ),
        (
            "Whisper",
            "decoder",
            {"layers": 1, "intermediate_size": 28, "attention_heads": 4, "context_length": 20},
        ),
        ("T5", "encoder", {"layers": 3, "intermediate_size": 32}),
        ("T5", "decoder", {"layers": 1}),
    ],
)
def test_each_part_of_a_model_of_several_has_its_own_dimensions(name, part, told):
    found, _ = look(of_parts()[name])

    assert {key: found.parts[part].get(key) for key in told} == told


def test_a_model_of_one_part_has_no_parts():
    assert look(models.llama())[0].parts == {}
    assert look(models.bert())[0].parts == {}


def test_the_size_of_experts_is_that_of_their_tensors_and_no_size_is_told_that_no_tensor_has():
    sizes = {
        **SMALL,
        "vocab_size": 50,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "intermediate_size": 64,
    }
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
    sparse = transformers.Qwen3MoeForCausalLM(
        transformers.Qwen3MoeConfig(**sizes, **experts, decoder_sparse_step=1)
    )
    mixed = transformers.Qwen3MoeForCausalLM(
        transformers.Qwen3MoeConfig(**sizes, **experts, mlp_only_layers=[0])
    )

    assert not any(64 in weight.shape for weight in sparse.parameters())
    assert "intermediate_size" not in look(sparse)[0].dims
    assert look(sparse)[0].dims["expert_intermediate_size"] == 24
    assert any(64 in weight.shape for weight in mixed.parameters())
    assert look(mixed)[0].dims["intermediate_size"] == 64


def test_a_state_space_model_tells_the_size_of_its_state():
    made = transformers.MambaForCausalLM(
        transformers.MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4)
    )

    assert look(made)[0].dims["state_size"] == 4
