"""The Hub's checks of a card's metadata before an upload, with its error messages as public issues quote them.

`refusals(text)` gives the messages of errors and those of warnings. Word for word from issues are:
an empty `base_model` (huggingface/transformers#25963), a path in `datasets` or `base_model`
(transformers#33922, #32212), `"widget" must be an array` (ostris/ai-toolkit#260), a `model-index`
whose parts have the wrong type (huu4ontocord/MDEL#34), no metadata at all (huggingface_hub#1934).
The others are in the same manner. The Hub's own list of rules is not public, and it grows: a card
that passes here may still be refused there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

REPO_ID = re.compile(
    r"(?!.*(--|\.\.))[A-Za-z0-9](?:[\w.-]{0,94}\w)?(?:/[A-Za-z0-9_](?:[\w.-]{0,94}\w)?)?"
)
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*|code|multilingual")
LICENCES = frozenset(
    re.findall(
        r"\S+",
        """
        afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
        bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5
        cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0
        cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
        cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0
        etalab-2.0 eupl-1.1 eupl-1.2 fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 h-research
        intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit
        mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl
        zlib
        """,
    )
)


class _Yaml12(yaml.SafeLoader):
    """As the Hub reads YAML (version 1.2, js-yaml): `no` and `on` are words, not booleans."""


_Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def refusals(text: str) -> tuple[list[str], list[str]]:
    """Return the errors and the warnings that the Hub would answer to a README.md."""
    block = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", text, re.DOTALL | re.MULTILINE)
    if block is None:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        metadata = yaml.load(block[1], Loader=_Yaml12)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" ({mark.line + 1}:{mark.column + 1})" if mark else ""
        return [f"Invalid YAML in README.md: {getattr(error, 'problem', error)}{where}"], []
    if not metadata:
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(metadata, dict):
        return ['"value" must be of type object'], []
    return list(_errors(metadata)), []


def _errors(metadata: dict[str, Any]) -> Iterator[str]:
    yield from _ids(metadata, "base_model", "Use a model id from https://hf.co/models.")
    yield from _ids(
        metadata, "datasets", "If possible, use a dataset id from https://hf.co/datasets."
    )
    yield from _licences(metadata)
    for name in (
        "library_name",
        "pipeline_tag",
        "inference",
        "thumbnail",
        "license_name",
        "license_link",
    ):
        yield from _string(metadata, name, f'"{name}"')
    for name in ("tags", "metrics"):
        for at, value in _items(metadata, name):
            if not isinstance(value, str):
                yield f"{at} must be a string"
    for at, value in _items(metadata, "language"):
        if not isinstance(value, str):
            yield f"{at} must be a string"
        elif not LANGUAGE.fullmatch(value):
            yield f'{at} with value "{value}" is not valid. It must be an ISO 639-1, 639-2 or 639-3 code.'
    if "widget" in metadata and not isinstance(metadata["widget"], list):
        yield '"widget" must be an array'
    yield from _model_index(metadata)


def _items(metadata: dict[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Every value of a field that may have one or several, and how the Hub names it."""
    value = metadata.get(name, [])
    if isinstance(value, list):
        yield from ((f'"{name}[{number}]"', item) for number, item in enumerate(value))
    else:
        yield f'"{name}"', value


def _string(block: dict[str, Any], name: str, at: str, *, required: bool = False) -> Iterator[str]:
    if name not in block:
        if required:
            yield f"{at} is required"
    elif not isinstance(block[name], str):
        if name != "inference":  # which may be an object or a boolean
            yield f"{at} must be a string"
    elif not block[name]:
        yield f"{at} is not allowed to be empty"


def _ids(metadata: dict[str, Any], name: str, advice: str) -> Iterator[str]:
    for at, value in _items(metadata, name):
        if not isinstance(value, str):
            yield f"{at} must be a string"
        elif not value:
            yield f"{at} is not allowed to be empty"
        elif not REPO_ID.fullmatch(value):
            yield f'{at} with value "{value}" is not valid. {advice}'


def _licences(metadata: dict[str, Any]) -> Iterator[str]:
    for at, value in _items(metadata, "license"):
        if not isinstance(value, str):
            yield f"{at} must be a string"
        elif value not in LICENCES:
            yield f"{at} must be one of [{', '.join(sorted(LICENCES))}]"


def _model_index(metadata: dict[str, Any]) -> Iterator[str]:
    index = metadata.get("model-index", [])
    if not isinstance(index, list):
        yield '"model-index" must be an array'
        return
    for number, model in enumerate(index):
        at = f"model-index[{number}]"
        if not isinstance(model, dict):
            yield f'"{at}" must be of type object'
            continue
        yield from _string(model, "name", f'"{at}.name"', required=True)
        results = model.get("results")
        if not isinstance(results, list):
            yield f'"{at}.results" {"is required" if results is None else "must be an array"}'
            continue
        for entry, result in enumerate(results):
            yield from _result(result, f"{at}.results[{entry}]")


def _result(result: Any, at: str) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f'"{at}" must be of type object'
        return
    for part, needed in (("task", ("type",)), ("dataset", ("type", "name"))):
        block = result.get(part)
        if not isinstance(block, dict):
            yield f'"{at}.{part}" {"is required" if block is None else "must be of type object"}'
            continue
        for name in needed:
            yield from _string(block, name, f'"{at}.{part}.{name}"', required=True)
        for name in ("config", "split", "revision"):
            yield from _string(block, name, f'"{at}.{part}.{name}"')
    metrics = result.get("metrics")
    if not isinstance(metrics, list):
        yield f'"{at}.metrics" {"is required" if metrics is None else "must be an array"}'
        return
    for number, metric in enumerate(metrics):
        if not isinstance(metric, dict):
            yield f'"{at}.metrics[{number}]" must be of type object'
            continue
        yield from _string(metric, "type", f'"{at}.metrics[{number}].type"', required=True)
        if metric.get("value") is None:
            yield f'"{at}.metrics[{number}].value" is required'
