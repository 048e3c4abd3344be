"""The head of an architecture → its task, as a tag of the Hub and in words.

A table, read by `model` (task, tag, Auto class) and `training` (objective). Suffixes are those of
transformers' modeling_auto.py; tags are the Hub's (huggingface.js, pipelines.ts). A suffix that
leaves the task open has no tag.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from autocard.capture.unwrap import class_of, config_of, core, is_sentence_transformer


@dataclass(frozen=True)
class Head:
    """One kind of head."""

    task: str
    """In words."""
    tag: str | None
    """Pipeline tag of the Hub; None: it has none for this, or several."""
    objective: str | None = None
    """What the model's own loss is for, in words; None: as `task`."""


_BY_SUFFIX = {
    "ForSequenceClassification": Head("sequence classification", "text-classification"),
    "ForCausalLM": Head("causal language modeling", "text-generation"),
    "LMHeadModel": Head("causal language modeling", "text-generation"),
    "ForMaskedLM": Head("masked language modeling", "fill-mask"),
    "ForTokenClassification": Head("token classification", "token-classification"),
    "ForQuestionAnswering": Head("extractive question answering", "question-answering"),
    "ForQuestionAnsweringSimple": Head("extractive question answering", "question-answering"),
    "ForMultipleChoice": Head("multiple choice", "multiple-choice"),
    "ForNextSentencePrediction": Head("next-sentence prediction", "text-classification"),
    "ForImageClassification": Head("image classification", "image-classification"),
    "ForSemanticSegmentation": Head("semantic segmentation", "image-segmentation"),
    "ForInstanceSegmentation": Head("instance segmentation", "image-segmentation"),
    "ForUniversalSegmentation": Head("universal segmentation", "image-segmentation"),
    "ForImageSegmentation": Head("image segmentation", "image-segmentation"),
    "ForObjectDetection": Head("object detection", "object-detection"),
    "ForZeroShotObjectDetection": Head("zero-shot object detection", "zero-shot-object-detection"),
    "ForDepthEstimation": Head("depth estimation", "depth-estimation"),
    "ForVideoClassification": Head("video classification", "video-classification"),
    "ForAudioClassification": Head("audio classification", "audio-classification"),
    "ForAudioFrameClassification": Head("audio frame classification", None),
    "ForXVector": Head("speaker embeddings", None),
    "ForCTC": Head("speech recognition (CTC)", "automatic-speech-recognition"),
    "ForSpeechSeq2Seq": Head("speech recognition", "automatic-speech-recognition"),
    "ForVisualQuestionAnswering": Head("visual question answering", "visual-question-answering"),
    "ForDocumentQuestionAnswering": Head(
        "document question answering", "document-question-answering"
    ),
    "ForTableQuestionAnswering": Head("table question answering", "table-question-answering"),
    "ForMaskGeneration": Head("mask generation", "mask-generation"),
    "ForKeypointDetection": Head("keypoint detection", "keypoint-detection"),
    "ForImageToImage": Head("image to image", "image-to-image"),
    "ForMaskedImageModeling": Head("masked image modeling", None),
    "ForTimeSeriesPrediction": Head("time-series forecasting", "time-series-forecasting"),
    "ForPrediction": Head("time-series forecasting", "time-series-forecasting"),
    "ForPreTraining": Head("pre-training", None),
}

_SEQ2SEQ = Head("sequence-to-sequence generation", None)

# Auto class → head, for architectures whose name does not say it (…ForConditionalGeneration,
# CLIPModel, bare models).
_BY_AUTO_CLASS = {
    "AutoModelForSeq2SeqLM": _SEQ2SEQ,
    "AutoModelForSpeechSeq2Seq": _BY_SUFFIX["ForSpeechSeq2Seq"],
    "AutoModelForImageTextToText": Head(
        "text generation from images and text", "image-text-to-text"
    ),
    "AutoModelForMultimodalLM": Head("text generation from several kinds of input", None),
    "AutoModelForZeroShotImageClassification": Head(
        "zero-shot image classification", "zero-shot-image-classification"
    ),
    "AutoModelForTextToSpectrogram": Head("speech synthesis", "text-to-speech"),
    "AutoModelForTextToWaveform": Head("speech synthesis", "text-to-audio"),
    "AutoModel": Head("embeddings (no head)", "feature-extraction"),
}

_SENTENCE_TRANSFORMERS = {
    "SentenceTransformer": Head("sentence embeddings", "sentence-similarity"),
    "SparseEncoder": Head("sparse embeddings", "feature-extraction"),
    "CrossEncoder": Head("text pair scoring", "text-ranking"),
}

# Names of the mappings in modeling_auto.py, the most specific first; each ends in _MAPPING_NAMES.
_MAPPINGS = {
    "MODEL_FOR_SEQUENCE_CLASSIFICATION": "AutoModelForSequenceClassification",
    "MODEL_FOR_CAUSAL_LM": "AutoModelForCausalLM",
    "MODEL_FOR_TOKEN_CLASSIFICATION": "AutoModelForTokenClassification",
    "MODEL_FOR_QUESTION_ANSWERING": "AutoModelForQuestionAnswering",
    "MODEL_FOR_MULTIPLE_CHOICE": "AutoModelForMultipleChoice",
    "MODEL_FOR_NEXT_SENTENCE_PREDICTION": "AutoModelForNextSentencePrediction",
    "MODEL_FOR_SPEECH_SEQ_2_SEQ": "AutoModelForSpeechSeq2Seq",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM": "AutoModelForSeq2SeqLM",
    "MODEL_FOR_MASKED_LM": "AutoModelForMaskedLM",  # after seq2seq: BART's one class stands in both
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT": "AutoModelForImageTextToText",
    "MODEL_FOR_MULTIMODAL_LM": "AutoModelForMultimodalLM",
    "MODEL_FOR_IMAGE_CLASSIFICATION": "AutoModelForImageClassification",
    "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION": "AutoModelForZeroShotImageClassification",
    "MODEL_FOR_SEMANTIC_SEGMENTATION": "AutoModelForSemanticSegmentation",
    "MODEL_FOR_INSTANCE_SEGMENTATION": "AutoModelForInstanceSegmentation",
    "MODEL_FOR_UNIVERSAL_SEGMENTATION": "AutoModelForUniversalSegmentation",
    "MODEL_FOR_IMAGE_SEGMENTATION": "AutoModelForImageSegmentation",
    "MODEL_FOR_OBJECT_DETECTION": "AutoModelForObjectDetection",
    "MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION": "AutoModelForZeroShotObjectDetection",
    "MODEL_FOR_DEPTH_ESTIMATION": "AutoModelForDepthEstimation",
    "MODEL_FOR_VIDEO_CLASSIFICATION": "AutoModelForVideoClassification",
    "MODEL_FOR_AUDIO_CLASSIFICATION": "AutoModelForAudioClassification",
    "MODEL_FOR_CTC": "AutoModelForCTC",
    "MODEL_FOR_VISUAL_QUESTION_ANSWERING": "AutoModelForVisualQuestionAnswering",
    "MODEL_FOR_DOCUMENT_QUESTION_ANSWERING": "AutoModelForDocumentQuestionAnswering",
    "MODEL_FOR_TABLE_QUESTION_ANSWERING": "AutoModelForTableQuestionAnswering",
    "MODEL_FOR_TEXT_TO_SPECTROGRAM": "AutoModelForTextToSpectrogram",
    "MODEL_FOR_TEXT_TO_WAVEFORM": "AutoModelForTextToWaveform",
    "MODEL_FOR_TIME_SERIES_PREDICTION": "AutoModelForTimeSeriesPrediction",
    "MODEL": "AutoModel",
    "MODEL_FOR_PRETRAINING": "AutoModelForPreTraining",
}


def auto_class_of(model: Any) -> str | None:
    """Return the name of the transformers Auto class that makes *model*'s core, or None."""
    config, architecture = config_of(model), class_of(core(model)).__name__
    mappings = sys.modules.get("transformers.models.auto.modeling_auto")
    if config is None or mappings is None:
        return None
    for name, auto_class in _MAPPINGS.items():
        classes = getattr(mappings, f"{name}_MAPPING_NAMES", {}).get(config.model_type, ())
        if architecture in ([classes] if isinstance(classes, str) else classes):
            return auto_class
    return None


def head_of(model: Any, whole: Any) -> Head | None:
    """Return the head of *model*, *whole* without its wrappers; None: the class is not known."""
    if is_sentence_transformer(whole):
        names = [cls.__name__ for cls in type(whole).__mro__]
        return next((head for name, head in _SENTENCE_TRANSFORMERS.items() if name in names), None)
    # The user's subclass (MyBertForSequenceClassification) has the head of its parent.
    for cls in class_of(core(model)).__mro__:
        head = _head_by_name(cls)
        if head is not None:
            return head
        if cls.__name__ == "PreTrainedModel":
            break
    return _BY_AUTO_CLASS.get(auto_class_of(model) or "")


def _head_by_name(cls: type) -> Head | None:
    if cls.__module__.split(".")[0] == "torch":
        return None
    for suffix, head in _BY_SUFFIX.items():
        if cls.__name__.endswith(suffix):
            return head
    return None
