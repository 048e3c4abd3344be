"""Wrapping a method of one instance changes nothing for its bound methods, copies, class, relatives and lifetime."""

from __future__ import annotations

import copy
import gc
import inspect
import io
import os
import pickle
import subprocess
import sys
import threading
import types
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer

from autocard import AutoCardCallback
from autocard.card_guard.class_wrapper import original
from autocard.card_guard.method_wrapper import held_method, hold
from autocard.errors import UnavailableError
from support import TESTS, training
from support.card_writers import quiet

OURS = "wall-clock"


def made(folder, *, ours=True, cls=Trainer, callback=None, **changes):
    callbacks = [callback or AutoCardCallback(emissions=False)] if ours else []
    with quiet():
        return cls(
            changes.pop("model", None) or training.bert(),
            training.arguments(folder, **{"max_steps": 1, **changes}),
            train_dataset=training.dataset(16),
            callbacks=callbacks,
        )


def trained(folder, **changes):
    trainer = made(folder, **changes)
    with quiet():
        trainer.train()
    return trainer


def both(tmp_path, act):
    """Return what *act* returns for a trainer without the callback, and for one with it."""
    return [
        act(trained(tmp_path / name / "out", ours=ours), tmp_path / name) for name, ours in TWINS
    ]


TWINS = [("without", False), ("with", True)]
WEIGHTS = "model.safetensors"


# -- bound methods ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", [training.bert, lambda: training.lora(training.bert())], ids=["full", "adapter"]
)
def test_a_bound_method_keeps_its_model_and_saves(model, tmp_path):
    for name, ours in TWINS:
        trainer = trained(tmp_path / name / "out", ours=ours, model=model())
        save = trainer.model.save_pretrained
        assert isinstance(save, types.MethodType)
        assert save.__self__ is trainer.model
        del trainer
        gc.collect()

        save(tmp_path / name / "saved")

    written = [
        {path.name for path in (tmp_path / name / "saved").glob("*.safetensors")}
        for name, _ in TWINS
    ]
    assert written[0] == written[1] != set()


def test_a_thread_that_has_only_the_bound_method_saves_the_weights(tmp_path):
    start = threading.Event()

    def begun():
        save = trained(tmp_path / "out").model.save_pretrained
        thread = threading.Thread(
            target=lambda save=save: start.wait() and save(tmp_path / "saved")
        )
        thread.start()
        return thread

    thread = begun()
    gc.collect()
    start.set()
    thread.join()

    assert (tmp_path / "saved" / WEIGHTS).is_file()


def test_a_model_and_a_trainer_without_a_name_save(tmp_path):
    box = [trained(tmp_path / "out").model]
    gc.collect()

    box.pop().save_pretrained(tmp_path / "saved")
    with quiet():
        trained(tmp_path / "other").save_model()

    assert (tmp_path / "saved" / WEIGHTS).is_file()
    assert (tmp_path / "other" / WEIGHTS).is_file()


def test_a_bound_method_is_pickled_as_it_would_be_without_us(tmp_path):
    model = trained(tmp_path / "out").model

    save = pickle.loads(pickle.dumps(model.save_pretrained))  # noqa: S301 - our own
    save(tmp_path / "saved")

    assert held_method(save.__self__, "save_pretrained") is None
    assert (tmp_path / "saved" / WEIGHTS).is_file()


# -- copies ----------------------------------------------------------------------------------------


def test_a_shallow_copy_of_a_model_saves_its_own_weights(tmp_path):
    def act(trainer, folder):
        twin = copy.copy(trainer.model)
        twin._modules = {**trainer.model._modules, "classifier": torch.nn.Linear(32, 2)}
        torch.nn.init.constant_(twin.classifier.weight, 7.0)
        twin.save_pretrained(folder / "saved")
        return load_file(folder / "saved" / WEIGHTS)["classifier.weight"].unique().tolist()

    assert both(tmp_path, act) == [[7.0], [7.0]]


def test_a_shallow_copy_of_a_trainer_saves_into_its_own_folder(tmp_path):
    def act(trainer, folder):
        twin = copy.copy(trainer)
        twin.args = copy.copy(trainer.args)
        twin.args.output_dir = str(folder / "other")
        with quiet():
            twin.save_model()
        return (folder / "other" / WEIGHTS).is_file(), (folder / "out" / WEIGHTS).exists()

    assert both(tmp_path, act) == [(True, False), (True, False)]


def test_no_trace_of_us_is_in_a_pickle_of_the_model(tmp_path):
    buffer = io.BytesIO()
    torch.save(trained(tmp_path).model, buffer)

    assert b"autocard" not in buffer.getvalue()


# -- how long they live ----------------------------------------------------------------------------


@contextmanager
def without_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


FREED = """
import copy, gc, pickle, sys, weakref
from support import training
from autocard import AutoCardCallback

gc.collect()
gc.disable()
for steps in (0, 1):
    for callbacks in ([], [AutoCardCallback(emissions=False)]):
        trainer = training.trainer(sys.argv[1], callbacks=callbacks, model=training.bert(), max_steps=1)
        for _ in range(steps):
            trainer.train()
            trainer.save_model()
            trainer.evaluate(training.dataset(8))
            trainer.create_model_card()
        twins = copy.deepcopy(trainer.model), pickle.loads(pickle.dumps(trainer.model))
        refs = [weakref.ref(one) for one in (trainer, trainer.model, *twins)]
        del twins
        print("copies", steps, len(callbacks), [ref() is None for ref in refs[2:]])
        del trainer
        print("freed", steps, len(callbacks), [ref() is None for ref in refs])
"""


def test_a_trainer_its_model_and_copies_of_it_are_freed_with_their_last_reference(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("TRUTH_FINDINGS", raising=False)  # the oracles keep what they look at
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)

    run = [sys.executable, "-c", FREED, str(tmp_path)]
    done = subprocess.run(run, check=False, timeout=240, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    runs = [f"{steps} {ours}" for steps in (0, 1) for ours in (0, 1)]
    assert [line for line in lines if line.startswith("copies")] == [
        f"copies {run} [True, True]" for run in runs
    ]
    assert [line for line in lines if line.startswith("freed")] == [
        f"freed {run} [True, True, True, True]" for run in runs
    ]


def test_a_class_has_its_own_methods_again_when_its_last_wrapped_instance_is_gone(tmp_path):
    class Own(Trainer):
        def save_model(self, *args, **kwargs):
            return super().save_model(*args, **kwargs)

    plain, inherited = vars(Own)["save_model"], Trainer.create_model_card
    with without_collector():
        first, second = made(tmp_path / "1", cls=Own), made(tmp_path / "2", cls=Own)
        assert vars(Own)["save_model"] is not plain
        assert "create_model_card" in vars(Own)
        del first
        assert vars(Own)["save_model"] is not plain
        del second

    assert vars(Own)["save_model"] is plain
    assert "create_model_card" not in vars(Own)
    assert Own.create_model_card is inherited


def test_a_callback_that_was_removed_gives_the_class_its_method_back(tmp_path):
    class Own(Trainer):
        pass

    callback = AutoCardCallback(emissions=False)
    trainer = trained(tmp_path, cls=Own, callback=callback)
    trainer.remove_callback(callback)

    with quiet():
        trainer.create_model_card()

    assert "create_model_card" not in vars(Own)
    assert OURS not in (tmp_path / "README.md").read_text()


# -- plain classes: every kind of method, class and instance ---------------------------------------


@dataclass(frozen=True)
class Method:
    name: str = "save"


class Log:
    """Notes what is wrapped."""

    def __init__(self):
        self.calls, self.wants = [], True

    def wanted(self):
        return self.wants

    @contextmanager
    def around(self, method, call):
        self.calls.append(("begin", call))
        yield
        self.calls.append(("end", call))

    @property
    def count(self):
        return len(self.calls) // 2


class Base:
    def save(self, path, *, fast=False):
        """Save it."""
        return "base", self, path, fast


class Sub(Base):
    def save(self, path, *, fast=False):
        return ("sub", *super().save(path, fast=fast))


class Inherits(Base):
    pass


class Equal(Base):
    __hash__ = None

    def __eq__(self, other):
        return True


@pytest.mark.parametrize("cls", [Base, Sub, Inherits, Equal])
def test_only_the_chosen_instance_is_wrapped_whatever_it_is_equal_to(cls):
    one, other, log = cls(), cls(), Log()
    expected = cls.save(one, "a", fast=True)
    held = hold(one, Method(), log)

    assert one.save("a", fast=True)[-3] is one
    assert one.save("a", fast=True)[:-3] == expected[:-3]
    assert other.save("b")[-3] is other

    assert log.count == 2
    assert log.calls[0][1] == {"path": "a", "fast": True}
    held.release()
    one.save("a")
    assert log.count == 2


@pytest.mark.parametrize("cls", [Base, Inherits])
def test_name_signature_module_and_source_are_those_of_the_method(cls):
    looks = [
        lambda: cls.save.__name__,
        lambda: cls.save.__module__,
        lambda: cls.save.__qualname__,
        lambda: cls.save.__doc__,
        lambda: inspect.signature(cls.save),
        lambda: inspect.signature(cls().save),
        lambda: inspect.getsource(cls.save),
        lambda: inspect.isfunction(cls.save),
        lambda: inspect.ismethod(cls().save),
    ]
    before, one = [look() for look in looks], cls()

    held = hold(one, Method(), Log())

    assert [look() for look in looks] == before
    assert inspect.signature(one.save) == before[5]
    held.release()


def test_super_and_subclass_are_wrapped_apart():
    base, sub, of_base, of_sub = Base(), Sub(), Log(), Log()
    kept = hold(base, Method(), of_base), hold(sub, Method(), of_sub)

    assert sub.save("x") == ("sub", "base", sub, "x", False)
    assert (of_base.count, of_sub.count) == (0, 1)
    assert base.save("x") == ("base", base, "x", False)
    assert (of_base.count, of_sub.count) == (1, 1)
    for held in kept:
        held.release()
    assert sub.save("x") == ("sub", "base", sub, "x", False)


def test_a_class_between_two_others_still_passes_on_in_the_order_of_the_subclass():
    class Other(Base):
        def save(self, path):
            return "other"

    class Both(Inherits, Other):
        pass

    one, log = Inherits(), Log()
    held = hold(one, Method(), log)

    assert Both().save("x") == "other"
    assert Inherits.save("no instance", "x") == ("base", "no instance", "x", False)
    held.release()
    assert "save" not in vars(Inherits)


def test_an_instance_whose_class_is_changed_is_wrapped_in_the_new_one():
    class Changed(Base):
        def save(self, path):
            return ("changed", *super().save(path))

    one, log = Base(), Log()
    plain = vars(Base)["save"]
    hold(one, Method(), log)
    one.__class__ = Changed
    assert one.save("x")[0] == "changed"
    held = hold(one, Method(), log)

    log.calls.clear()
    assert one.save("x") == ("changed", "base", one, "x", False)

    assert log.count == 1
    assert vars(Base)["save"] is plain
    held.release()


def test_the_latest_of_two_wraps_alone_and_the_earlier_one_cannot_take_it_off():
    one, early, late = Base(), Log(), Log()
    first = hold(one, Method(), early)
    second = hold(one, Method(), late)
    assert hold(one, Method(), late) is second

    first.release()
    one.save("x")

    assert (early.count, late.count) == (0, 1)
    second.release()
    assert held_method(one, "save") is None


@pytest.mark.parametrize("leaves", ["released", "not wanted"])
def test_the_one_before_acts_again_when_the_latest_leaves(leaves):
    one, early, late, gone = Base(), Log(), Log(), Log()
    hold(one, Method(), early)
    hold(one, Method(), gone)
    del gone
    second = hold(one, Method(), late)

    if leaves == "released":
        second.release()
    else:
        late.wants = False
    one.save("x")
    one.save("x")

    assert (early.count, late.count) == (2, 0)
    assert held_method(one, "save").keeper is early
    held_method(one, "save").release()
    assert vars(Base)["save"].__code__.co_name == "save"


def test_what_was_patched_into_the_class_since_stays_and_calls_are_passed_on_below_it():
    class Own(Base):
        def save(self, path):
            return "own", path

    one, log = Own(), Log()
    held = hold(one, Method(), log)
    below = Own.save

    def patched(self, path):
        return ("patched", *below(self, path))

    Own.save = patched
    assert one.save("x") == ("patched", "own", "x")
    assert log.count == 1
    held.release()

    assert Own.save is patched
    assert one.save("x") == ("patched", "own", "x")
    assert log.count == 1
    again = hold(one, Method(), log)
    assert one.save("x") == ("patched", "own", "x")
    assert log.count == 2
    again.release()
    assert Own.save is patched
    Own.save = below
    held = hold(one, Method(), log)
    assert Own.save is below  # not one more around it
    one.save("x")
    assert log.count == 3


def test_a_mock_in_the_class_stays_what_it_is():
    class Own(Base):
        pass

    with mock.patch.object(Own, "save") as save:
        with pytest.raises(UnavailableError, match=r"Own\.save is no method"):
            hold(Own(), Method(), Log())
        Own().save("x")
        save.assert_called_once_with("x")


@pytest.mark.parametrize("kind", [staticmethod, classmethod, property])
def test_what_is_no_method_of_instances_is_left_alone_with_a_reason(kind):
    class Own:
        save = kind(lambda *_: "x")

    before = vars(Own)["save"]

    with pytest.raises(UnavailableError, match="is no method"):
        hold(Own(), Method(), Log())
    assert vars(Own)["save"] is before


class Closed(type):
    def __setattr__(cls, name, value):
        raise AttributeError(name)


class Ignores(type):
    def __setattr__(cls, name, value):
        pass


@pytest.mark.parametrize("meta", [Closed, Ignores])
def test_a_class_that_refuses_is_a_reason_and_the_instance_works(meta):
    class Own(Base, metaclass=meta):
        pass

    one, log = Own(), Log()

    with pytest.raises(UnavailableError, match="Own"):
        hold(one, Method(), log)
    assert one.save("x") == ("base", one, "x", False)
    assert log.count == 0
    assert held_method(one, "save") is None


def test_an_instance_without_weak_references_is_a_reason():
    class Slots:
        __slots__ = ()

        def save(self):
            return 1

    plain = Slots.save
    with pytest.raises(UnavailableError, match="weakly"):
        hold(Slots(), Method(), Log())
    assert Slots.save is plain


@pytest.mark.expects_failure
def test_a_trainer_whose_class_refuses_trains_and_a_warning_says_what_is_not_put_right(
    tmp_path, caplog
):
    class Own(Trainer, metaclass=Closed):
        pass

    trainer = trained(tmp_path, cls=Own)

    assert trainer.state.global_step == 1
    assert OURS in (tmp_path / "README.md").read_text()
    with quiet():
        trainer.save_model()
    assert (tmp_path / WEIGHTS).is_file()
    assert any(
        "Own does not let create_model_card be replaced" in message for message in caplog.messages
    )


# -- functions that an instance has of its own -----------------------------------------------------


def test_an_override_of_the_instance_is_wrapped_and_stays_as_it_is_in_the_instance():
    one, other, log = Sub(), Sub(), Log()
    override = one.save = lambda path: ("mine", path)

    held = hold(one, Method(), log)

    assert one.save("x") == ("mine", "x")
    assert log.count == 1
    assert vars(one)["save"] is override
    assert inspect.signature(one.save) == inspect.signature(override)
    assert other.save("x") == ("sub", "base", other, "x", False)
    assert log.count == 1
    held.release()
    assert one.save is override


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_override_and_nothing_around_it(duplicate):
    one, log = Sub(), Log()
    override = one.save = lambda path: ("mine", path)
    held = hold(one, Method(), log)

    twin = duplicate(one)

    assert twin.save is override
    assert twin.save("x") == ("mine", "x")
    assert log.count == 0
    held.release()


def test_overrides_can_be_set_and_deleted_while_wrapped():
    one, log = Sub(), Log()
    one.save = lambda path: ("mine", path)
    held = hold(one, Method(), log)

    one.save = lambda path: ("newer", path)
    assert one.save("x") == ("newer", "x")
    del one.save
    assert one.save("x") == ("sub", "base", one, "x", False)
    assert log.count == 2
    with pytest.raises(AttributeError):
        del one.save
    with mock.patch.object(one, "save", lambda path: ("patched", path)):
        assert one.save("x") == ("patched", "x")
    assert one.save("x") == ("sub", "base", one, "x", False)
    held.release()
    assert isinstance(vars(Sub)["save"], types.FunctionType)


def test_an_override_that_calls_the_method_that_it_replaced_reaches_it():
    one, base, log = Sub(), Base(), Log()
    kept = [hold(one, Method(), log)]
    before = one.save
    one.save = lambda path: ("mine", *before(path))
    base.save = lambda path: ("its", path)
    kept += [hold(one, Method(), log), hold(base, Method(), Log())]

    assert one.save("x") == ("mine", "sub", "base", one, "x", False)

    assert original(one, "save")("x") == ("sub", "base", one, "x", False)
    for held in kept:
        held.release()


def test_a_mock_that_an_instance_has_is_called_and_can_be_asked_about_it():
    one, log = Sub(), Log()
    one.save = mock.Mock(return_value=5)
    held = hold(one, Method(), log)

    assert one.save("x") == 5
    one.save.assert_called_once_with("x")
    assert log.count == 1
    held.release()


def test_an_override_that_was_taken_from_the_instance_keeps_it_alive():
    one = Sub()
    one.save = lambda path: ("mine", path)
    ref, log = weakref.ref(one), Log()
    hold(one, Method(), log)
    save = one.save

    with without_collector():
        del one
        assert save("x") == ("mine", "x")
        assert ref() is not None
        del save
        assert ref() is None
    assert isinstance(vars(Sub)["save"], types.FunctionType)


# -- threads and processes -------------------------------------------------------------------------


def test_many_threads_wrap_call_and_let_go_of_instances_of_one_class():
    class Own(Base):
        pass

    failures = []

    def work():
        try:
            for _ in range(300):
                one, log = Own(), Log()
                held = hold(one, Method(), log)
                assert one.save("x") == ("base", one, "x", False)
                assert log.count == 1
                if id(one) % 2:
                    held.release()
        except BaseException as exc:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert "save" not in vars(Own)


CLOUDPICKLE = """
import pickle, sys
sys.modules["autocard"] = None
twin = pickle.load(open(sys.argv[1], "rb"))
assert twin.save("x") == ("own", "x", False), twin.save("x")
assert twin.load("y") == ("y",), twin.load("y")
"""


def test_a_class_taken_apart_by_cloudpickle_works_where_autocard_is_not_installed(tmp_path):
    cloudpickle = pytest.importorskip("cloudpickle")

    class Parent:
        def save(self, path, *, fast=False):
            return "parent", path, fast

        def load(self, path):
            return (path,)

    class Own(Parent):
        def save(self, path):
            return ("own", *super().save(path)[1:])

    one, log = Own(), Log()
    kept = [hold(one, Method(name), log) for name in ("save", "load")]

    (tmp_path / "own.pkl").write_bytes(cloudpickle.dumps(one))

    run = [sys.executable, "-c", CLOUDPICKLE, str(tmp_path / "own.pkl")]
    done = subprocess.run(run, check=False, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for held in kept:
        held.release()


def test_nothing_is_left_of_a_wrapper_that_was_released():
    one = Base()
    plain = vars(Base)["save"]

    held = hold(one, Method(), Log())
    ref = weakref.ref(held.wrapper)
    held.release()
    del held
    gc.collect()

    assert vars(Base)["save"] is plain
    assert ref() is None
