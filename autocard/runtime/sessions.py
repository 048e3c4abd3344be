"""The sessions of a callback, by trainer; a trainer is identified by its arguments."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from autocard.card.fields.summary import summary
from autocard.card.fill.new_card import check_template, label_files, template_variables
from autocard.card.form import label_files as labels
from autocard.errors import SettingsError
from autocard.record import RunRecord
from autocard.runtime import end_line
from autocard.runtime.search import Origin
from autocard.runtime.session import Session
from autocard.settings import Settings
from autocard.settings.nearest import did_you_mean


class Sessions:
    """The sessions of a callback: a session for each trainer that has the callback."""

    def __init__(self, settings: Settings, origin: Origin | None = None) -> None:
        """Check that *settings* can work.

        Args:
            settings: the user's.
            origin: of the callback that this is a copy of; None: it is no copy.

        Raises:
            SettingsError: there is no such template, or it cannot be read; the file of labels
                beside the template or beside the card that is named has a mistake; or there is no
                fact of a name in the setting facts.
        """
        check_template(settings.template, settings.given_as.get("template"))
        card = Path(settings.card) if settings.card else None
        table = labels.load(label_files(settings.template, card))
        _check_facts(settings, table.names)
        self._settings = settings
        self.origin = Origin() if origin is None else origin
        self._made_s = time.monotonic()
        self._all: dict[int, tuple[Any, Session]] = {}

    def without_sessions(self) -> Sessions:
        """Return a `Sessions` with the same settings and no session."""
        return Sessions(self._settings, self.origin)

    @property
    def record(self) -> RunRecord | None:
        """The record of the latest training; None: none has ended in this process."""
        records = [session.run.latest.record for _, session in self._all.values()]
        return next((record for record in reversed(records) if record is not None), None)

    def html(self) -> str | None:
        """Return the summary of the latest training as a table; None: there is none."""
        record = self.record
        return None if record is None else end_line.table(summary(record))

    def of(self, key: Any, *, starts: bool) -> Session:
        """Return the session of the trainer with *key*; *starts*: it may be a new session.

        The key is an object that only this trainer has, such as its `TrainingArguments`. A trainer
        with another key in the middle of a run means the run that began last.
        """
        if id(key) in self._all:
            return self._all[id(key)][1]
        if self._all and not starts:
            return next(reversed(self._all.values()))[1]
        # The time since the callback was made is the set-up of the first trainer's run.
        made_s = time.monotonic() if self._all else self._made_s
        session = Session(self._settings, made_s, self, self.origin)
        # Keep the key itself, so that no other object gets its id.
        self._all[id(key)] = key, session
        return session


def _check_facts(settings: Settings, names: Collection[str]) -> None:
    """Refuse facts that no form asks for; a user's own template may have variables of its own."""
    known = {*names, *template_variables(settings.template)}
    where = settings.given_as.get("facts", "facts")
    problems = []
    for name in settings.facts:
        if name not in known:
            near = did_you_mean(name, sorted(known), "All facts: autocard facts")
            problems.append(f"{where}: there is no fact {name}.{near}")
    if problems:
        raise SettingsError("\n".join(problems))
