"""Dimensions of models that are built otherwise than their configuration says, against the modules and tensors."""

from __future__ import annotations

import pytest
import transformers
from torch import nn

from autocard.capture.model.dimensions import dims, parts
from support import models

SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = {**SMALL, "vocab_size": 50}


def bert(layers=3):
    return models.bert(vocab_size=50, num_hidden_layers=layers)


def llama():
    return models.llama(vocab_size=50, num_attention_heads=2, num_hidden_layers=3)


def gpt2():
    return models.gpt2(n_layer=3, vocab_size=50)


def t5():
    return models.t5(vocab_size=50, num_layers=3, num_decoder_layers=2)


def bart():
    sizes = {
        "encoder_layers": 3,
        "decoder_layers": 2,
        "encoder_ffn_dim": 20,
        "decoder_ffn_dim": 20,
        "d_model": 16,
    }
    return transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            vocab_size=50, encoder_attention_heads=2, decoder_attention_heads=2, **sizes
        )
    )


def wav2vec2(cls):
    conv = {
        "conv_dim": (8, 8),
        "conv_stride": (5, 2),
        "conv_kernel": (10, 3),
        "num_feat_extract_layers": 2,
    }
    small = {
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
        "classifier_proj_size": 8,
    }
    return cls(transformers.Wav2Vec2Config(**SMALL, **conv, **small, num_hidden_layers=3))


CUT = {
    "bert": (bert, lambda made: made.bert.encoder, "layer"),
    "llama": (llama, lambda made: made.model, "layers"),
    "gpt2": (gpt2, lambda made: made.transformer, "h"),
    "wav2vec2": (lambda: wav2vec2(transformers.Wav2Vec2Model), lambda made: made.encoder, "layers"),
    "t5": (t5, lambda made: made.encoder, "block"),
    "bart": (bart, lambda made: made.model.encoder, "layers"),
}


@pytest.mark.parametrize("family", CUT)
@pytest.mark.parametrize("left", [1, 3])
def test_layers_are_those_of_the_list_of_modules_whatever_the_configuration_says(family, left):
    make, holder_of, name = CUT[family]
    made = make()
    holder = holder_of(made)
    setattr(holder, name, getattr(holder, name)[:left])

    assert dims(made.config, made)["layers"] == left == len(getattr(holder, name))


def test_a_layer_that_does_nothing_is_not_counted():
    made = bert()
    made.bert.encoder.layer[1] = nn.Identity()

    assert dims(made.config, made)["layers"] == 2


@pytest.mark.parametrize("make", [t5, bart])
def test_layers_cut_off_a_decoder_leave_those_of_the_encoder(make):
    made = make()
    stack = made.get_decoder()
    name = "block" if hasattr(stack, "block") else "layers"
    setattr(stack, name, getattr(stack, name)[:1])

    found = parts(made.config, made)

    assert (found["encoder"]["layers"], found["decoder"]["layers"]) == (3, 1)
    assert dims(made.config, made)["decoder_layers"] == 1


def test_layers_cut_off_one_part_of_a_model_of_two_leave_those_of_the_other():
    vision = {**SMALL, "num_hidden_layers": 2, "image_size": 16, "patch_size": 8}
    text = {**WORDS, "num_hidden_layers": 2}
    made = transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision))
    encoder = next(one for name, one in made.named_modules() if name.endswith("text_model.encoder"))
    encoder.layers = encoder.layers[:1]

    found = parts(made.config, made)

    assert (found["text"]["layers"], found["vision"]["layers"]) == (1, 2)
    assert found["vision"]["image_size"] == 16


def test_layers_that_share_their_weights_are_as_many_as_the_configuration_says():
    config = transformers.AlbertConfig(
        **WORDS, embedding_size=8, num_hidden_layers=4, num_hidden_groups=1
    )
    made = transformers.AlbertForSequenceClassification(config)

    assert dims(made.config, made)["layers"] == 4


def test_an_encoder_without_a_decoder_has_no_layers_of_one():
    made = transformers.T5EncoderModel(t5().config)

    assert "decoder_layers" not in dims(made.config, made)


def test_a_sound_classifier_has_no_vocabulary_and_a_recognizer_of_speech_has_one():
    sounds = wav2vec2(transformers.Wav2Vec2ForSequenceClassification)
    speech = wav2vec2(transformers.Wav2Vec2ForCTC)

    assert not any(isinstance(one, nn.Embedding) for one in sounds.modules())
    assert "vocabulary" not in dims(sounds.config, sounds)
    assert dims(speech.config, speech)["vocabulary"] == speech.lm_head.out_features == 32


def test_an_image_size_that_no_weight_depends_on_is_left_out():
    convolutions = transformers.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1])
    made = transformers.ConvNextForImageClassification(convolutions)
    patches = transformers.ViTConfig(**SMALL, num_hidden_layers=1, image_size=32, patch_size=8)
    seen = transformers.ViTForImageClassification(patches)

    assert "image_size" not in dims(made.config, made)
    assert dims(seen.config, seen)["image_size"] == 32
    assert seen.vit.embeddings.position_embeddings.shape[1] == (32 // 8) ** 2 + 1


def ordinary():
    swin = {
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "image_size": 32,
        "patch_size": 4,
        "window_size": 4,
    }
    vit = {**SMALL, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
    return {
        "bert": bert(),
        "llama": llama(),
        "gpt2": gpt2(),
        "t5": t5(),
        "bart": bart(),
        "roberta": transformers.RobertaForMaskedLM(transformers.RobertaConfig(**WORDS, num_hidden_layers=2)),
        "distilbert": transformers.DistilBertForSequenceClassification(
            transformers.DistilBertConfig(vocab_size=50, dim=16, n_layers=2, n_heads=2, hidden_dim=32)
        ),
        "electra": transformers.ElectraForSequenceClassification(
            transformers.ElectraConfig(**WORDS, embedding_size=8, num_hidden_layers=2)
        ),
        "deberta-v2": transformers.DebertaV2ForSequenceClassification(
            transformers.DebertaV2Config(**WORDS, num_hidden_layers=2)
        ),
        "mamba": transformers.MambaForCausalLM(
            transformers.MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4)
        ),
        "opt": transformers.OPTForCausalLM(
            transformers.OPTConfig(
                vocab_size=50, hidden_size=16, num_hidden_layers=2, ffn_dim=32, num_attention_heads=2,
                word_embed_proj_dim=16,
            )
        ),
        "swin": transformers.SwinForImageClassification(transformers.SwinConfig(**swin)),
        "vit": transformers.ViTForImageClassification(transformers.ViTConfig(**vit)),
        "funnel": transformers.FunnelForMaskedLM(
            transformers.FunnelConfig(vocab_size=50, d_model=16, n_head=2, d_head=8, d_inner=32, block_sizes=[2, 2, 2])
        ),
        "xlnet": transformers.XLNetLMHeadModel(
            transformers.XLNetConfig(vocab_size=50, d_model=16, n_layer=2, n_head=2, d_inner=32)
        ),
        "speech": wav2vec2(transformers.Wav2Vec2ForCTC),
    }  # fmt: skip


def test_an_ordinary_model_has_all_the_dimensions_that_its_configuration_says():
    for made in ordinary().values():
        assert (type(made).__name__, dims(made.config, made)) == (
            type(made).__name__,
            dims(made.config),
        )
        assert parts(made.config, made) == parts(made.config)
