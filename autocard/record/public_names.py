"""Names that people give, without their private parts.

Private are user info, query strings, e-mail addresses, folders and access tokens. Rule: the
harmless part of the name stays, which is the last part of a path and the host of an address. A name
without private parts stays as it is. The names of evaluation sets, metrics, labels, adapters,
columns, runs and classes are published, and so is what a configuration from the Hub holds of an
adapter.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from autocard.record.base import Frozen
from autocard.record.data import Data, Preprocessing
from autocard.record.evaluation import Evaluation
from autocard.record.run_record import RunRecord
from autocard.record.training import Training

P = TypeVar("P", bound=Frozen)

_URL = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
"""`https://jane:secret@data.example.org/a/b?token=1`."""
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#\s]*@)?([^/?#@\s:]*)(?::\d+)?([^?#\s]*)")
"""The same; its groups are the host and the path."""
_MAIL = re.compile(
    r"(?<![\w.+%-])((?:eval|test|predict|train)_)?[\w.+%-]+(?::[^@\s/]*)?"
    r"@((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})(?![A-Za-z0-9-])"
)
"""`jane@example.org`, `jane:secret@example.org`; not `recall@10`."""
_QUERY = re.compile(r"\?[\w.%-]+=[^\s\"'<>]*")
"""`?token=1`."""
_PATH = re.compile(
    r"(?:(?<![A-Za-z0-9/:.~])(?:~[\w.-]*)?/+|/+(?=(?:home|Users|root|mnt|media|scratch|srv|tmp)/))"
    r"(?:[^\s/]+/+)*[^\s/]*"
)
"""`/net/jane/x`; directly behind a word only what begins as a home folder does: `m/home/jane/x`."""
_WINDOWS = re.compile(r"(?:(?<![A-Za-z])[A-Za-z]:[\\/]|[A-Za-z]:\\(?=[^\\\s]+\\)|\\\\)[^\s\"<>|]*")
"""`C:\\Users\\jane`, `\\\\server\\share`."""
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z0-9]{20,}|gh[oprsu]_[A-Za-z0-9]{20,}"
    r"|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{20,}|xox[abeprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}"
    r"|AIza[\w-]{30,}|npm_[A-Za-z0-9]{30,}"
    r"|pypi-[\w-]{30,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*)"
)
"""Access tokens of the Hub, GitHub, GitLab, OpenAI and others, Slack, AWS, Google, npm, PyPI; JSON
Web Tokens."""
_TOKEN_STARTS = (
    "hf_",
    "api_org_",
    "gh",
    "glpat-",
    "sk-",
    "xox",
    "AKIA",
    "AIza",
    "npm_",
    "pypi-",
    "eyJ",
)
_WITH_BLANKS = re.compile(
    r"(?:/(?:home|Users|root|mnt|media|data|scratch|tmp|srv|opt|var|work)/|[A-Za-z]:[\\/]|~/).*",
    re.DOTALL,
)
"""A whole name that is a path, blanks included: `/home/jane doe/score`."""


def public(name: str) -> str:
    """Return *name* without its private parts.

    >>> public("https://jane:secret@data.example.org/a/b?token=1")
    'data.example.org/b'
    >>> public("/home/jane/score"), public("recall@10")
    ('score', 'recall@10')
    """
    if not _may_hold(name):
        return name
    if _WITH_BLANKS.fullmatch(name):
        return _last(name)
    cleaned = _TOKEN.sub("(token)", name)
    cleaned = _URL.sub(lambda found: _of_url(found[0]), cleaned)
    cleaned = _MAIL.sub(r"\1\2", cleaned)
    cleaned = _QUERY.sub("", cleaned)
    cleaned = _WINDOWS.sub(lambda found: _last(found[0]), cleaned)
    return _PATH.sub(lambda found: _of_path(found[0]), cleaned)


def _may_hold(name: str) -> bool:
    return any(mark in name for mark in ("/", "\\", "@", "?", *_TOKEN_STARTS))


def _of_url(url: str) -> str:
    found = _HOST.match(url)
    host, path = (found[1], found[2]) if found else ("", url)
    return "/".join(part for part in (host, _last(path)) if part)


def _of_path(path: str) -> str:
    """Return the last part of an absolute path; `/b/`, `/s/ vs /z/` and a lone `/` are none."""
    parts = [part for part in path.split("/") if part]
    is_path = path.startswith("~") or (len(parts) > 1 and len(parts[0]) > 1)
    return parts[-1] if is_path and parts else path


def _last(path: str) -> str:
    parts = [part for part in re.split(r"[\\/]", path) if part]
    return parts[-1] if parts else path


def with_public_names(record: RunRecord) -> RunRecord:
    """Return *record* with the public part of each name in it that a person gave."""
    update = {
        "data": _data(record.data),
        "evaluation": _evaluation(record.evaluation),
        "model": _with_texts(record.model, *_OF_MODEL),
        "adapters": [_with_texts(one, "name", "method", "config") for one in record.adapters],
        "training": _training(record.training),
    }
    return record.model_copy(update=update)


def _data(data: Data) -> Data:
    update = {
        "train": [_with_texts(one, *_OF_DATASET) for one in data.train],
        "eval": [_with_texts(one, *_OF_DATASET) for one in data.eval],
        "preprocessing": _with_texts(data.preprocessing, *Preprocessing.model_fields),
    }
    return data.model_copy(update=update)


def _evaluation(evaluation: Evaluation) -> Evaluation:
    update: dict[str, Any] = {
        "results": [_with_texts(one, "name", "dataset") for one in evaluation.results],
        "history": [_keys(point) for point in evaluation.history],
    }
    if evaluation.best is not None:
        update["best"] = _with_texts(evaluation.best, "metric")
    return _with_texts(evaluation, "not_finite", "diverged").model_copy(update=update)


def _training(training: Training) -> Training:
    # The names of settings are transformers' own.
    settings = {name: _cleaned(value) for name, value in training.hyperparameters.items()}
    cleaned = _with_texts(training, *_OF_TRAINING)
    return cleaned.model_copy(update={"hyperparameters": settings})


_OF_DATASET = ("name", "title", "config", "split", "columns")
_OF_MODEL = (
    *("name", "labels", "architecture", "model_type", "task", "library_name", "auto_class"),
    *("trained_modules", "trained_unsaved", "saved_files"),
)
_OF_TRAINING = (
    "optimizer",
    "scheduler",
    "attention_implementation",
    "kernels",
    "reward_functions",
    "learning_rates",
)


def _with_texts(part: P, *names: str) -> P:
    """Return *part* with the public part of the texts in the fields *names*."""
    return part.model_copy(update={name: _cleaned(getattr(part, name)) for name in names})


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return public(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(item) for name, item in value.items()}
    return value


def _keys(point: dict[str, Any]) -> dict[str, Any]:
    """Return a point of the log; of two metrics whose names become one, the first stays."""
    found: dict[str, Any] = {}
    for name, value in point.items():
        found.setdefault(public(name), _cleaned(value))
    return found
