"""Which methods of a trainer and its model write cards, and into which folder.

All that depends on the versions of these libraries is here. Read in transformers 4.57 and 5.23
(trainer.py), TRL 1.16 (trainer/base_trainer.py), PEFT 0.18 and 0.21 (peft_model.py) and
sentence-transformers 5.1 and 6.2 (base/model.py).
"""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard.card_guard.card_library import is_sentence_transformer, layers, library_of
from autocard.card_guard.method_wrapper import held_method, hold
from autocard.card_guard.wrapped_methods import arguments
from autocard.errors import UnavailableError
from autocard.trainers import trainer_calls

_CALLS = (trainer_calls.TRAIN, trainer_calls.PUSH, trainer_calls.SEARCH)
_watching = threading.Lock()
_watchers: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()
"""The wrappers installed in `transformers.Trainer`."""
_KNOWN = ("transformers", "trl", "sentence_transformers")


@dataclass(frozen=True)
class CardMethod:
    """One method that writes a card.

    Attributes:
        name: of the method.
        folder: the call's arguments by name → the folder whose README.md it writes.
        pushes: it is what `push_to_hub` calls last before it uploads.
        uploads: it writes no card; it uploads the folder while training runs.
        form: the card that it writes is the form of our card, because people want its content.
        saves: it saves the model, and may write a card by another of these methods before the
            weights are written.
        gives_card: what it saves gets a card, even if no library writes one there.
    """

    name: str
    folder: Callable[[Mapping[str, Any]], Path]
    pushes: bool = False
    uploads: bool = False
    form: bool = False
    saves: bool = False
    gives_card: bool = False


def watch_trainers() -> None:
    """Wrap methods of `transformers.Trainer` to find trainers and their calls.

    Callbacks do not receive their trainer; the calls are those of `train`, `push_to_hub` and
    `hyperparameter_search`. Each method is wrapped once in a process and stays wrapped; the wrapper
    notes the trainer (by a weak reference) and calls the method. If transformers' trainer cannot be
    imported, there is none.
    """
    try:
        from transformers.trainer import Trainer  # noqa: PLC0415 - with torch and accelerate
    except ImportError:
        return
    with _watching:
        for name in ("__init__", "add_callback"):
            _replace(Trainer, name, _noting)
        for name in _CALLS:
            _replace(Trainer, name, _running)


def _replace(cls: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    plain = vars(cls).get(name)
    if inspect.isfunction(plain) and plain not in _watchers:
        watcher = make(plain)
        _watchers.add(watcher)
        setattr(cls, name, watcher)


def _noting(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def noted(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        trainer_calls.note(self)
        return plain(self, *args, **kwargs)

    return noted


def _running(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        with trainer_calls.running(self, plain.__name__, arguments(plain, args, kwargs)):
            return plain(self, *args, **kwargs)

    return run


class _OwnCalls:
    """Notes a trainer's calls of `train` and `push_to_hub` where its class overrides them."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = weakref.ref(trainer)

    def wanted(self) -> bool:
        """Return True: calls are noted as long as the trainer exists."""
        return True

    def around(self, method: Any, call: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Return the context in which the call is registered."""
        return trainer_calls.running(self._trainer(), method.name, call)


def watch(trainer: Any) -> None:
    """Register *trainer*, and wrap its own calls that are noted unless its class's are wrapped.

    Raises:
        UnavailableError: its class does not allow their replacement.
    """
    trainer_calls.note(trainer)
    for name in _CALLS:
        if inspect.getattr_static(type(trainer), name, None) not in _watchers or name in vars(
            trainer
        ):
            standing = held_method(trainer, name)
            calls = _OwnCalls(trainer) if standing is None else standing.keeper
            hold(trainer, CardMethod(name, lambda _: Path()), calls)


def is_trainer(found: Any) -> bool:
    """Return whether *found* is a trainer of transformers' kind."""
    return all(
        hasattr(type(found), name) for name in ("create_model_card", "train", "add_callback")
    )


def has_callback(trainer: Any, kind: type) -> Any:
    """Return the trainer's first callback of *kind*, or None."""
    return next((one for one in _callbacks(trainer) if isinstance(one, kind)), None)


def carries(trainer: Any, callback: Any) -> bool:
    """Return whether *callback* is among the trainer's callbacks."""
    return any(one is callback for one in _callbacks(trainer))


def _callbacks(trainer: Any) -> list[Any]:
    handler = getattr(trainer, "callback_handler", None)
    return list(getattr(handler, "callbacks", ()))


def writers(trainer: Any, model: Any, *, library_forms: bool) -> Iterator[tuple[Any, CardMethod]]:
    """Yield the card-writing instances of *trainer* and *model*, with methods.

    Args:
        trainer: None: not known.
        model: the trained one.
        library_forms: whether cards of libraries are filled as forms; an author's own always are.
    """
    if trainer is not None:
        args = trainer.args
        form = _by_author(type(trainer).create_model_card) or (
            library_forms and library_of(trainer, model) != ""
        )
        yield (
            trainer,
            CardMethod(
                "create_model_card", lambda _: Path(args.output_dir), pushes=True, form=form
            ),
        )
        yield (
            trainer,
            CardMethod(
                "save_model",
                lambda call: _saved_to(call, args.output_dir),
                saves=True,
                gives_card=True,
            ),
        )
        # transformers 4: no event before these uploads
        if not hasattr(trainer.callback_handler, "on_push_begin"):
            yield (
                trainer,
                CardMethod("_push_from_checkpoint", lambda _: Path(args.output_dir), uploads=True),
            )
    for layer in layers(model):
        if hasattr(type(layer), "create_or_update_model_card"):
            yield (
                layer,
                CardMethod("create_or_update_model_card", lambda call: Path(call["output_dir"])),
            )
            base = layer.get_base_model()  # what `merge_and_unload` returns
            if hasattr(type(base), "save_pretrained"):
                yield (
                    base,
                    CardMethod("save_pretrained", lambda call: _saved_to(call, None), saves=True),
                )
        if is_sentence_transformer(layer):
            yield (
                layer,
                CardMethod(
                    "_create_model_card",
                    lambda call: Path(call["path"]),
                    form=library_forms,
                ),
            )
            yield layer, CardMethod("save", lambda call: _saved_to(call, None), saves=True)
        elif hasattr(type(layer), "save_pretrained"):
            yield (
                layer,
                CardMethod("save_pretrained", lambda call: _saved_to(call, None), saves=True),
            )


def _saved_to(call: Mapping[str, Any], default: str | None) -> Path:
    """Return the folder that a method saves a model to, by the libraries' argument names."""
    names = ("output_dir", "save_directory", "path")
    folder = next((call[name] for name in names if call.get(name) is not None), default)
    if folder is None:
        msg = f"no folder among the arguments {sorted(call)}"
        raise UnavailableError(msg)
    return Path(folder)


def _by_author(method: Any) -> bool:
    """Return whether a person wrote *method* of a trainer: it is of no library with known cards."""
    return str(getattr(method, "__module__", "")).partition(".")[0] not in _KNOWN


def inform(
    model: Any,
    front: Mapping[str, Any],
    *,
    revision: str | None = None,
    withheld: Collection[str] = (),
) -> None:
    """Complete a sentence-transformers model's card data: base model, license, language.

    The base model always comes from the record: the library asks the Hub whether the name of a
    local folder is also the id of a model there.
    """
    for layer in layers(model):
        if not is_sentence_transformer(layer):
            continue
        data = layer.model_card_data
        for name in ("license", "language"):
            if front.get(name) and hasattr(data, name) and not getattr(data, name):
                setattr(data, name, front[name])
        if front.get("base_model") or withheld:
            _set_base(data, front.get("base_model"), revision)


def _set_base(data: Any, base_model: str | None, revision: str | None) -> None:
    """Set the base in sentence-transformers' card data; None: a local checkpoint, not named."""
    named = getattr(data, "base_model", None)
    if (
        named
        and named != base_model
        and str(getattr(data, "model_name", "") or "").endswith(f" based on {named}")
    ):
        data.model_name = None  # derived from the base's name; the library derives it again
    data.base_model, data.base_model_revision = base_model, revision
    if base_model is None:
        # Before its first save it searches for a base by parts of the folder's path.
        data.first_save = False
