"""What a training was, as a person would work it out, held against what record and card say of it.

Shares no code with autocard: counts come from the tensors, settings from the arguments, versions from the installed
packages, rows from the data sets, times from a clock of its own around the events, figures from the trainer's log.
`Watch` (conftest.py) checks each training of the suite that runs in the tests' own process, in some milliseconds.
What an oracle cannot judge, such as a mixed or sharded data set, it leaves alone.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SMALL_ROWS = 64
"""Rows that are read for their tokens."""
UNSURE = None
"""An oracle's answer where it cannot judge."""

Said = tuple[str, Any, bool]
"""What is spoken of, what is said of it, whether that is so."""


class Weights(NamedTuple):
    """One tensor of a model."""

    count: int
    dtype: str
    trained: bool


@dataclass
class Truth:
    """What is known of a training without asking autocard."""

    trainer: Any
    state: Any
    step_begin: int = 0
    at_least_s: float = 0.0
    at_most_s: float = math.inf
    """Bounds of the training's time: from after our begin to before our end, and with both."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What `evaluate` gave to its callbacks after training."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """What a person told autocard."""

    @property
    def args(self) -> Any:
        return self.trainer.args

    @functools.cached_property
    def whole(self) -> Any:
        """The model without what only distributes or compiles it."""
        model = self.trainer.model
        return getattr(model, "_orig_mod", None) or model

    @functools.cached_property
    def inner(self) -> Any:
        """The model whose class is the architecture."""
        model = self.whole
        if type(model).__module__.startswith("sentence_transformers"):
            return getattr(model, "transformers_model", None)
        return model.get_base_model() if hasattr(model, "get_base_model") else model

    @functools.cached_property
    def config(self) -> Any:
        return getattr(self.inner, "config", None)

    @functools.cached_property
    def adapters(self) -> Mapping[str, Any]:
        found = getattr(self.whole, "peft_config", None)
        return found if isinstance(found, Mapping) else {}

    @functools.cached_property
    def parameters(self) -> list[Weights] | None:
        """Each tensor once; None: they cannot be counted as they are."""
        from torch import nn

        if not isinstance(self.whole, nn.Module):
            return None
        found = {(one.device, one.data_ptr(), one.shape): one for one in self.whole.parameters()}.values()
        if any(one.is_meta or not one.dtype.is_floating_point or type(one) is not nn.Parameter for one in found):
            return None
        all_of_them = [Weights(one.numel(), str(one.dtype).removeprefix("torch."), one.requires_grad) for one in found]
        return all_of_them if all(one.count for one in all_of_them) else None

    def keep(self) -> None:
        """Look at the model now: later it may be merged, cast or unloaded, and the record tells of training."""
        _ = self.inner, self.config, self.adapters, self.parameters

    @property
    def log(self) -> list[dict[str, Any]]:
        return list(self.state.log_history)

    def summary(self, key: str) -> float | None:
        """Return a figure of the trainer's own summary, the last one in its log."""
        return next((entry[key] for entry in reversed(self.log) if key in entry), None)


# -- small helpers ------------------------------------------------------------------------------------------------


def near(said: float, true: float | None, *, share: float = 1e-6, at_most: float = 1e-9) -> bool | None:
    return UNSURE if true is None else abs(said - true) <= share * abs(true) + at_most


def length_of(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None


def named(config: Any, *names: str) -> Any:
    return next((value for name in names if (value := getattr(config, name, None)) is not None), None)


@functools.cache
def installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def plain(value: Any) -> Any:
    """Return a setting as JSON would hold it, where that is simple."""
    value = getattr(value, "value", value)
    return sorted(value) if isinstance(value, set) else value


# -- the record ---------------------------------------------------------------------------------------------------


def run_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    run, state = known["run"], true.state
    yield "run.global_step", run["global_step"], run["global_step"] == state.global_step
    yield "run.max_steps", run["max_steps"], run["max_steps"] == state.max_steps
    done = state.global_step >= state.max_steps
    yield "run.status", run["status"], (run["status"] == "finished") is done and run["status"] != "interrupted"
    # After a resume with another batch size the Trainer divides all steps by those of an epoch of now.
    sizes = {json.dumps(leg["batch"]) for leg in known["legs"]}
    if run["epochs"] is not None and state.epoch is not None and len(sizes) < 2:
        yield "run.epochs", run["epochs"], bool(near(run["epochs"], state.epoch, share=1e-3))


def legs_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    if not known["legs"]:
        return
    last = known["legs"][-1]
    yield "legs[-1].step_end", last["step_end"], last["step_end"] == true.state.global_step
    if not getattr(true.args, "auto_find_batch_size", False):
        yield "legs[-1].step_begin", last["step_begin"], last["step_begin"] == true.step_begin
        seconds = last["wall_clock_s"]
        within = true.at_least_s - 0.01 <= seconds <= true.at_most_s + 0.01
        yield "legs[-1].wall_clock_s", f"{seconds} in {true.at_least_s, true.at_most_s}", within
    walls = [leg["wall_clock_s"] for leg in known["legs"]]
    total = known["time"]["wall_clock_s"]
    if total is not None and None not in walls:
        yield "time.wall_clock_s", total, bool(near(total, sum(walls)))
    # A step that was done twice is time that was spent twice, and a gap between two legs is none.
    ends = [(leg["step_begin"], leg["step_end"]) for leg in known["legs"]]
    yield "legs[].step_end", ends, all(begin <= end for begin, end in ends if None not in (begin, end))


def model_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["model"]
    if true.inner is not None and said["architecture"]:
        classes = [cls.__name__ for cls in type(true.inner).__mro__]
        yield "model.architecture", said["architecture"], said["architecture"] in classes[:2]
    for name, chosen in (("parameters_total", False), ("parameters_trainable", True)):
        if said[name] is not None and true.parameters is not None:
            count = sum(one.count for one in true.parameters if one.trained or not chosen)
            yield f"model.{name}", f"{said[name]} of {count}", said[name] == count


def dims_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["model"]
    if true.config is not None and said["model_type"]:
        yield "model.model_type", said["model_type"], said["model_type"] == true.config.model_type
        names = {
            "layers": ("num_hidden_layers", "n_layer"),
            "hidden_size": ("hidden_size", "n_embd", "d_model"),
            "attention_heads": ("num_attention_heads", "n_head"),
            "vocabulary": ("vocab_size",),
            "intermediate_size": ("intermediate_size",),
        }
        for ours, theirs in names.items():
            number = named(true.config, *theirs)
            if ours in said["dims"] and isinstance(number, int):
                yield f"model.dims.{ours}", said["dims"][ours], said["dims"][ours] == number
        labels = getattr(true.config, "id2label", None) or {}
        if said["labels"]:
            yield "model.labels", said["labels"], said["labels"] == [labels[index] for index in sorted(labels)]


def base_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["model"]
    base = said["base_model"]
    if base:
        names_there = [str(getattr(true.config, "_name_or_path", ""))]
        names_there += [str(getattr(one, "base_model_name_or_path", "")) for one in true.adapters.values()]
        cached = f"models--{base.replace('/', '--')}"
        there = any(base == name or cached in name or name.endswith(f"/{base}") for name in names_there)
        # A local folder's own files may name its base: which they are is not known here, but that it is a folder is.
        local = any(Path(name).is_dir() for name in names_there if name)
        yield "model.base_model", base, there or local or base == true.given.get("base_model")
        if said["base_model_relation"] and not said["adapters_merged"]:
            is_adapter = said["base_model_relation"] == "adapter"
            yield "model.base_model_relation", said["base_model_relation"], is_adapter is bool(true.adapters)
    if said["library_name"]:
        sentences = any(cls.__module__.startswith("sentence_transformers") for cls in type(true.whole).__mro__)
        is_peft = any(cls.__name__ in ("PeftModel", "PeftMixedModel") for cls in type(true.whole).__mro__)
        right = "sentence-transformers" if sentences else "peft" if is_peft else "transformers"
        yield "model.library_name", said["library_name"], said["library_name"] == right or said["adapters_merged"]


def saved_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    folder, said = Path(true.args.output_dir), known["model"]
    if said["saved_bytes"] is not None:
        files = [*folder.glob("*model*.safetensors"), *folder.glob("*model*.bin")]
        sizes = {file.stat().st_size for file in files}
        fits = said["saved_bytes"] in sizes or len(files) > 2  # more: in shards, or of several formats
        yield "model.saved_bytes", said["saved_bytes"], fits
    for name in said["saved_files"]:
        yield "model.saved_files", name, (folder / name).is_file()


def adapters_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    for said in known["adapters"]:
        config = true.adapters.get(said["name"])
        if config is None:
            if true.adapters:  # with none left they were unloaded or merged since training
                yield "adapters[].name", said["name"], False
            continue
        for name, value in said["config"].items():
            there = plain(getattr(config, name, None))
            if isinstance(there, int | float | str | bool):
                yield f"adapters[].config.{name}", value, value == there or str(value) == str(there)
            elif name == "target_modules" and isinstance(there, list):
                yield f"adapters[].config.{name}", value, sorted(value) == there


def training_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said, args = known["training"], true.args
    for name, value in said["hyperparameters"].items():
        there = plain(getattr(args, name, None))
        if isinstance(there, bool | int | float | str):
            # What was found by itself is told as it was used.
            found = name == "per_device_train_batch_size" and args.auto_find_batch_size
            used = getattr(true.trainer, "_train_batch_size", None) if found else there
            yield f"training.hyperparameters.{name}", value, value in (there, used)
    if said["seed"] is not None:
        yield "training.seed", said["seed"], said["seed"] == args.seed
    batch = getattr(true.trainer, "_train_batch_size", None) or args.train_batch_size
    parallel = getattr(args, "parallelism_config", None)
    own_loader = not type(true.trainer).get_train_dataloader.__module__.startswith(
        ("transformers.", "trl.", "sentence")
    )
    if said["effective_batch_size"] is not None and parallel is None and not own_loader:
        step = batch * args.gradient_accumulation_steps * args.world_size
        rows = length_of(true.trainer.train_dataset)
        if rows is not None and args.dataloader_drop_last:
            rows -= rows % (batch * args.world_size)
        allowed = {step} if rows is None else {step, min(step, rows)}
        yield "training.effective_batch_size", said["effective_batch_size"], said["effective_batch_size"] in allowed
    if said["optimizer"]:
        optimizer = true.trainer.optimizer
        while hasattr(optimizer, "optimizer"):  # accelerate's wrapper
            optimizer = optimizer.optimizer
        if optimizer is not None:
            yield "training.optimizer", said["optimizer"], type(optimizer).__name__ in said["optimizer"]


def precision_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["precision"]
    if true.parameters is None:
        return
    sizes: dict[str, int] = {}
    for one in true.parameters:
        sizes[one.dtype] = sizes.get(one.dtype, 0) + one.count
    if said["weights_dtype"]:
        most = max(sizes, key=lambda dtype: sizes[dtype])
        yield "precision.weights_dtype", said["weights_dtype"], said["weights_dtype"] == most
    trained = {one.dtype for one in true.parameters if one.trained}
    if said["trainable_dtype"]:
        yield "precision.trainable_dtype", said["trainable_dtype"], said["trainable_dtype"] in trained
    if said["regime"] == "fp32":
        yield "precision.regime", said["regime"], set(sizes) <= {"float32"} and not true.args.bf16
    elif said["regime"] == "bf16 mixed precision":
        yield "precision.regime", said["regime"], bool(true.args.bf16) or trained == {"float32"} or len(trained) > 1
    elif said["regime"] and said["regime"].endswith("non-mixed precision"):
        wanted = {"bf16": "bfloat16", "fp16": "float16"}[said["regime"].split()[0]]
        yield "precision.regime", said["regime"], wanted in sizes


def data_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    data, sets = true.trainer.train_dataset, known["data"]["train"]
    rows = length_of(data)
    if sets and rows is not None and all(one["rows"] is not None for one in sets) and not sets[0]["streaming"]:
        said = sum(one["rows"] for one in sets)
        yield "data.train[].rows", said, said == rows
    columns = getattr(data, "column_names", None)
    if len(sets) == 1 and isinstance(columns, list) and sets[0]["columns"]:
        yield "data.train[].columns", sets[0]["columns"], set(sets[0]["columns"]) <= set(columns)
    small = rows is not None and rows <= SMALL_ROWS and "input_ids" in (columns or ())
    if len(sets) == 1 and sets[0]["tokens"] is not None and small:
        count = sum(len(data[index]["input_ids"]) for index in range(rows))
        yield "data.train[].tokens", sets[0]["tokens"], sets[0]["tokens"] == count
    for one in sets:
        if one["dataset_id"] and one["inferred"] is False:
            given = true.given.get("datasets") or ()
            yield "data.train[].dataset_id", one["dataset_id"], one["dataset_id"] in given


def evaluation_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["evaluation"]
    figures: dict[str, list[float]] = {}
    for entry in [*true.log, true.metrics]:
        for name, value in entry.items():
            if isinstance(value, int | float):
                figures.setdefault(name, []).append(float(value))
    for one in said["results"]:
        fitting = [value for name, values in figures.items() if name.endswith(one["name"]) for value in values]
        if fitting and one["value"] is not None:
            found = any(near(one["value"], value, share=1e-5) for value in fitting)
            yield f"evaluation.results[{one['name']}]", one["value"], found
        elif one["split"] == "evaluation":
            yield f"evaluation.results[{one['name']}]", one["value"], False


def losses_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["evaluation"]
    if said["train_loss"] is not None and not said["diverged"]:
        yield "evaluation.train_loss", said["train_loss"], bool(near(said["train_loss"], true.summary("train_loss")))
    for entry in said["history"]:
        if "loss" in entry and "step" in entry:
            there = [one["loss"] for one in true.log if one.get("step") == entry["step"] and "loss" in one]
            if there:
                fits = any(near(entry["loss"], float(one), share=1e-5) for one in there)
                yield "evaluation.history[].loss", entry["loss"], fits


def machine_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    import torch

    for name, version in known["software"].items():
        there = installed(name.replace("_", "-"))
        if there is None:
            continue
        module = sys.modules.get(name)
        own = getattr(module, "__version__", there)
        yield f"software.{name}", version, str(version) in (there, str(own))
    if "python" in known["software"]:
        here = ".".join(map(str, sys.version_info[:3]))
        yield "software.python", known["software"]["python"], known["software"]["python"].startswith(here)
    if known["hardware"]["gpus"] and not torch.cuda.is_available():
        yield "hardware.gpus", known["hardware"]["gpus"], False
    world = known["job"]["world_size"]
    if world is not None:
        yield "job.world_size", world, world == true.args.world_size


def sums_of(known: dict[str, Any], _: Truth) -> Iterator[Said]:
    energy, emissions = known["energy"], known["emissions"]
    parts = [energy[name] for name in ("gpu_kwh", "cpu_kwh", "ram_kwh")]
    if energy["total_kwh"] is not None and None not in parts:
        yield "energy.total_kwh", energy["total_kwh"], bool(near(energy["total_kwh"], sum(parts)))
    if energy["total_kwh"] is not None and None in parts:
        yield "energy.total_kwh", energy["total_kwh"], False
    if emissions["co2eq_g"] is not None and energy["total_kwh"] and emissions["intensity_g_per_kwh"]:
        grams = energy["total_kwh"] * (emissions["pue"] or 1.0) * emissions["intensity_g_per_kwh"]
        yield "emissions.co2eq_g", emissions["co2eq_g"], bool(near(emissions["co2eq_g"], grams, share=1e-3))
    for path in known["missing"]:
        leaf = functools.reduce(
            lambda part, name: part.get(name) if isinstance(part, dict) else None, path.split("."), known
        )
        if path in ("energy.total_kwh", "emissions.co2eq_g", "model.parameters_total", "model.saved_bytes"):
            yield f"missing[{path}]", leaf, leaf is None


OF_RECORD: tuple[Callable[[dict[str, Any], Truth], Iterator[Said]], ...] = (
    *(run_of, legs_of, model_of, dims_of, base_of, saved_of, adapters_of, training_of, precision_of, data_of),
    *(evaluation_of, losses_of, machine_of, sums_of),
)


# -- the card -----------------------------------------------------------------------------------------------------


def number(text: str) -> float:
    return float(text.replace(",", ""))


def _version(package: str) -> Callable[[str, Truth], bool]:
    return lambda said, _: str(installed(package)).split("+")[0] == said.split("+")[0]


def _lora(name: str) -> Callable[[str, Truth], bool | None]:
    def is_so(said: str, true: Truth) -> bool | None:
        values = [getattr(one, name, None) for one in true.adapters.values()]
        return number(said) in [float(one) for one in values if one is not None] if values else UNSURE

    return is_so


def _parameters(said: str, true: Truth, *, trained: bool) -> bool | None:
    if true.parameters is None:
        return UNSURE
    return number(said) == sum(one.count for one in true.parameters if one.trained or not trained)


def _setting(name: str) -> Callable[[str, Truth], bool | None]:
    return lambda said, true: near(float(said), float(getattr(true.args, name)))


def _seconds(said: str, true: Truth) -> bool | None:
    """Return whether a time, such as 0.807 s or 1 min 4 s, lies within the bounds, give or take its last digit."""
    if math.isinf(true.at_most_s) or true.step_begin:
        return UNSURE
    units = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    pieces = re.findall(r"([\d.,]+) (ms|min|[shd])\b", said)
    total = sum(number(amount) * units[unit] for amount, unit in pieces)
    return 0.99 * true.at_least_s - 0.05 <= total <= 1.01 * true.at_most_s + 0.05


def _loss(said: str, true: Truth) -> bool | None:
    there = [entry["eval_loss"] for entry in [*true.log, true.metrics] if "eval_loss" in entry]
    return any(near(number(said), one, share=1e-3, at_most=6e-5) for one in there) if there else UNSURE


OF_CARD: dict[str, tuple[str, str, Callable[[str, Truth], bool | None]]] = {
    "parameters": ("model_specs", r"Parameters: ([\d,]+)", functools.partial(_parameters, trained=False)),
    "trained parameters": (
        "model_specs",
        r"([\d,]+) of them trained",
        functools.partial(_parameters, trained=True),
    ),
    "rank": ("model_specs", r"\br = (\d+)", _lora("r")),
    "alpha": ("model_specs", r"\balpha = (\d+)", _lora("lora_alpha")),
    "layers": (
        "model_specs",
        r"Dimensions: (\d+) layers",
        lambda said, true: (
            UNSURE if true.config is None else int(said) == named(true.config, "num_hidden_layers", "n_layer")
        ),
    ),
    "steps": (
        "training_hyperparameters",
        r"Length: ([\d,]+) optimizer step",
        lambda said, true: number(said) == true.state.global_step,
    ),
    "seed": ("training_hyperparameters", r"(?m)^- Seed: (\d+)", _setting("seed")),
    "learning rate": ("training_hyperparameters", r"`learning_rate` ([\d.e+-]+)", _setting("learning_rate")),
    "rows": (
        "training_data",
        r"\A[^;\n]*?, ([\d,]+) rows",
        lambda said, true: (
            UNSURE
            if (rows := length_of(true.trainer.train_dataset)) is None
            or hasattr(true.trainer.train_dataset, "datasets")
            else number(said) == rows
        ),
    ),
    "time": ("speeds_sizes_times", r"(?m)Wall-clock time: (.*)$", _seconds),
    "hours used": ("hours_used", r"\A((?:[\d.,]+ (?:ms|min|[shd]) ?)+)wall-clock", _seconds),
    "loss": ("results", r"(?m)^\| loss \| ([\d.]+) \|$", _loss),
    "regime": (
        "training_regime",
        r"\A(fp32)\b",
        lambda _, true: UNSURE if true.parameters is None else not true.args.bf16,
    ),
    "library": (
        "yaml:library_name",
        r'"(.*)"',
        lambda said, true: said != "peft" or bool(true.adapters),
    ),
    "Transformers": ("software", r"(?m)^- Transformers (\S+)$", _version("transformers")),
    "PyTorch": ("software", r"(?m)^- PyTorch (\S+)$", _version("torch")),
    "PEFT": ("software", r"(?m)^- PEFT (\S+)$", _version("peft")),
}
"""Claim → (slot, how it is said there, whether that is so)."""


def of_card(slots: Mapping[str, str], card: str, true: Truth) -> Iterator[Said]:
    """Yield the claims of the texts that we wrote into a card, and whether they stand in it."""
    for claim, (slot, pattern, is_so) in OF_CARD.items():
        found = re.search(pattern, slots.get(slot, ""))
        if found is None or found[0].splitlines()[0] not in card:
            continue
        answer = is_so(found[1], true)
        if answer is not UNSURE:
            yield f"card: {claim}", found[1], answer


def judged(known: dict[str, Any], card: str, name: str, true: Truth) -> list[Said]:
    """Return all that record and card say that an oracle can judge."""
    said = [one for oracle in OF_RECORD for one in oracle(known, true)]
    said += of_card(known.get("slots", {}).get(name, {}), card, true)
    return said


# -- the suite ----------------------------------------------------------------------------------------------------


class Watch:
    """Looks at each training of this process that has autocard, when it ends and when it is evaluated after that."""

    def __init__(self) -> None:
        self.runs = self.fields = 0
        self.spent_s = 0.0
        self.false: list[str] = []
        self._under_way: dict[int, Truth] = {}
        self._clocks: dict[int, tuple[float, float]] = {}
        self._patched: Any = None

    def install(self) -> None:
        """Stand around the callback's events, once it has been imported."""
        module = sys.modules.get("autocard.callback")
        cls = getattr(module, "AutoCardCallback", None)
        if cls is None or self._patched is cls:
            return
        self._patched = cls
        for event in ("on_train_begin", "on_train_end", "on_evaluate"):
            setattr(cls, event, self._around(getattr(cls, event), getattr(self, event)))

    @staticmethod
    def _around(event: Any, look: Any) -> Any:
        @functools.wraps(event)
        def watched(callback: Any, args: Any, state: Any, control: Any, **objects: Any) -> Any:
            before_s = time.monotonic()
            result = event(callback, args, state, control, **objects)
            look(callback, args, state, before_s, objects)
            return result

        return watched

    def on_train_begin(self, _: Any, args: Any, state: Any, before_s: float, __: Any) -> None:
        again = id(args) in self._clocks and getattr(args, "auto_find_batch_size", False)
        if not again:  # with smaller batches it is the same training
            self._clocks[id(args)] = before_s, time.monotonic()
        self._under_way[id(args)] = Truth(None, state, step_begin=int(state.global_step))

    def on_train_end(self, callback: Any, args: Any, state: Any, before_s: float, _: Any) -> None:
        begun_s, begun_late_s = self._clocks.pop(id(args), (-math.inf, math.inf))
        true = self._under_way.get(id(args))
        trainer = self._trainer(args)
        if trainer is None or true is None:
            return
        true.at_least_s, true.at_most_s = before_s - begun_late_s, time.monotonic() - begun_s
        true.trainer, true.state = trainer, state
        true.keep()
        settings = getattr(getattr(callback, "_sessions", None), "_settings", None)
        true.given = {name: getattr(settings, name, None) for name in ("base_model", "datasets", "card")}
        self._look(true)

    def on_evaluate(self, _: Any, args: Any, state: Any, __: float, objects: Any) -> None:
        true = self._under_way.get(id(args))
        if true is None or true.trainer is None or true.trainer.is_in_train:
            return
        true.state, true.metrics = state, {**true.metrics, **(objects.get("metrics") or {})}
        self._look(true)

    @staticmethod
    def _trainer(args: Any) -> Any:
        frame = sys._getframe(2)
        while frame is not None:
            found = frame.f_locals.get("self")
            if hasattr(found, "callback_handler") and getattr(found, "args", None) is args:
                return found
            frame = frame.f_back
        return None

    def _look(self, true: Truth) -> None:
        begun_s = time.perf_counter()
        card = Path(true.given.get("card") or Path(true.args.output_dir) / "README.md")
        record = card.parent / "autocard.json"
        if not (card.is_file() and record.is_file()):
            return
        known = json.loads(record.read_text(encoding="utf-8"))
        # A person's card may be of any encoding; then it is left alone.
        told = judged(known, card.read_text(encoding="utf-8", errors="replace"), card.name, true)
        self.runs += 1
        self.fields += len(told)
        self.false += [f"{path}: {said}" for path, said, is_so in told if not is_so]
        self.spent_s += time.perf_counter() - begun_s
