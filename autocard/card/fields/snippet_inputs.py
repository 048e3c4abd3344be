"""How the code of a card puts an image or audio through a model: its processor, and a call."""

from __future__ import annotations

import re

from autocard.record import RunRecord

_PROCESSORS = (
    (re.compile(r"\w*ImageProcessor\w*", re.ASCII), "AutoImageProcessor"),
    (re.compile(r"\w*FeatureExtractor\w*", re.ASCII), "AutoFeatureExtractor"),
    (re.compile(r"\w+Processor", re.ASCII), "AutoProcessor"),
)
"""Class that the run used → the Auto class that loads it; first wins."""
_CONFIGS = ("preprocessor_config.json", "processor_config.json")
"""Files that a processor is saved in."""
_IMAGES = "AutoImageProcessor"
_CLASSIFY = [
    "scores = model(**inputs).logits[0]",
    "print(model.config.id2label[scores.argmax().item()], scores.tolist())",
]
_CALLS = {
    "AutoModelForImageClassification": _CLASSIFY,
    "AutoModelForAudioClassification": _CLASSIFY,
    "AutoModelForSpeechSeq2Seq": [
        "output = model.generate(**inputs, max_new_tokens=20)",
        "print(processor.batch_decode(output, skip_special_tokens=True)[0])",
    ],
    "AutoModelForCTC": [
        "ids = model(**inputs).logits.argmax(dim=-1)",
        "print(processor.batch_decode(ids)[0])",
    ],
}
"""Auto class of a model → the lines that use it on `inputs`."""
_DECODED = ("AutoModelForSpeechSeq2Seq", "AutoModelForCTC")
"""Models whose output the tokenizer inside a processor turns into text."""


def processor_class(record: RunRecord) -> str | None:
    """Return the Auto class that loads the saved processor; None: none was saved."""
    name = record.data.preprocessing.tokenizer or ""
    if not any(config in record.model.saved_files for config in _CONFIGS):
        return None
    return next((auto for kind, auto in _PROCESSORS if kind.fullmatch(name)), None)


def use(record: RunRecord, auto: str) -> list[str]:
    """Return the lines that put an image or audio through a model of the class *auto*."""
    loaded = processor_class(record)
    if loaded is None:
        return []
    if loaded == _IMAGES:
        call = _CALLS.get(auto, ["output = model(**inputs)"])
        return [
            "from PIL import Image",
            "",
            'image = Image.open("image.jpg").convert("RGB")',
            'inputs = processor(images=image, return_tensors="pt")',
            *call,
        ]
    if auto not in _CALLS or (auto in _DECODED and loaded != "AutoProcessor"):
        return []
    return [*_audio(record), *_CALLS[auto]] if _takes_audio(record, auto) else []


def _takes_audio(record: RunRecord, auto: str) -> bool:
    return "Image" not in auto and record.data.preprocessing.sampling_rate_hz is not None


def _audio(record: RunRecord) -> list[str]:
    rate_hz = record.data.preprocessing.sampling_rate_hz
    return [
        f"audio = [0.0] * {rate_hz}  # your samples: one channel, {rate_hz} per second",
        f'inputs = processor(audio, sampling_rate={rate_hz}, return_tensors="pt")',
    ]
