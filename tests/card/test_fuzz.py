"""A thousand random cards and two hundred random records from one seed; `make fuzz` takes more, from random seeds."""

from __future__ import annotations

import pytest

from support import fuzz_cards

SEED = 20_261_127


@pytest.fixture(scope="module")
def outcome():
    return fuzz_cards.run(SEED, 1_000, 200)


@pytest.mark.slow
def test_random_cards_and_records_are_filled_or_refused_and_nothing_else(outcome):
    _, failures = outcome

    assert failures == []


@pytest.mark.slow
def test_few_cards_are_refused(outcome):
    counts, _ = outcome
    refused = counts["usual card: refused"] + counts["odd card: refused"]

    assert fuzz_cards.refused_share(counts, "usual card") <= 0.02
    assert refused / 1_000 <= 0.15


def test_a_failure_can_be_run_again_by_its_number():
    counts, failures = fuzz_cards.run(SEED, 1_000, 200, only=7)

    assert sum(counts.values()) == 1
    assert failures == []
