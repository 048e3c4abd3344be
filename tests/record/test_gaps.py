"""A gap is a value of the part that has it, and gets its path when parts are put together."""

import pytest

from autocard.errors import UnavailableError
from autocard.record import Data, Dataset, Preprocessing
from autocard.record.gaps import Part, PartBuilder, gaps_at, joined, under, why, without


def test_a_field_that_cannot_be_had_is_a_gap_and_the_next_one_is_found():
    builder = PartBuilder(Preprocessing, "data.preprocessing")

    with builder.guard("tokenizer"):
        msg = "there is no tokenizer"
        raise UnavailableError(msg)
    with builder.guard("collator"):
        builder.fields["collator"] = "default_data_collator"

    part = builder.build()
    assert part.value == Preprocessing(collator="default_data_collator")
    assert part.gaps == {"tokenizer": "there is no tokenizer"}


def test_a_value_that_is_none_is_a_gap_and_zero_is_a_value():
    builder = PartBuilder(Dataset, "data.train")

    builder.put("rows", 0, "it has no length")
    builder.put("split", None, "the data set does not say")

    part = builder.build()
    assert part.value == Dataset(rows=0)
    assert part.gaps == {"split": "the data set does not say"}


def test_gaps_of_inner_parts_are_those_of_the_outer_part_under_their_place():
    sets = joined([Part(Dataset(rows=1)), Part(Dataset(), {"rows": "it has no length"})])
    builder = PartBuilder(Data, "data")

    builder.include("train", sets)

    part = builder.build()
    assert [one.rows for one in part.value.train] == [1, None]
    assert part.gaps == {"train.1.rows": "it has no length"}
    assert under("data", part.gaps) == {"data.train.1.rows": "it has no length"}


@pytest.mark.parametrize(("name", "path"), [("model", "model"), ("", "")])
def test_the_gap_of_a_whole_part_stands_at_the_part_itself(name, path):
    assert under(name, {"": "it could not be read"}) == {path: "it could not be read"}


def test_what_a_part_returned_does_not_change_with_its_builder():
    builder = PartBuilder(Preprocessing, "data.preprocessing")
    part = builder.build()

    builder.gaps["collator"] = "noted after the part was built"

    assert part.gaps == {}


def test_the_gaps_of_a_part_are_found_in_the_record_with_that_of_what_holds_it():
    missing = {"legs.1.pue": "none was given", "legs.10.pue": "another leg's", "legs": "cut off"}

    gaps = gaps_at(missing, "legs.1")

    assert gaps == {"": "cut off", "pue": "none was given"}
    assert why(gaps, "pue") == "none was given"
    assert why(gaps, "hosts.0.cpu_j") == "cut off"
    assert why({}, "pue") is None


def test_a_part_that_is_replaced_leaves_no_gaps_and_its_neighbors_keep_theirs():
    missing = {"legs.1": "cut off", "legs.1.pue": "none was given", "legs.10.pue": "none was given"}

    assert without(missing, "legs.1") == {"legs.10.pue": "none was given"}
