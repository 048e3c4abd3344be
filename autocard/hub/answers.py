"""One answer of the Hub, read within limits of size and time, and only if it is the Hub's.

A proxy's error page, a captive portal or a redirect to another host can stand where a file of the
Hub is expected. An answer counts as the Hub's if it comes from the endpoint's own origin and has
the header that every client of the Hub relies on: the commit of a file, or the code of an error. A
web page is never a file's text.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

from autocard.errors import UnavailableError

T = TypeVar("T")

WAIT_S = 5.0
"""Maximum seconds until the next bytes arrive."""
TOTAL_S = 8.0
"""Maximum seconds for a whole answer. A push reads two, and the training waits for both."""
LARGEST_BYTES = 2_000_000
"""Maximum bytes of an answer, decompressed. Cards of the Hub have some kB; 1 MB is rare."""
_REDIRECTS = 5
_CHUNK_BYTES = 1 << 16
_OK, _NOT_FOUND = 200, 404
_MOVED = (301, 302, 303, 307, 308)

COMMIT = "x-repo-commit"
"""Header of every file that the Hub serves
(`huggingface_hub.constants.HUGGINGFACE_HEADER_X_REPO_COMMIT`)."""
ERROR = "x-error-code"
"""Header of the Hub's own refusals (`huggingface_hub.utils.hf_raise_for_status` reads it)."""

_NO_COMMIT = "the answer does not come from the Hub: it names no commit"
_NO_JSON = "the answer does not come from the Hub: it is no JSON object"
_PAGE = "the answer does not come from the Hub: it is a web page"
_ELSEWHERE = "it was redirected to another host"
_TOO_OFTEN = "it was redirected too often"


class NotTheHubError(UnavailableError):
    """The answer is not the Hub's or exceeds a limit; the message says what was wrong with it."""


@dataclass(frozen=True)
class Answer:
    """The response of a server.

    Attributes:
        status: HTTP status code.
        headers: lower-case name → value.
        body: decompressed.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_missing(self) -> bool:
        """Whether the Hub itself reports that there is no such file, revision or repository."""
        return self.status == _NOT_FOUND and ERROR in self.headers


def read_file(url: str, headers: dict[str, str]) -> bytes | None:
    """Return the bytes of a file on the Hub; None: the Hub reports that it does not exist.

    Raises:
        NotTheHubError: the answer is not the Hub's, too large, too slow, or another status.
    """
    answer = get(url, headers)
    if answer.is_missing:
        return None
    if answer.status != _OK:
        raise NotTheHubError(_status(answer))
    if COMMIT not in answer.headers:
        raise NotTheHubError(_NO_COMMIT)
    return answer.body


def read_json(url: str, headers: dict[str, str]) -> dict[str, Any] | None:
    """Return a JSON object from the Hub; None: the Hub reports that it does not exist.

    Raises:
        NotTheHubError: as `read_file`.
    """
    answer = get(url, headers)
    if answer.is_missing:
        return None
    if answer.status != _OK:
        raise NotTheHubError(_status(answer))
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise NotTheHubError(_NO_JSON)
    return found


def get(url: str, headers: dict[str, str]) -> Answer:
    """Return the answer to a GET of *url*, after redirects within the same origin.

    Raises:
        NotTheHubError: another origin, a web page, too large, or too slow.
    """
    return _within(TOTAL_S, lambda: _follow(url, headers))


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of *work* if it takes at most *seconds*.

    The timeout of an HTTP client applies to each read: a server that sends a byte now and then
    never exceeds it. So the work runs in a thread, which is abandoned if it takes too long.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as exc:  # noqa: BLE001 - it is raised in the calling thread
            failed.append(exc)

    thread = threading.Thread(target=run, name="autocard-hub", daemon=True)
    thread.start()
    thread.join(seconds)
    if done:
        return done[0]
    if failed:
        raise failed[0]
    msg = f"it took longer than {seconds:g} s"
    raise NotTheHubError(msg)


def _follow(url: str, headers: dict[str, str]) -> Answer:
    until_s = time.monotonic() + TOTAL_S
    for _ in range(_REDIRECTS):
        answer = _get_once(url, headers, until_s)
        if answer.status not in _MOVED:
            return answer
        target = urljoin(url, answer.headers.get("location", ""))
        if _origin(target) != _origin(url):
            raise NotTheHubError(_ELSEWHERE)
        url = target
    raise NotTheHubError(_TOO_OFTEN)


def _get_once(url: str, headers: dict[str, str], until_s: float) -> Answer:
    with _stream(url, {**headers, "Accept-Encoding": "identity"}) as (status, found, chunks):
        if found.get("content-type", "").lower().startswith("text/html"):
            raise NotTheHubError(_PAGE)
        if status in _MOVED:
            return Answer(status, found)
        return Answer(status, found, _bounded(chunks, found.get("content-encoding", ""), until_s))


def _bounded(chunks: Iterator[bytes], encoding: str, until_s: float) -> bytes:
    """Return *chunks* joined and decompressed, if they stay within the limits."""
    unpack = _unpacker(encoding)
    body = bytearray()
    for chunk in chunks:
        body += unpack(chunk, LARGEST_BYTES + 1 - len(body))
        if len(body) > LARGEST_BYTES:
            msg = f"it is larger than {LARGEST_BYTES // 1_000_000} MB"
            raise NotTheHubError(msg)
        if time.monotonic() > until_s:
            msg = f"it took longer than {TOTAL_S:g} s"
            raise NotTheHubError(msg)
    return bytes(body)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """Return a function (chunk, maximum bytes) → decompressed chunk.

    Requests ask for uncompressed answers, but a server may compress them anyway.
    """
    if encoding.lower() in ("", "identity"):
        return lambda chunk, at_most: chunk[:at_most]
    if encoding.lower() in ("gzip", "x-gzip", "deflate"):
        # 32: zlib itself distinguishes zlib and gzip headers.
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
    msg = f"it is compressed in a way that was not asked for ({encoding[:20]!r})"
    raise NotTheHubError(msg)


@contextmanager
def _stream(
    url: str, headers: dict[str, str]
) -> Iterator[tuple[int, dict[str, str], Iterator[bytes]]]:
    """Yield status, headers and raw body of an answer, through huggingface_hub's session."""
    from huggingface_hub import get_session  # noqa: PLC0415 - importing it costs a second

    session: Any = get_session()
    if hasattr(session, "stream"):  # httpx, since huggingface_hub 1
        with session.stream(
            "GET", url, headers=headers, timeout=WAIT_S, follow_redirects=False
        ) as answer:
            yield answer.status_code, _lower(answer.headers), answer.iter_raw(_CHUNK_BYTES)
    else:  # requests
        with session.get(
            url, headers=headers, timeout=WAIT_S, allow_redirects=False, stream=True
        ) as answer:
            chunks = answer.raw.stream(_CHUNK_BYTES, decode_content=False)
            yield answer.status_code, _lower(answer.headers), chunks


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _status(answer: Answer) -> str:
    return f"status {answer.status}"
