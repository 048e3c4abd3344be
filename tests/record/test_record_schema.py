"""The published JSON Schema is that of the code, and real records are valid by it."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import jsonschema
import pytest

from autocard import cli
from autocard.errors import RecordError
from autocard.record import RunRecord, from_json, to_json
from support import records

PUBLISHED = files("autocard") / "schema" / "autocard-1.schema.json"


def schema():
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))


def test_the_published_schema_is_current():
    assert PUBLISHED.read_text(encoding="utf-8") == cli.schema_text(), "run: make schema"


@pytest.mark.parametrize("story", records.ALL)
def test_records_are_valid(story):
    jsonschema.Draft202012Validator(schema()).validate(json.loads(to_json(records.ALL[story]())))


def test_an_empty_record_is_valid():
    jsonschema.Draft202012Validator(schema()).validate(json.loads(to_json(RunRecord())))


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": {"gpu_s": "long"}},
        {"legs": [{}]},
        {"precision": {"regime": "int8"}},
        {"missing": {"a": 1}},
    ],
    ids=["type", "required", "term", "reason"],
)
def test_what_the_code_refuses_the_schema_refuses_too(wrong):
    raw = {"schema_version": 1, **wrong}

    with pytest.raises(RecordError, match="not read"):
        from_json(json.dumps(raw))
    assert list(jsonschema.Draft202012Validator(schema()).iter_errors(raw))


def test_each_leaf_is_described():
    bare = []
    for name, part in {"RunRecord": schema(), **schema()["$defs"]}.items():
        for key, about in part["properties"].items():
            if (
                "description" not in about
                and "$ref" not in about
                and not re.search("[$]ref", json.dumps(about))
            ):
                bare.append(f"{name}.{key}")

    assert bare == []
