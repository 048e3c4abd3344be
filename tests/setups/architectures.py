"""Set-ups by architecture and task: full fine-tuning with transformers' own trainers."""

from __future__ import annotations

import torch
import transformers
from datasets import Dataset

from setups.common import ragged, setup, train, words_and_padding
from support import models

KIND = "Architectures and tasks"


@setup("BERT classifier, weights of the Hub's cache", KIND)
def hub_bert(out, callbacks):
    model = models.load("AutoModelForSequenceClassification", "org/tiny-bert")
    return train(
        out, callbacks, model, models.tokens(), trainer=(transformers.Trainer, words_and_padding())
    )


@setup("BERT classifier, new weights", KIND)
def new_bert(out, callbacks):
    return train(
        out, callbacks, models.bert(), ragged(), trainer=(transformers.Trainer, words_and_padding())
    )


@setup("Llama, weights of the Hub's cache", KIND)
def hub_llama(out, callbacks):
    return train(
        out, callbacks, models.load("AutoModelForCausalLM", "org/tiny-llama"), models.language()
    )


@setup("GPT-2, new weights", KIND)
def gpt2(out, callbacks):
    config = transformers.GPT2Config(
        vocab_size=len(models.WORDS),
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=64,
        bos_token_id=2,
        eos_token_id=3,
    )
    return train(
        out, callbacks, models.build(transformers.GPT2LMHeadModel, config), models.language()
    )


@setup("Mamba", KIND)
def mamba(out, callbacks):
    config = transformers.MambaConfig(
        vocab_size=len(models.WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        state_size=4,
        pad_token_id=0,
    )
    data = models.language().remove_columns("attention_mask")
    return train(out, callbacks, models.build(transformers.MambaForCausalLM, config), data)


@setup("Mixtral (experts), with its load-balancing loss", KIND)
def mixtral(out, callbacks):
    config = transformers.MixtralConfig(
        **models.sizes(
            num_key_value_heads=2,
            num_local_experts=4,
            output_router_logits=True,
            router_aux_loss_coef=10.0,
        )
    )
    return train(
        out, callbacks, models.build(transformers.MixtralForCausalLM, config), models.language()
    )


@setup("Qwen3-MoE, every layer sparse", KIND)
def qwen3_moe(out, callbacks):
    config = transformers.Qwen3MoeConfig(
        **models.sizes(
            num_key_value_heads=2,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=24,
            head_dim=8,
        )
    )
    return train(
        out, callbacks, models.build(transformers.Qwen3MoeForCausalLM, config), models.language()
    )


def _seq2seq() -> Dataset:
    return Dataset.from_list(
        [
            {"input_ids": [5 + row % 9] * 6, "attention_mask": [1] * 6, "labels": [6, 7, 8, 3]}
            for row in range(12)
        ]
    )


def _t5():
    config = transformers.T5Config(
        vocab_size=len(models.WORDS),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
    )
    return models.build(transformers.T5ForConditionalGeneration, config)


@setup("T5, Seq2SeqTrainer", KIND)
def t5(out, callbacks):
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    from setups.common import go

    arguments = models.arguments(
        out, Seq2SeqTrainingArguments, predict_with_generate=True, generation_max_length=6
    )
    made = Seq2SeqTrainer(
        model=_t5(),
        args=arguments,
        train_dataset=_seq2seq(),
        eval_dataset=_seq2seq(),
        callbacks=list(callbacks),
    )
    return go(made)


@setup("BART", KIND)
def bart(out, callbacks):
    config = transformers.BartConfig(
        vocab_size=len(models.WORDS), d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=24, max_position_embeddings=64,
        pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2, forced_eos_token_id=3,
    )  # fmt: skip
    return train(
        out, callbacks, models.build(transformers.BartForConditionalGeneration, config), _seq2seq()
    )


@setup("Encoder and decoder of two kinds (BERT, BERT)", KIND)
def encoder_decoder(out, callbacks):
    encoder = transformers.BertConfig(**models.sizes())
    decoder = transformers.BertConfig(
        **models.sizes(is_decoder=True, add_cross_attention=True, num_hidden_layers=1)
    )
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id = 2, 0
    return train(out, callbacks, models.build(transformers.EncoderDecoderModel, config), _seq2seq())


def _vit():
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8,
        num_labels=3,
    )  # fmt: skip
    return models.build(transformers.ViTForImageClassification, config)


def _stack(rows):
    return {name: torch.stack([torch.tensor(row[name]) for row in rows]) for name in rows[0]}


@setup("ViT (pictures)", KIND)
def vit(out, callbacks):
    rows = [
        {"pixel_values": torch.full((3, 16, 16), row / 12).tolist(), "labels": row % 3}
        for row in range(12)
    ]
    return train(
        out,
        callbacks,
        _vit(),
        Dataset.from_list(rows),
        trainer=(transformers.Trainer, {"data_collator": _stack}),
    )


@setup("CLIP (text and pictures, contrastive)", KIND)
def clip(out, callbacks):
    text = models.sizes(projection_dim=8, bos_token_id=2, eos_token_id=3, pad_token_id=0)
    vision = {
        "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
        "image_size": 16, "patch_size": 8,
    }  # fmt: skip
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    rows = [
        {
            "input_ids": [2, 5 + row % 9, 6, 3],
            "attention_mask": [1] * 4,
            "pixel_values": torch.rand(3, 16, 16).tolist(),
        }
        for row in range(8)
    ]

    def collate(batch):
        return {**_stack(batch), "return_loss": True}

    model = models.build(transformers.CLIPModel, config)
    return train(
        out,
        callbacks,
        model,
        Dataset.from_list(rows),
        trainer=(transformers.Trainer, {"data_collator": collate}),
    )


@setup("wav2vec2 (sound), CTC", KIND)
def wav2vec2(out, callbacks):
    config = transformers.Wav2Vec2Config(
        **models.sizes(), conv_dim=(16, 16), conv_stride=(5, 4), conv_kernel=(10, 8), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, pad_token_id=0, ctc_loss_reduction="mean",
        mask_time_prob=0.0, ctc_zero_infinity=True,
    )  # fmt: skip
    rows = [{"input_values": torch.rand(800).tolist(), "labels": [5, 6, 7]} for _ in range(8)]
    data = {"data_collator": _stack}
    return train(
        out,
        callbacks,
        models.build(transformers.Wav2Vec2ForCTC, config),
        Dataset.from_list(rows),
        trainer=(transformers.Trainer, data),
    )


@setup("Whisper (sound to text)", KIND)
def whisper(out, callbacks):
    config = transformers.WhisperConfig(
        vocab_size=len(models.WORDS), d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=8, max_source_positions=20,
        max_target_positions=16, pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
    )  # fmt: skip
    rows = [{"input_features": torch.rand(8, 40).tolist(), "labels": [5, 6, 7]} for _ in range(8)]
    data = {"data_collator": _stack}
    model = models.build(transformers.WhisperForConditionalGeneration, config)
    return train(
        out, callbacks, model, Dataset.from_list(rows), trainer=(transformers.Trainer, data)
    )


@setup("Token classification", KIND)
def token_classification(out, callbacks):
    rows = [
        {"input_ids": [5, 6, 7, 8], "attention_mask": [1] * 4, "labels": [-100, row % 3, 1, 2]}
        for row in range(12)
    ]
    model = models.build(
        transformers.BertForTokenClassification,
        transformers.BertConfig(**models.sizes(), num_labels=3),
    )
    return train(out, callbacks, model, Dataset.from_list(rows))


@setup("Extractive question answering", KIND)
def question_answering(out, callbacks):
    rows = [
        {
            "input_ids": [5, 6, 7, 8],
            "attention_mask": [1] * 4,
            "start_positions": row % 4,
            "end_positions": 3,
        }
        for row in range(12)
    ]
    model = models.build(
        transformers.BertForQuestionAnswering, transformers.BertConfig(**models.sizes())
    )
    return train(out, callbacks, model, Dataset.from_list(rows))


@setup("Masked language model", KIND)
def masked(out, callbacks):
    words = models.tokenizer()
    collator = transformers.DataCollatorForLanguageModeling(words, mlm_probability=0.3)
    data = models.tokens().select_columns(["input_ids", "attention_mask"])
    model = models.build(transformers.BertForMaskedLM, transformers.BertConfig(**models.sizes()))
    more = {"data_collator": collator, "processing_class": words}
    return train(out, callbacks, model, data, trainer=(transformers.Trainer, more))


@setup("Multiple choice", KIND)
def multiple_choice(out, callbacks):
    rows = [
        {"input_ids": [[5, 6, 7]] * 4, "attention_mask": [[1, 1, 1]] * 4, "labels": row % 4}
        for row in range(8)
    ]
    model = models.build(
        transformers.BertForMultipleChoice, transformers.BertConfig(**models.sizes())
    )
    return train(out, callbacks, model, Dataset.from_list(rows))


@setup("Several labels at once, found by their type", KIND)
def multi_label(out, callbacks):
    rows = [
        {"input_ids": [5, 6, 7], "attention_mask": [1] * 3, "labels": [1.0, 0.0, float(row % 2)]}
        for row in range(12)
    ]
    return train(out, callbacks, models.bert(num_labels=3), Dataset.from_list(rows))


@setup("Regression", KIND)
def regression(out, callbacks):
    rows = [
        {"input_ids": [5, 6, 7], "attention_mask": [1] * 3, "labels": row / 12} for row in range(12)
    ]
    return train(out, callbacks, models.bert(num_labels=1), Dataset.from_list(rows))


@setup("A module of one's own around a base of the Hub's cache", KIND)
def own_module(out, callbacks):
    class Mine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = models.load("AutoModel", "org/tiny-bert")
            self.head = torch.nn.Linear(16, 2)

        def forward(self, input_ids, attention_mask=None, labels=None):
            seen = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[
                :, 0
            ]
            logits = self.head(seen)
            loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
            return {"loss": loss, "logits": logits}

    torch.manual_seed(0)
    return train(
        out, callbacks, Mine(), models.tokens(), trainer=(transformers.Trainer, words_and_padding())
    )
