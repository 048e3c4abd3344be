"""Names in a text that exclude each other: devices, number formats, optimizers, models, countries.

One rule: a name counts only if it is in a vocabulary, or has a form that nothing else has. Words
that are not understood are no statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

import pycountry

_DEVICE = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:geforce |quadro |nvidia )?(?P<rtx>rtx|gtx)[ -]?(?:pro[ -]?)?(?P<rtx_number>a?\d{3,4})"
    r"|(?P<data>[ahbv]100|[ah]800|h20|h200|b200|b300|gh200|gb[23]00|p100|p40|p4|k80|k40|m40|m60"
    r"|t4g?|l4|l40|a10|a16|a30|a40|a[2456]000|titan)(?:s|g)?"
    r"|(?P<amd>mi[ -]?\d{2,3})[ax]?"
    r"|(?P<tpu>tpu)s?"
    r"|(?P<gaudi>gaudi)"
    r"|(?P<apple>m[1-5])(?= (?:pro|max|ultra)\b)|apple (?P<apple_chip>m[1-5])"
    r"|(?P<bare>[1-5]0[5-9]0)(?: ?ti)?"
    r")(?![A-Za-z0-9])",
    re.IGNORECASE,
)
"""A100, RTX 4090, L40S, MI250X, TPU."""
_COUNT_BEFORE = re.compile(
    r"(?P<count>\d{1,5}|one|two|three|four|eight|single)\s*(?:[x×*]\s*|units? of )?"
    r"(?:(?:nvidia|amd|tesla|geforce|quadro)[ -])*$",
    re.IGNORECASE,
)
_COUNT_BEHIND = re.compile(r"[^,;.()×*]{0,24}?(?:\([^()]*\)\s*)?[x×*]\s*(?P<count>\d{1,5})\b")
_GPUS = re.compile(
    r"(?<![\w.,])(?P<count>\d{1,5}|one|two|four|eight|single) gpus?\b", re.IGNORECASE
)
_TIMES = re.compile(r"(?<![\w.,])(?P<count>\d{1,5}) ?[×x] ?(?=[A-Z])")
"""2 × NVIDIA …: a device that the vocabulary does not have, too."""
_NUMERALS = {"one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "eight": 8}
NO_GPU = re.compile(
    r"\bno gpus?\b|\bgpus?: none\b|\bnone used\b|\bcpu[- ]only\b|\bonly (?:the |a )?cpus?\b"
    r"|\bwithout (?:a )?gpus?\b|^\s*cpus?\s*$",
    re.IGNORECASE,
)
_VOCABULARIES: Mapping[str, Mapping[str, str]] = {
    "format": {
        "fp32": r"fp ?32|float ?32|f32|single[- ]precision|full[- ]precision|32[- ]bit",
        "fp16": r"fp ?16|float ?16|f16|half[- ]precision",
        "bf16": r"bf ?16|bfloat ?16|brain float",
        "fp8": r"fp ?8|float ?8|mxfp8",
        "fp64": r"fp ?64|float ?64|double[- ]precision",
        "8 bit": r"int ?8|8[- ]bit|llm\.int8",
        "4 bit": r"int ?4|4[- ]bit|nf ?4|fp ?4|mxfp4|qlora",
    },
    "optimizer": {
        "adam": r"adam|adamw\w*|adam_w|paged_adamw\w*",
        "sgd": r"sgd",
        "adafactor": r"adafactor",
        "adagrad": r"adagrad",
        "rmsprop": r"rms[- ]?prop",
        "lion": r"lion\w*",
        "lamb": r"lamb",
        "muon": r"muon",
        "sophia": r"sophia\w*",
        "shampoo": r"shampoo",
        "adadelta": r"adadelta",
        "nadam": r"nadam",
        "radam": r"radam",
        "galore": r"galore\w*",
    },
    "schedule": {
        "linear": r"linear(?: decay| warmup)?",
        "cosine": r"cosine\w*",
        "constant": r"constant\w*",
        "polynomial": r"polynomial",
        "inverse square root": r"inverse[_ ](?:sqrt|square root)",
        "exponential": r"exponential",
        "one cycle": r"one[_ ]?cycle",
    },
    "method": {
        "full": r"full[- ](?:fine[- ]?tun\w+|parameter\w*)",
        "lora": r"q?lora|dora|rs-?lora|low[- ]rank adaptation",
        "prompt": r"(?:prompt|prefix|p)[- ]tuning",
        "ia3": r"ia3|ia³|\(ia\)3",
    },
    "cloud": {
        "aws": r"aws|amazon(?: web services)?|sagemaker|ec2",
        "gcp": r"gcp|google(?: cloud(?: platform)?)?|colab|vertex",
        "azure": r"azure|microsoft(?: azure)?",
        "oracle": r"oracle(?: cloud)?|oci",
        "alibaba": r"alibaba(?: cloud)?|aliyun",
        "digitalocean": r"digital ?ocean",
        "none": r"on-?prem(?:ises?)?|none|no cloud|local(?: machine)?|in-house",
        "other": r"runpod|lambda(?: labs)?|vast\.ai|modal|paperspace|coreweave|ovh\w*|hetzner",
    },
    "CPU maker": {
        "intel": r"intel|xeon|core i[3579]",
        "amd": r"amd epyc|epyc|ryzen|threadripper",
        "arm": r"graviton\d?|ampere altra|neoverse|grace",
        "apple": r"apple m\d",
    },
    "attention": {
        "sdpa": r"sdpa|scaled dot[- ]product",
        "eager": r"eager",
        "flash": r"flash[-_ ]?attn\w*|flash[-_ ]?attention\w*|fa[23]",
        "flex": r"flex[-_ ]?attention",
    },
    "framework": {
        "pytorch": r"pytorch|torch|transformers|peft|trl|accelerate",
        "tensorflow": r"tensorflow|keras|tf2?",
        "jax": r"jax|flax",
    },
    "switch": {
        "yes": r"yes|true|on|enabled|used",
        "no": r"no|false|off|disabled|not used|none",
    },
}
"""Kind → name → how people write it."""
_WORDS = {
    kind: {
        name: re.compile(rf"(?<![A-Za-z0-9-])(?:{pattern})(?![A-Za-z0-9])", re.IGNORECASE)
        for name, pattern in names.items()
    }
    for kind, names in _VOCABULARIES.items()
}
_HUB_ID = re.compile(r"(?<![\w./:@-])([A-Za-z0-9][\w.-]{1,60}/[A-Za-z0-9][\w.-]{1,95})(?![\w/])")
_HUB_LINK = re.compile(r"(?:huggingface\.co|hf\.co)/(?:datasets/)?([\w.-]+/[\w.-]+)")
_CLASS = re.compile(r"\b[A-Z][A-Za-z0-9]*(?:For[A-Z][A-Za-z0-9]+|Model|LMHeadModel)\b")
"""LlamaForCausalLM."""
_CPU_MODEL = re.compile(r"(?<![\w.])\d{4,5}[A-Z]{0,2}\+?(?![\w.])")
_CLOUD_REGION = re.compile(r"\b[a-z]{2,12}-[a-z]{4,12}-?\d\b|\b(?:east|west|north|south)us\d?\b")
_COMMON_COUNTRIES = {
    "usa": "US",
    "u.s.": "US",
    "u.s.a.": "US",
    "united states of america": "US",
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "south korea": "KR",
    "korea": "KR",
    "taiwan": "TW",
    "russia": "RU",
    "vietnam": "VN",
    "czech republic": "CZ",
    "turkey": "TR",
    "iran": "IR",
    "the netherlands": "NL",
    "holland": "NL",
}


def normal_device(text: str) -> str:
    """Return *text* as names of devices are compared: "RTX 4090" and "rtx-4090" are one."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def devices(text: str) -> set[str]:
    """Return the accelerators that *text* names."""
    found = set()
    for match in _DEVICE.finditer(text):
        found.add(_device(match))
    return found


def _device(match: re.Match[str]) -> str:
    if match["rtx"]:
        return normal_device(match["rtx_number"])
    chip = match["data"] or match["amd"] or match["tpu"] or match["gaudi"]
    return normal_device(chip or match["apple"] or match["apple_chip"] or match["bare"])


def device_counts(text: str) -> set[int]:
    """Return how many accelerators *text* says there are: "8 x A100", "A100 x 8", "4 GPUs"."""
    found = {_numeral(match["count"]) for match in (*_GPUS.finditer(text), *_TIMES.finditer(text))}
    for match in _DEVICE.finditer(text):
        before = _COUNT_BEFORE.search(text[max(0, match.start() - 40) : match.start()])
        behind = _COUNT_BEHIND.match(text, match.end())
        for count in (before, behind):
            if count:
                found.add(_numeral(count["count"]))
    return found


def _numeral(text: str) -> int:
    return _NUMERALS.get(text.lower()) or int(text)


def in_vocabulary(kind: str) -> Callable[[str], set[str]]:
    """Return the reader of the names of one *kind*."""

    def read(text: str) -> set[str]:
        return {name for name, pattern in _WORDS[kind].items() if pattern.search(text)}

    return read


def is_mixed(text: str) -> bool | None:
    """Return whether *text* says that the precision is mixed; None: it does not say."""
    if re.search(r"\b(?:non|not)[- ]mixed|\bpure\b", text, re.IGNORECASE):
        return False
    return True if re.search(r"\bmixed\b|\bamp\b", text, re.IGNORECASE) else None


def hub_ids(text: str) -> set[str]:
    """Return the ids of the Hub in *text*, in lower case, its links included."""
    found = {match.rstrip(".").lower() for match in _HUB_LINK.findall(text)}
    without_links = re.sub(r"https?://\S+", " ", text)
    found |= {match.rstrip(".").lower() for match in _HUB_ID.findall(without_links)}
    return {name for name in found if not re.fullmatch(r"[\d.]+/[\d.]+", name)}


def cpu_models(text: str) -> set[str]:
    """Return the numbers of CPU models in *text*: 7763, 8488C."""
    return {number.lower() for number in _CPU_MODEL.findall(text)}


def single_word(text: str) -> set[str]:
    """Return *text* as a name, if it is one word; else nothing."""
    word = text.split("(", maxsplit=1)[0].strip(" .`*_").lower()
    if not word or " " in word or "," in word:
        return set()
    return {re.sub(r"[\W_]", "", word).removesuffix("fast")}


def classes(text: str) -> set[str]:
    """Return the names of model classes in *text*."""
    return set(_CLASS.findall(text))


def cloud_regions(text: str) -> set[str]:
    """Return the ids of cloud regions in *text*: europe-west1, us-east-1."""
    return set(_CLOUD_REGION.findall(text.lower()))


@lru_cache(maxsize=1)
def _country_names() -> tuple[re.Pattern[str], Mapping[str, str]]:
    codes = dict(_COMMON_COUNTRIES)
    for country in pycountry.countries:
        for name in ("name", "common_name"):
            known = getattr(country, name, None)
            if known:
                codes[known.lower()] = country.alpha_2
    names = "|".join(sorted(map(re.escape, codes), key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:{names})(?![\w-])", re.IGNORECASE), codes


def countries(text: str) -> set[str]:
    """Return the codes of the countries that *text* names, or is the code of."""
    pattern, codes = _country_names()
    found = {codes[name.lower()] for name in pattern.findall(text[:2000])}
    code = text.strip()
    field = {2: "alpha_2", 3: "alpha_3"}.get(len(code))
    if code.isupper() and field:
        country = pycountry.countries.get(**{field: code})
        found |= {country.alpha_2} if country else set()
    return found
