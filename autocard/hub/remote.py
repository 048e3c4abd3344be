"""A card on the Hub: read in its present state, and repaired there.

Reads through huggingface_hub's own session (its proxies, its certificates, `HF_ENDPOINT`), without
its cache: only the present state counts. Works with huggingface_hub 0.34 (requests) and 2.4
(httpx).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import quote

from autocard import record as records
from autocard.card.check.refused import refused
from autocard.card.update import update
from autocard.errors import AutocardError, RecordError, SettingsError, UnavailableError
from autocard.files import read_bytes
from autocard.guard import log_warning
from autocard.hub import answers
from autocard.record import RECORD_NAME, RunRecord

T = TypeVar("T")

CARD = "README.md"


class HubError(AutocardError):
    """A request to the Hub failed or was refused; the message says what is on the Hub now."""


@dataclass(frozen=True)
class Repository:
    """A model repository.

    Attributes:
        name: id on the Hub.
        token: None: the token that the user is logged in with.
        revision: branch; None: main.
    """

    name: str
    token: str | bool | None = field(default=None, repr=False)
    revision: str | None = None

    def read(self, path: str) -> str | None:
        """Return the present text of a file; None: there is no such file.

        Raises:
            UnavailableError: the Hub did not answer, or not with the file.
        """
        from huggingface_hub import hf_hub_url  # noqa: PLC0415

        return self._text(path, hf_hub_url(self.name, path, revision=self.revision))

    def head(self) -> str | None:
        """Return the newest commit of the branch; None: there is no such repository or branch.

        Raises:
            UnavailableError: the Hub did not answer, or not as the Hub does.
            SettingsError: *name* cannot be the id of a repository.
        """
        from huggingface_hub import constants  # noqa: PLC0415
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # noqa: PLC0415 - documented

        try:
            validate_repo_id(self.name)
        except HFValidationError as exc:
            msg = (
                f"{self.name!r} is no id of a repository on the Hub, such as me/my-model. "
                "Nothing was uploaded."
            )
            raise SettingsError(msg) from exc
        revision = quote(self.revision or "main", safe="")
        # `expand`: only the commit. The list of a large repository's files would exceed the limits.
        url = f"{constants.ENDPOINT}/api/models/{self.name}/revision/{revision}?expand=sha"
        found = self._asked("the newest commit", lambda: answers.read_json(url, self._headers()))
        return None if found is None else str(found.get("sha"))

    def _text(self, path: str, url: str) -> str | None:
        data = self._asked(path, lambda: answers.read_file(url, self._headers()))
        try:
            return None if data is None else data.decode("utf-8")
        except UnicodeDecodeError as exc:
            msg = f"{path} of {self.name} could not be read from the Hub (it is not UTF-8 text)"
            raise UnavailableError(msg) from exc

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except answers.NotTheHubError as exc:
            why = str(exc)
        except _network_errors() as exc:
            why = type(exc).__name__
        msg = f"{what} of {self.name} could not be read from the Hub ({why})"
        raise UnavailableError(msg)

    def _headers(self) -> dict[str, str]:
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined] # noqa: PLC0415 - documented

        return {**build_hf_headers(token=self.token), "Cache-Control": "no-cache"}

    def slots(self) -> dict[str, str]:
        """Return the slots that the Hub's record lists as written by autocard; else nothing."""
        text = self.read(RECORD_NAME)
        if text is None:
            return {}
        try:
            return dict(records.from_json(text, check_figures=False).slots.get(CARD, {}))
        except RecordError:
            return {}


@dataclass(frozen=True)
class Pushed:
    """The result of `push`.

    Attributes:
        before: the card that was on the Hub; None: there was none.
        text: the card that is there now (with *dry_run*: would be).
        warnings: messages for the user.
        commit: address of the commit; None: nothing had to be changed.
    """

    before: str | None
    text: str
    warnings: tuple[str, ...]
    commit: str | None


def push(
    repo: Repository, record: RunRecord | None, *, overwrite: Any = (), dry_run: bool = False
) -> Pushed:
    """Fill the card of *repo* and upload it with its record in a single commit.

    Args:
        repo: the repository.
        record: None: the record beside the card on the Hub.
        overwrite: slots that are written even over a person's text.
        dry_run: upload nothing.

    Raises:
        HubError: the Hub could not be read or refused, or the repository was changed meanwhile.
        RecordError: there is no record, or it cannot be read.
        SettingsError: *repo* cannot be the id of a repository.
    """
    head = _head(repo)
    before, beside = _read(repo, CARD), _read(repo, RECORD_NAME)
    if record is None:
        if beside is None:
            msg = (
                f"{repo.name} holds no {RECORD_NAME}. "
                f"Name a record: autocard push {repo.name} --record R"
            )
            raise RecordError(msg)
        record = records.from_json(beside, where=f"{RECORD_NAME} of {repo.name}")
    with TemporaryDirectory(prefix="autocard-") as folder:
        card = Path(folder) / CARD
        for name, text in ((CARD, before), (RECORD_NAME, beside)):
            if text is not None:
                (card.parent / name).write_bytes(text.encode("utf-8"))
        outcome = update(card, record, overwrite=overwrite)
        if outcome.left_alone is not None:
            msg = f"{CARD} of {repo.name}: {outcome.left_alone}. Nothing was uploaded."
            raise HubError(msg)
        refusals = refused(card)
        files: Mapping[str, bytes] = {
            name: read_bytes(card.parent / name, records.MAX_BYTES) for name in (CARD, RECORD_NAME)
        }
    same = (
        outcome.text == before
        and beside is not None
        and files[RECORD_NAME] == beside.encode("utf-8")
    )
    if refusals:
        log_warning("autocard: %s of %s: the Hub would refuse: %s", CARD, repo.name, refusals)
    commit = None if dry_run or same else _commit(repo, head, files)
    return Pushed(before, outcome.text, outcome.warnings, commit)


def _read(repo: Repository, path: str) -> str | None:
    try:
        return repo.read(path)
    except UnavailableError as exc:
        msg = f"{exc}. Nothing was uploaded."
        raise HubError(msg) from exc


def _head(repo: Repository) -> str:
    try:
        head = repo.head()
    except UnavailableError as exc:
        msg = f"{exc}. Nothing was uploaded."
        raise HubError(msg) from exc
    if head is None:
        msg = (
            f"{repo.name} could not be read from the Hub "
            "(it is not there, or the token may not see it). Nothing was uploaded."
        )
        raise HubError(msg)
    return head


def _commit(repo: Repository, head: str | None, files: Mapping[str, bytes]) -> str:
    """Upload *files*, but only onto the commit that they were derived from.

    Raises:
        HubError: the Hub refused; or the connection broke, and whether the commit was made is not
            known.
    """
    from huggingface_hub import CommitOperationAdd, HfApi  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    try:
        done = HfApi(token=repo.token).create_commit(
            repo.name,
            [CommitOperationAdd(name, data) for name, data in files.items()],
            commit_message="Fill the model card with what the training run measured (autocard)",
            revision=repo.revision,
            parent_commit=head,
        )
    # ValueError: the check of the metadata failed, before anything was sent.
    except (HfHubHTTPError, ValueError) as exc:
        msg = f"the Hub refused the upload to {repo.name}: {exc} Nothing was changed there."
        raise HubError(msg) from exc
    except _network_errors() as exc:
        msg = (
            f"the connection to the Hub broke in the upload to {repo.name} "
            f"({type(exc).__name__}). It may have arrived. "
            f"autocard push {repo.name} says whether something is left to do."
        )
        raise HubError(msg) from exc
    return str(done.commit_url)


def _network_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of a call of the Hub that are due to the network or the Hub.

    huggingface_hub below 1 uses requests, whose errors are OSErrors, as is the error of its offline
    mode; since 1 it uses httpx, whose errors have the base class HTTPError.
    """
    from huggingface_hub import errors  # noqa: PLC0415

    return OSError, errors.HTTPError  # type: ignore[attr-defined] # imported there, in 0.36 as in 2.4
