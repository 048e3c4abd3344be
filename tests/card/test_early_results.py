"""Results of weights that were trained further are not shown as those of the model beside the card."""

from __future__ import annotations

import pytest

from autocard.card.fields import front, summary, testing
from autocard.record import Dataset, Metric
from support import records

LAST, EARLY = 150, 100


def run(status, step):
    """A run with a result of *step*, on a data set of the Hub."""
    known = records.lora_on_cpu()
    data = Dataset(dataset_id="me/held-out", split="test", used_by="evaluate")
    results = [Metric(name="loss", value=0.5, split="evaluation", step=step)]
    return known.model_copy(
        update={
            "run": known.run.model_copy(
                update={"status": status, "global_step": LAST, "max_steps": 400}
            ),
            "data": known.data.model_copy(update={"eval": [data]}),
            "evaluation": known.evaluation.model_copy(update={"results": results}),
            "missing": {**known.missing, "run.status": "not known yet"},
        }
    )


def model_index(record):
    return front.front_matter(record).get("model-index")


@pytest.mark.parametrize("status", [None, "interrupted"])
def test_the_hub_is_not_told_an_early_result_as_that_of_the_model(status):
    assert model_index(run(status, EARLY)) is None
    assert model_index(run(status, LAST)) is not None
    assert model_index(run("finished", EARLY)) is not None  # of the best weights, which were loaded


@pytest.mark.parametrize("status", [None, "interrupted"])
def test_an_early_result_in_one_line_has_its_step(status):
    early, last = run(status, EARLY), run(status, LAST)

    assert "loss 0.5000 (step 100)" in testing.facts(early)["results"].line
    assert summary.summary(early)["Results"] == "loss 0.5000 (step 100)"
    assert summary.summary(last)["Results"] == "loss 0.5000"
    assert "step" not in testing.facts(last)["results"].line
