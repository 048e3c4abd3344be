"""What is over is forgotten: a long training, or many trainings, do not fill the memory."""

from __future__ import annotations

from autocard import AutoCardCallback
from support import training


def test_cards_of_deleted_checkpoints_are_not_kept_in_memory(tmp_path):
    callback = AutoCardCallback(emissions=False)
    trainer = training.trainer(
        tmp_path / "out",
        model=training.lora(training.bert()),
        callbacks=[callback],
        max_steps=12,
        save_strategy="steps",
        save_steps=1,
        save_total_limit=1,
    )
    trainer.train()
    known = next(iter(callback._sessions._all.values()))[1].run.card_guard._cards

    assert len(list((tmp_path / "out").glob("checkpoint-*"))) == 1
    assert len(known.by_library) <= 3
    assert len(known.left) <= 3
