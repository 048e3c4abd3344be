"""The code on the card of an image or speech model runs on an input: it is run, beside one."""

from __future__ import annotations

import json
import re

import pytest
import torch
import transformers
from datasets import Dataset

from autocard import AutoCardCallback
from autocard.record import load
from support import models, training

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TOKENS = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "a": 5, "b": 6, "c": 7}


def python_on(card):
    """Return the Python that a card shows."""
    return re.search(r"```python\n(.*?)\n```", card, re.DOTALL)[1]


def stack(rows):
    return {name: torch.stack([torch.tensor(row[name]) for row in rows]) for name in rows[0]}


def trained(out, model, rows, processor):
    """Train as scripts do: train, save, evaluate."""
    trainer = transformers.Trainer(
        model=model,
        args=training.arguments(out, max_steps=2),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows),
        data_collator=stack,
        processing_class=processor,
        callbacks=[AutoCardCallback(emissions=False)],
    )
    trainer.train()
    trainer.save_model()
    trainer.evaluate()
    return trainer.model.eval()


def run_code(folder, monkeypatch):
    """Run the code that the card in *folder* shows; return its variables."""
    monkeypatch.chdir(folder)
    namespace: dict = {}
    exec(python_on((folder / "README.md").read_text(encoding="utf-8")), namespace)  # noqa: S102
    return namespace


def wav2vec2_config():
    return transformers.Wav2Vec2Config(
        **models.sizes(), conv_dim=(16, 16), conv_stride=(5, 4), conv_kernel=(10, 8), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, pad_token_id=0, ctc_loss_reduction="mean",
        mask_time_prob=0.0, ctc_zero_infinity=True, id2label={0: "calm", 1: "storm"}, classifier_proj_size=8,
    )  # fmt: skip


def extractor():
    return transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000)


def test_the_code_of_an_image_classifier_reads_an_image_and_answers_as_the_trained_model(
    tmp_path, monkeypatch, capsys
):
    from PIL import Image

    config = transformers.ViTConfig(
        **SMALL, image_size=16, patch_size=8, id2label={0: "calm", 1: "storm"}
    )
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16})
    rows = [
        {"pixel_values": torch.rand(3, 16, 16).tolist(), "labels": number % 2}
        for number in range(8)
    ]
    model = trained(tmp_path, transformers.ViTForImageClassification(config), rows, processor)
    image = Image.new("RGB", (40, 30), (200, 100, 50))
    image.save(tmp_path / "image.jpg")
    capsys.readouterr()

    got = run_code(tmp_path, monkeypatch)

    with Image.open(tmp_path / "image.jpg") as saved:
        pixels = processor(images=saved.convert("RGB"), return_tensors="pt")
    with torch.no_grad():
        expected = model(**pixels).logits[0]
    assert torch.allclose(got["scores"], expected, atol=1e-5)
    assert ("calm", "storm")[expected.argmax().item()] in capsys.readouterr().out


def test_the_code_of_a_speech_recognizer_decodes_samples(tmp_path, monkeypatch, capsys):
    words = tmp_path / "words"
    words.mkdir()
    (words / "vocab.json").write_text(json.dumps(TOKENS), encoding="utf-8")
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(words / "vocab.json"))
    processor = transformers.Wav2Vec2Processor(extractor(), tokenizer)
    rows = [{"input_values": torch.rand(800).tolist(), "labels": [5, 6, 7]} for _ in range(8)]
    out = tmp_path / "out"
    model = trained(out, transformers.Wav2Vec2ForCTC(wav2vec2_config()), rows, processor)
    capsys.readouterr()

    got = run_code(out, monkeypatch)

    samples = processor([0.0] * 8000, sampling_rate=8000, return_tensors="pt")
    with torch.no_grad():
        expected = model(**samples).logits.argmax(dim=-1)
    assert got["ids"].tolist() == expected.tolist()
    assert capsys.readouterr().out == processor.batch_decode(expected)[0] + "\n"


def test_the_code_of_an_audio_classifier_names_a_label(tmp_path, monkeypatch, capsys):
    rows = [{"input_values": torch.rand(800).tolist(), "labels": number % 2} for number in range(8)]
    trained(
        tmp_path,
        transformers.Wav2Vec2ForSequenceClassification(wav2vec2_config()),
        rows,
        extractor(),
    )
    capsys.readouterr()

    run_code(tmp_path, monkeypatch)

    assert capsys.readouterr().out.split()[0] in {"calm", "storm"}


@pytest.mark.parametrize("missing", ["preprocessor_config.json", None])
def test_without_a_saved_processor_the_code_loads_the_model_alone(tmp_path, missing):
    config = transformers.ViTConfig(**SMALL, image_size=16, patch_size=8)
    rows = [{"pixel_values": torch.rand(3, 16, 16).tolist(), "labels": 0} for _ in range(4)]
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16})
    trained(
        tmp_path,
        transformers.ViTForImageClassification(config),
        rows,
        None if missing else processor,
    )

    code = python_on((tmp_path / "README.md").read_text(encoding="utf-8"))

    assert ("AutoImageProcessor.from_pretrained" in code) == (missing is None)
    assert ("image.jpg" in code) == (missing is None)
    assert load(tmp_path).model.auto_class == "AutoModelForImageClassification"
