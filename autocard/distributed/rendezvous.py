"""Where the processes of one training meet: the process group's store, or a folder.

Rule: reading never waits for a writer, and a note is never changed. A note has a place in its
group, which only one process can get. Other machines' clocks are not used. What a process shows
(`StoreRendezvous.show`) is not a note: it is replaced each time.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from autocard import files
from autocard.distributed.store_client import StoreClient
from autocard.errors import UnavailableError

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]

HANG_UP_S = 0.5
"""Seconds that a thread gets to notice that its connection is closed."""
TURN_S = 0.05
"""Seconds between two tries to get the lock."""
_NOTE_BYTES = 16_000_000
"""A note holds the ledger entries of one host."""
OLD_S = 7 * 86400.0
"""Seconds after which no process comes back to a folder where processes have met."""
NO_ANSWER = "the place where the training's processes meet does not answer"


class Rendezvous(Protocol):
    """Notes in groups; the places of a group are counted from 0."""

    def put(self, group: str, text: str) -> int:
        """Put *text* on the next free place of *group*; return which one that is."""

    def notes(self, group: str, known: int = 0) -> list[str]:
        """Return the notes of *group* from place *known* on, up to the first gap."""


class StoreRendezvous:
    """On the key-value store by which the process group was set up (torch.distributed.Store)."""

    def __init__(self, store: Any, prefix: str) -> None:
        """Open a connection of our own to *store*: a call that waits does not block the training's.

        Raises:
            UnavailableError: the store cannot be reached, or is of a kind that cannot be used.
        """
        self._client: StoreClient | None = None
        self._prefix = prefix
        self._pid = os.getpid()
        self._asking: threading.Thread | None = None
        self._shown: set[tuple[str, str]] = set()
        self._server = _tcp_store(store)
        if self._server is None:
            self._store = _clone(store)  # files, or memory of this process: there is no connection
            return
        atexit.register(self.let_go)
        self._asking = threading.current_thread()
        try:
            self._connect()
        finally:
            self._asking = None

    def _connect(self) -> None:
        self._client = StoreClient(self._server)  # before it connects: `let_go` can end that
        self._client.connect()
        self._store = self._client.store

    def put(self, group: str, text: str) -> int:
        """Put *text* on the next free place of *group*; return which one that is.

        Raises:
            UnavailableError: the store does not answer.
        """
        with self._answering():
            place = int(self._store.add(f"{self._prefix}/{group}", 1)) - 1
            self._store.set(f"{self._prefix}/{group}/{place}", text)
        return place

    def notes(self, group: str, known: int = 0) -> list[str]:
        """Return the notes of *group* from place *known* on, up to the first gap.

        Raises:
            UnavailableError: the store does not answer.
        """
        with self._answering():
            taken = int(self._store.add(f"{self._prefix}/{group}", 0))
            keys = [f"{self._prefix}/{group}/{place}" for place in range(known, taken)]
            # One question for all of them. Where a place was taken a moment ago, `get` would wait
            # for its note.
            if keys and not self._store.check(keys):
                keys = list(itertools.takewhile(lambda key: self._store.check([key]), keys))
            if len(keys) > 1 and self._store.has_extended_api():
                return [note.decode("utf-8") for note in self._store.multi_get(keys)]
            return [self._store.get(key).decode("utf-8") for key in keys]

    def show(self, group: str, name: str, text: str) -> None:
        """Show *text* under *name* in *group*, instead of what was shown there before.

        Raises:
            UnavailableError: the store does not answer.
        """
        with self._answering():
            self._store.set(f"{self._prefix}/{group}/of {name}", text)
        if (group, name) not in self._shown:
            self.put(group, name)
            self._shown.add((group, name))

    def shown(self, group: str) -> list[str]:
        """Return what is shown in *group* now, one text for each name.

        Raises:
            UnavailableError: the store does not answer.
        """
        names = dict.fromkeys(self.notes(group))
        with self._answering():
            keys = [f"{self._prefix}/{group}/of {name}" for name in names]
            if len(keys) > 1 and self._store.has_extended_api():
                return [text.decode("utf-8") for text in self._store.multi_get(keys)]
            return [self._store.get(key).decode("utf-8") for key in keys]

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Refuse a second call while one waits; turn failures into `UnavailableError`."""
        if self._asking is not None:
            raise UnavailableError(NO_ANSWER)
        self._asking = threading.current_thread()
        try:
            if self._client is not None:
                if self._client.is_closed:  # it did not answer in time once
                    self._connect()
                self._client.expect_answer()
            yield
        except RuntimeError as exc:  # torch.distributed.DistError and its kin
            raise UnavailableError(NO_ANSWER) from exc
        finally:
            if self._client is not None:
                self._client.answered()
            self._asking = None

    def let_go(self) -> None:
        """Close the connection to a store that has not answered: the waiting thread fails and ends.

        No thread of autocard may be inside torch when Python ends: where the answer comes then, the
        process is aborted. The training's own connections are not touched.
        """
        thread = self._asking
        if thread is None or self._client is None or os.getpid() != self._pid:
            return
        self._client.close()
        if thread is not threading.current_thread():
            thread.join(HANG_UP_S)


def _tcp_store(store: Any) -> Any:
    """Return the TCP store below the prefixes of *store*; None: it is of another kind.

    Keys on it need no prefix of the process group: each start of a process group that shares a
    server has its own attempt number, which is part of the board's prefix.
    """
    from torch.distributed import TCPStore  # noqa: PLC0415 - heavy, and loaded here

    while hasattr(store, "underlying_store"):
        store = store.underlying_store
    return store if isinstance(store, TCPStore) else None


def _clone(store: Any) -> Any:
    try:
        return store.clone()
    # this kind of store cannot do it, or this version of torch
    except (RuntimeError, AttributeError) as exc:
        msg = f"the process group's store cannot be used ({type(exc).__name__})"
        raise UnavailableError(msg) from exc


def on_store(store: Any, prefix: str) -> StoreRendezvous:
    """Return the rendezvous on *store*; a process has one, with one connection, for all trainers.

    Raises:
        UnavailableError: this store has no such thing.
    """
    global _board  # noqa: PLW0603 - there is one default process group
    if _board is None or _board[0] is not store or _board[1] != prefix:
        _board = store, prefix, StoreRendezvous(store, prefix)
    return _board[2]


_board: tuple[Any, str, StoreRendezvous] | None = None


class FolderRendezvous:
    """In a folder: a small file for each note, linked into its place as a whole."""

    def __init__(self, folder: Path) -> None:
        """Use *folder*, which is made with the first note."""
        self.folder = folder

    def put(self, group: str, text: str) -> int:
        """Put *text* on the next free place of *group*; return which one that is.

        Raises:
            UnavailableError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix="_note-", dir=self.folder)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            try:
                return self._link(temporary, group)
            finally:
                Path(temporary).unlink()
        except OSError as exc:
            msg = (
                f"the folder where the training's processes meet cannot be written ({exc.strerror})"
            )
            raise UnavailableError(msg) from exc

    def _link(self, temporary: str, group: str) -> int:
        for place in itertools.count():
            with contextlib.suppress(FileExistsError):
                os.link(temporary, self._file(group, place))
                return place
        raise AssertionError

    def notes(self, group: str, known: int = 0) -> list[str]:
        """Return the notes of *group* from place *known* on, up to the first gap."""
        found: list[str] = []
        with contextlib.suppress(OSError):
            while True:
                found.append(files.read_text(self._file(group, known + len(found)), _NOTE_BYTES))
        return found

    def tidy(self) -> None:
        """Remove the folders beside this one that are days old."""
        for other in self.folder.parent.glob("meet-*"):
            with contextlib.suppress(OSError):
                if other != self.folder and time.time() - other.stat().st_mtime > OLD_S:
                    shutil.rmtree(other)

    def claim(self, name: str) -> bool:
        """Return whether no process has claimed *name* before.

        Raises:
            UnavailableError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            return False
        except OSError as exc:
            msg = (
                f"the folder where the training's processes meet cannot be written ({exc.strerror})"
            )
            raise UnavailableError(msg) from exc
        return True

    def take_turn(self, wait_s: float) -> Callable[[], None]:
        """Take the lock, or go on without it after *wait_s* seconds; return what releases it."""
        try:
            descriptor = os.open(self.folder / "turn.lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return _nothing
        until_s = time.monotonic() + wait_s
        while not _locked(descriptor) and time.monotonic() < until_s:
            time.sleep(TURN_S)
        return lambda: os.close(descriptor)

    def _file(self, group: str, place: int) -> Path:
        return self.folder / f"{group.replace('/', '-')}-{place}.json"


def board_of_task(folder: Path, key: str, number: int) -> FolderRendezvous:
    """Return the rendezvous of a task that was started together with others, in *folder*.

    One step may start a program several times, one after the other. Each start has each task once:
    where the number of this one is taken by another process, that was an earlier start, and the
    next board is ours.

    Args:
        folder: private working files of the output folder.
        key: of all tasks that were started together.
        number: of this task.

    Raises:
        UnavailableError: the folder cannot be written.
    """
    mine = os.getpid(), str(folder), key
    if mine not in _boards:
        starts = [int(other.name.rpartition("-")[2]) for other in folder.glob(f"meet-{key}-*")]
        last = max(starts, default=0)
        board = FolderRendezvous(folder / f"meet-{key}-{last}")
        while not board.claim(f"task-{number}"):
            last += 1
            board = FolderRendezvous(folder / f"meet-{key}-{last}")
        board.tidy()
        _boards[mine] = board
    return _boards[mine]


_boards: dict[tuple[int, str, str], FolderRendezvous] = {}
"""Process, folder, key → the board: all trainers of a process meet the others on the same one."""


def _locked(descriptor: int) -> bool:
    """Return whether we hold the lock on an open file now."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this file system has no locks
        return True
    return True


def _nothing() -> None:
    """Release what was not taken."""


def default_store() -> Any:
    """Return the store of torch's default process group; None: there is none.

    `_get_default_store` is the only way to it, and private: where it is gone, there is no board.
    """
    torch = sys.modules.get("torch")
    dist = getattr(torch, "distributed", None)
    if dist is None or not dist.is_available() or not dist.is_initialized():
        return None
    get = getattr(getattr(dist, "distributed_c10d", None), "_get_default_store", None)
    return None if get is None else get()
