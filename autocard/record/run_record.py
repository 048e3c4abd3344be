"""What a training run knew about itself: typed, frozen, serialisable.

Captures make the parts, `job` sums them up, cards and exports read them; nothing here computes a fact. Imports the
standard library and pydantic only. A fact that could not be had is None, and `RunRecord.missing` says why, under the
path of the leaf or of a part that holds it; zero is a measured zero. Names carry units.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autocard import files
from autocard._version import __version__
from autocard.errors import RecordError
from autocard.record.limits import impossible

SCHEMA_VERSION = 1
"""Raised when a key changes its meaning or goes away; new keys alone do not raise it."""

RECORD_NAME = "autocard.json"
"""The record's file name, beside the card."""

Regime = Literal[
    "fp32",
    "fp16 mixed precision",
    "bf16 mixed precision",
    "bf16 non-mixed precision",
    "fp16 non-mixed precision",
    "fp8 mixed precision",
]
"""The six terms that the Hub's template lists beside its "Training regime"."""

BatchUnit = Literal["samples", "completions", "packed sequences"]
"""samples: rows of the training data; completions: generated from them; packed sequences: each holds several rows."""

Scalar = str | int | float | bool | None
Status = Literal["finished", "stopped", "interrupted"]

MAX_BYTES = 16 * 1024 * 1024
"""A record larger than this is not one of ours."""
_DIGITS = 300
LARGEST_INTEGER = 10**_DIGITS
"""Whole numbers up to it can be a float, too."""


class Frozen(BaseModel):
    """What all parts share: they cannot be changed, and keys of a newer autocard are kept, not lost."""

    model_config = ConfigDict(
        frozen=True, extra="allow", ser_json_inf_nan="null", protected_namespaces=(), defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _of_whole_characters(cls, data: Any) -> Any:
        """Replace halves of surrogate pairs, as file names that are not UTF-8 have: each would cost the whole part."""
        return _whole(data) if isinstance(data, dict) else data


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return files.whole(value)
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_whole(item) for item in value]) if type(value) in (list, tuple) else value
    return value


class Run(Frozen):
    """One training run: all its legs together."""

    id: str | None = None
    """Made at the first start (12 hexadecimal digits); `co2_eq_emissions.source` in the card names it."""
    started_at: str | None = None
    """ISO 8601, UTC."""
    ended_at: str | None = None
    """ISO 8601, UTC; training's end, not the writing of the card."""
    status: Status | None = None
    """finished: all steps were done; stopped: training ended regularly before that; interrupted: it did not end."""
    global_step: int | None = None
    """Optimizer steps done, those of earlier legs included."""
    max_steps: int | None = None
    """Optimizer steps planned."""
    stop_reason: str = ""
    """Why training stopped before its planned end: early stopping (patience …); "": it did not, or not known."""
    epochs: float | None = None
    """Epochs done."""
    earlier_run: str = ""
    """Id of an earlier training of the same process that had trained these weights; empty: none is known."""
    earlier_steps: int = 0
    """Optimizer steps of it, and of those before it on the same weights; neither they nor their energy are in here."""


class Place(Frozen):
    """Where the electricity was drawn, as far as it is known."""

    country_iso_code: str | None = None
    """ISO 3166-1 alpha-3."""
    region: str | None = None
    """State or province, in the words of CodeCarbon's tables."""
    cloud_provider: str | None = None
    """aws, azure, gcp, …"""
    cloud_region: str | None = None
    """The provider's name of it."""
    source: str | None = None
    """Who said so: an argument, a variable, a file, the cloud's metadata, a look-up."""


class DeviceUse(Frozen):
    """One accelerator during one leg."""

    device: str
    """Pseudonym within the record: h1.g0 is the first device of the first host."""
    name: str | None = None
    """Product name."""
    memory_bytes: int | None = None
    """Total memory of the board."""
    energy_j: float | None = None
    """Joules of the whole board: other processes on it are included."""
    source: Literal["nvml-counter", "nvml-power-samples"] | None = None
    """Samples are coarser than the counter."""
    counter_begin_j: float | None = None
    """The energy counter when training began."""
    counter_end_j: float | None = None
    """The energy counter when training ended."""
    note: str | None = None
    """What a reader must know: shared board, MIG slice of a board with one counter, counter reset …"""


class HostUse(Frozen):
    """What one host used during one leg, the training window only."""

    host: str
    """Pseudonym within the record: h1, h2, …"""
    devices: list[DeviceUse] = Field(default_factory=list)
    """Accelerators that the run used on this host; no others."""
    cpu_j: float | None = None
    """Joules of the CPU packages, scaled by `cpu_share`."""
    ram_j: float | None = None
    """Joules of the memory, scaled by `cpu_share`."""
    codecarbon_gpu_j: float | None = None
    """What CodeCarbon says of the same devices; for comparison, not summed."""
    cpu_share: float | None = None
    """Share of the node's CPU and RAM energy that is booked on this run (1: the node is ours)."""
    node_meter_j: float | None = None
    """What the node's own meter says; for comparison, not summed."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Part (gpu, cpu, ram, setup, node_meter) to how it was measured or modelled, in words for people."""


class Checkpoint(Frozen):
    """What a leg had used when a checkpoint was written: a leg that goes on from there repeats what came after."""

    step: int
    """Global step."""
    wall_clock_s: float
    """Since the leg began."""
    energy_j: float
    """GPUs, CPUs and RAM together, since the leg began."""


class Batch(Frozen):
    """What the optimizer steps of one leg consumed, all processes together."""

    step_samples: int | None = None
    """Samples of a whole optimizer step."""
    epoch_samples: int | None = None
    """Samples of one epoch."""
    epoch_steps: int | None = None
    """Optimizer steps of one epoch; the last of them consumes what is left."""


class Leg(Frozen):
    """From one start of training to its end or interruption."""

    id: str
    """12 hexadecimal digits."""
    started_at: str | None = None
    """ISO 8601, UTC."""
    ended_at: str | None = None
    """ISO 8601, UTC; of an interrupted leg, the last tick."""
    status: Status | None = None
    """As in `Run`."""
    step_begin: int | None = None
    """Global step at the start."""
    step_end: int | None = None
    """Global step at the end."""
    batch: Batch = Field(default_factory=Batch)
    """What its optimizer steps consumed: a resumed training may go on with another batch size."""
    other_hyperparameters: dict[str, Scalar] = Field(default_factory=dict)
    """Settings that differ from `training.hyperparameters`, which are the last leg's; None: not set or not known."""
    wall_clock_s: float | None = None
    """By a monotonic clock, from `on_train_begin` to `on_train_end`."""
    hosts: list[HostUse] = Field(default_factory=list)
    """One for each host that reported."""
    setup_j: float | None = None
    """GPU, CPU and RAM joules from the callback's start to the start of training; not in the run's total."""
    evaluation_j: float | None = None
    """Joules of evaluations after training; not in the run's total."""
    place: Place = Field(default_factory=Place)
    """Where this leg ran."""
    intensity_g_per_kwh: float | None = None
    """Grams of CO2eq per kWh of electricity at that place, location-based."""
    intensity_source: str | None = None
    """Whose figure it is."""
    intensity_year: int | None = None
    """The year that it describes."""
    pue: float | None = None
    """Power usage effectiveness that was given; None: not given, 1.0 was used."""
    co2eq_g: float | None = None
    """Grams of CO2eq, location-based: energy at the devices, times PUE, times intensity."""
    checkpoints: list[Checkpoint] = Field(default_factory=list)
    """Readings at checkpoints, thinned to 20."""
    steps_unseen: bool = False
    """Whether it may have done more steps than `step_end` says: it was killed together with what counts them."""
    repeated_steps: int | None = None
    """Steps of this leg that came after the step at which a later leg began."""
    repeated_s: float | None = None
    """Seconds of those steps."""
    repeated_j: float | None = None
    """Joules of those steps."""
    repeated_source: str = ""
    """How seconds and joules of those steps are known, in words; empty: there are none."""
    processes: int = 1
    """Training processes of this leg, on all hosts."""
    processes_reporting: int = 1
    """Those of them that are on hosts which reported."""
    nodes_expected: int | None = 1
    """Nodes of the launcher's plan."""
    nodes_reporting: int = 1
    """Machines that told what they used up to the end."""


class Model(Frozen):
    """What was trained."""

    name: str | None = None
    """The card's title: the Hub id, else the name of the output folder."""
    base_model: str | None = None
    """Hub id. Never a path, never empty."""
    base_model_description: str | None = None
    """Where there is no Hub id: what can honestly be said ("a local checkpoint", "none, trained from scratch")."""
    base_model_revision: str | None = None
    """Commit of the base on the Hub."""
    base_model_relation: Literal["adapter", "finetune", "merge", "quantized"] | None = None
    """As the Hub names it."""
    architecture: str | None = None
    """Class of the model, without wrappers."""
    model_type: str | None = None
    """`config.model_type`."""
    task: str | None = None
    """What the head does, in words."""
    pipeline_tag: str | None = None
    """One of the Hub's pipeline tags."""
    adapters_merged: bool = False
    """Whether the weights that were saved are whole ones, of the base with the adapters merged into it."""
    library_name: str | None = None
    """peft where an adapter is saved, else transformers or sentence-transformers."""
    auto_class: str | None = None
    """The transformers Auto class that loads it."""
    parameters_total: int | None = None
    """Adapters included; tied weights once."""
    parameters_trainable: int | None = None
    """Those that the optimizer's steps changed; where no step shows it, those that asked for gradients at the start."""
    dims: dict[str, int] = Field(default_factory=dict)
    """layers, hidden_size, attention_heads, key_value_heads, intermediate_size, vocabulary, context, …"""
    parts: dict[str, dict[str, int]] = Field(default_factory=dict)
    """The same of each part of a model of several: text, vision, audio, encoder, decoder; both: what two share."""
    labels: list[str] = Field(default_factory=list)
    """Label names of a classifier, where they are more than LABEL_0."""
    trained_modules: list[str] = Field(default_factory=list)
    """Modules that were trained whole, where a part of the model was frozen and there is no adapter; else tensors."""
    trained_in_some_steps: list[str] = Field(default_factory=list)
    """Modules that were trained in some of the steps and frozen, or not in the optimizer, in others."""
    trained_unsaved: list[str] = Field(default_factory=list)
    """Modules that were trained beside an adapter and are not saved with it."""
    saved_bytes: int | None = None
    """Size of the weights in the output folder, once they were saved there."""
    saved_dtype: str | None = None
    """Number format of most of the weights in the output folder, by torch's name; it may not be the trained one."""
    checkpoint_bytes: int | None = None
    """Size of the newest checkpoint of this run, with the optimizer's state if it holds that."""
    checkpoint_has_optimizer: bool | None = None
    """Whether that checkpoint holds the optimizer's state; with `save_only_model` it does not."""
    saved_files: list[str] = Field(default_factory=list)
    """Names of the files that loading reads, weights in one piece included, by allow-list; empty: none were saved.

    adapter_config.json is among them where an earlier run left it behind, too: loading follows it.
    """


class Adapter(Frozen):
    """One PEFT adapter."""

    name: str
    """Its name in the model; mostly "default"."""
    method: str | None = None
    """LoRA, DoRA, IA3, prompt tuning …"""
    config: dict[str, Any] = Field(default_factory=dict)
    """Settings by allow-list; names sorted."""
    peft_version_created: str | None = None
    """The peft that made the configuration."""
    peft_version_runtime: str | None = None
    """The peft that ran."""
    continued: bool = False
    """Whether it had been trained before this process made or loaded it: its weights were not those of a new one."""
    earlier_run: str = ""
    """Id of the run whose saved adapter it goes on with; empty: none is known."""


class Precision(Frozen):
    """Number formats in training; captured when training begins."""

    regime: Regime | None = None
    """One of the six terms."""
    weights_dtype: str | None = None
    """Format of most floating-point parameters."""
    trainable_dtype: str | None = None
    """Format of most trainable parameters."""
    compute_dtype: str | None = None
    """Format of most matrix products in the forward pass."""
    quantization: dict[str, Scalar] | None = None
    """Method, bits, type, compute format of a quantized base."""
    tf32: bool | None = None
    """Whether float32 matrix products may use TF32."""
    note: str | None = None
    """What the term alone does not say."""


class Training(Frozen):
    """How it was trained."""

    objective: str | None = None
    """In words: causal language modelling (next-token cross-entropy), sequence classification (custom loss …), …"""
    purpose: str = ""
    """What training did to the model, for a sentence: aligned with DPO, …; "": the task says it."""
    reward_functions: dict[str, float] = Field(default_factory=dict)
    """Reward function of a policy's training (GRPO, RLOO) to its weight."""
    hyperparameters: dict[str, Scalar] = Field(default_factory=dict)
    """Allow-listed training arguments, with the values really used; of a resumed training, the last leg's."""
    non_default: list[str] = Field(default_factory=list)
    """Names in `hyperparameters` whose value is not the library's default."""
    optimizer: str | None = None
    """Name and its settings, in words."""
    scheduler: str | None = None
    """Name and its settings, in words."""
    changed: list[str] = Field(default_factory=list)
    """Settings that code of the run changed between optimizer steps, in words, with the step."""
    learning_rates: dict[str, float] = Field(default_factory=dict)
    """Step to the learning rate of the first parameter group before it: first steps of the last leg, last step."""
    effective_batch_size: int | None = None
    """Samples per optimizer step: per device × devices × accumulation; of a resumed training, the last leg's."""
    batch_unit: BatchUnit = "samples"
    """What batch size and `time.samples_per_s` count."""
    batch_detail: str = ""
    """How the completions of an optimizer step were generated, in words; empty: they were not."""
    losses_summed: int | None = None
    """Batches whose mean losses the trainer adds up in each training loss that it logs; None: they are means."""
    losses_summed_last: int | None = None
    """The same of the last optimizer step of an epoch, where it has fewer batches than the others."""
    seed: int | None = None
    """`TrainingArguments.seed`; of a resumed training, the last leg's."""
    gradient_checkpointing: bool | None = None
    """Whether activations were worked out a second time in the backward pass, to save memory."""
    compiled: bool | None = None
    """Whether the model, or a module of it, ran through torch.compile."""
    attention_implementation: str | None = None
    """Name of transformers' attention function: sdpa, eager, flash_attention_2, …"""
    kernels: list[str] = Field(default_factory=list)
    """Sets of hand-written kernels that stood in for the model's own layers (liger-kernel, …)."""


class Dataset(Frozen):
    """One data set, as the run saw it."""

    dataset_id: str | None = None
    """Hub id. Never a path."""
    description: str | None = None
    """Where there is no id: what can honestly be said."""
    title: str = ""
    """What a person called it in code (`create_model_card(dataset=…)`); empty: nothing."""
    name: str | None = None
    """Which of several (the key of an evaluation set)."""
    revision: str | None = None
    """Commit on the Hub."""
    config: str | None = None
    """Configuration (subset)."""
    split: str | None = None
    """train, test, …"""
    rows: int | None = None
    """Rows that the run saw, after selection and packing."""
    columns: list[str] = Field(default_factory=list)
    """Column names."""
    tokens: int | None = None
    """Token ids in these rows; padding that stands in them is counted, that of the batches is not."""
    tokens_without_padding: int | None = None
    """Those of `tokens` that are not padding, by the attention mask or the token that pads."""
    encoder_inputs: bool = False
    """Whether `tokens` are those of an encoder alone; the decoder's are in other columns."""
    packed: bool = False
    """Whether each row holds several texts (TRL's packing)."""
    packed_texts: int | None = None
    """Texts that were packed into these rows."""
    streaming: bool | None = None
    """Whether the rows were read as a stream, without a length or an order of their own."""
    probability: float | None = None
    """Share of this part in a mixture that draws rows at random, 0 to 1, as it was asked for."""
    used_by: Literal["train", "evaluate", "predict"] | None = None
    """What looked at it."""
    inferred: bool | None = None
    """True: the id was worked out from the data set's traces; False: a person gave it."""


class Preprocessing(Frozen):
    """What stood between rows and tensors."""

    tokenizer: str | None = None
    """Class of tokenizer or processor."""
    vocabulary_count: int | None = None
    """Size of the vocabulary, added tokens included."""
    max_length: int | None = None
    """Tokens. Longest input that the tokenizer lets through."""
    max_length_applied: bool = False
    """Whether rows are known to be cut at `max_length`; False: it is a limit that may have cut none of them."""
    longest_input: int | None = None
    """Tokens, without padding. Longest row in the first rows that were looked at; None: not looked at."""
    longest_input_rows: int | None = None
    """Rows that were looked at for it."""
    padding_side: str | None = None
    """left or right."""
    truncation_side: str | None = None
    """left or right: where the tokenizer cuts what is longer than it lets through."""
    collator: str | None = None
    """Class or function that makes batches."""
    packing: bool | None = None
    """Several rows in one sequence (TRL)."""
    padding: str | None = None
    """Up to which length the collator fills batches: longest, max_length, none."""
    masking: dict[str, Scalar] = Field(default_factory=dict)
    """How the collator masks tokens for masked language modeling: probability (0 to 1), whole_words."""
    chat_template_sha256: str | None = None
    """SHA-256 of the tokenizer's chat template in UTF-8, 64 hexadecimal digits; the template itself is not kept."""
    image_size_px: list[int] = Field(default_factory=list)
    """Height and width that images are brought to; one number: of the shortest edge."""
    image_mean: list[float] = Field(default_factory=list)
    """What is subtracted from each channel, after rescaling to 0 to 1; empty: images are not normalized."""
    image_std: list[float] = Field(default_factory=list)
    """What each channel is then divided by."""
    sampling_rate_hz: int | None = None
    """Of the sound that the processor takes."""


class Data(Frozen):
    """Data sets and preprocessing."""

    train: list[Dataset] = Field(default_factory=list)
    """Training data; several where they were mixed."""
    eval: list[Dataset] = Field(default_factory=list)
    """Evaluation data, one for each set."""
    preprocessing: Preprocessing = Field(default_factory=Preprocessing)
    """Tokenizer, lengths, collator."""


class Metric(Frozen):
    """One figure of one evaluation."""

    name: str
    """Without the eval_ prefix."""
    value: float | int
    """As the trainer reported it; finite."""
    dataset: str | None = None
    """Which evaluation set, where there are several."""
    split: Literal["evaluation", "prediction"] = "evaluation"
    """`evaluate()` or `predict()`."""
    step: int | None = None
    """Global step of the weights that were evaluated."""


class Best(Frozen):
    """The checkpoint that the trainer held for the best."""

    metric: str | None = None
    """`metric_for_best_model`."""
    value: float | None = None
    """Its value."""
    step: int | None = None
    """Global step."""
    loaded: bool | None = None
    """Whether these weights are the ones in the model at the end."""


class Evaluation(Frozen):
    """What the trainer reported."""

    results: list[Metric] = Field(default_factory=list)
    """Of the weights that the run ended with; an evaluator's figures have "evaluator" for their data set."""
    counters: list[str] = Field(default_factory=list)
    """Names of evaluation figures in `history` that count or time the training, and are no results (TRL's)."""
    rewards: dict[str, float] = Field(default_factory=dict)
    """Rewards logged last in a policy's training, and their step: reward, rewards/<function>/mean, kl, …"""
    not_finite: list[str] = Field(default_factory=list)
    """Metrics of the last evaluations that were not finite numbers, and are not among the results."""
    diverged: list[str] = Field(default_factory=list)
    """What shows that training diverged, in words: losses, gradient norms or weights that are not finite numbers."""
    best: Best | None = None
    """None: no metric was tracked."""
    train_loss: float | None = None
    """Mean over the steps of the last leg, as the trainer sums it up."""
    history: list[dict[str, float | int | str]] = Field(default_factory=list)
    """The trainer's log, thinned to at most 1,000 points."""


class Gpu(Frozen):
    """Accelerators of one kind."""

    name: str
    """Product name from the driver."""
    count: int
    """How many of them the run used, all hosts together."""
    memory_bytes: int | None = None
    """Memory of each."""


class Hardware(Frozen):
    """Machines and accelerators that the run used."""

    nodes: int | None = None
    """Hosts, as the launcher says."""
    gpus: list[Gpu] = Field(default_factory=list)
    """Empty: none was used (or see `missing`)."""
    gpus_allocated: int | None = None
    """What the workload manager gave to the job (to its step, where it tells only that)."""
    cpu_model: str | None = None
    """Marketing name."""
    cpu_count: int | None = None
    """Logical CPUs that the process may use."""
    cpu_count_node: int | None = None
    """Logical CPUs of the node."""
    ram_bytes: int | None = None
    """Memory of the node (or of its container)."""
    driver_version: str | None = None
    """NVIDIA driver."""
    cuda_driver_version: str | None = None
    """Newest CUDA that the driver supports."""
    cuda_runtime_version: str | None = None
    """CUDA that torch was built with."""
    peak_memory_bytes: dict[str, int] = Field(default_factory=dict)
    """Device to the most memory that torch held on it."""
    peak_ram_bytes: int | None = None
    """Largest resident set of the training process."""


class Code(Frozen):
    """Which code ran."""

    commit: str | None = None
    """Git commit of the working folder."""
    dirty: bool | None = None
    """Whether there were uncommitted changes."""
    remote: str | None = None
    """URL of the remote without user name, password or token."""
    script: str | None = None
    """Path of the script inside the repository if `remote` is given and git tracks it; else its file name."""
    note: str | None = None
    """What commit and state do not say: submodules, …"""


class Job(Frozen):
    """Processes and who started them."""

    workload_manager: str | None = None
    """slurm, pbs, lsf, sge, flux, kubernetes."""
    job_id: str | None = None
    """The manager's number of the job."""
    array_job_id: str | None = None
    """The number of the array of jobs that it belongs to."""
    array_task_id: str | None = None
    """Which one of that array it is (of a Kubernetes job: the index of the pod)."""
    step_id: str | None = None
    """The number of Slurm's step that trained."""
    nodes_allocated: int | None = None
    """What the manager gave to the job; the training may use fewer (`nodes_expected`)."""
    tasks: int | None = None
    """Tasks of the step, else of the job, as the manager counts them."""
    restarts: int | None = None
    """How often the manager has started the job again."""
    launcher: str | None = None
    """What started the training processes: torchrun, accelerate launch, deepspeed, srun, mpirun, …"""
    launcher_restarts: int | None = None
    """How often the launcher has started them again in this job (torchrun)."""
    world_size: int | None = None
    """Processes that trained."""
    distributed: str | None = None
    """none, DDP, FSDP, DeepSpeed ZeRO-3, …"""
    nodes_expected: int | None = None
    """As the launcher says."""
    nodes_reporting: int | None = None
    """Machines heard by the process that wrote this."""
    processes_reporting: int | None = None
    """Training processes that it heard at the end, itself included."""
    parallelism: dict[str, int] = Field(default_factory=dict)
    """Kind of parallelism (data, shard, tensor, pipeline, context, sequence, expert) to processes in each group."""


class Time(Frozen):
    """Sums over all legs."""

    wall_clock_s: float | None = None
    """Sum of the legs."""
    gpu_s: float | None = None
    """Device-seconds: used GPUs × time."""
    allocated_gpu_s: float | None = None
    """Device-seconds: GPUs that were given × time."""
    repeated_s: float | None = None
    """The part of the wall clock that went into steps which a later leg did again."""
    repeated_steps: int | None = None
    """Those steps."""
    eval_s: float | None = None
    """Evaluation inside the training window."""
    samples_per_s: float | None = None
    """Training samples (`training.batch_unit`) per second of the last leg, evaluations and saving included."""
    steps_per_s: float | None = None
    """Optimizer steps per second of the last leg, evaluations and saving included."""
    tokens: int | None = None
    """Input tokens seen, where the trainer counted them."""
    tokens_with_padding: bool | None = None
    """Whether padding is among `tokens`."""
    flops: float | None = None
    """Floating-point operations of training, by `flops_method`."""
    flops_method: str | None = None
    """What the figure counts."""
    flops_estimate: float | None = None
    """Floating-point operations of training without weight gradients of frozen parameters, by its method; a model."""
    flops_estimate_method: str | None = None
    """What the estimate counts."""
    peak_share: float | None = None
    """flops_estimate / (device-seconds × the devices' peak for dense products), 0 to 1: model FLOPs utilisation."""
    peak_share_method: str | None = None
    """Which peak that is, and whose figure."""
    tokens_per_s: float | None = None
    """Input tokens per second of the last leg, evaluations and saving included."""


class Energy(Frozen):
    """Sums over all legs and hosts, the training window only; at the devices, without PUE."""

    gpu_kwh: float | None = None
    """All GPUs; 0 where the run used none."""
    cpu_kwh: float | None = None
    """CPU packages."""
    ram_kwh: float | None = None
    """Memory."""
    total_kwh: float | None = None
    """Their sum; None where a part that the run had was not measured."""
    facility_kwh: float | None = None
    """total × PUE; None where no PUE was given."""
    node_meter_kwh: float | None = None
    """The nodes' own meters."""
    codecarbon_gpu_kwh: float | None = None
    """CodeCarbon's figure for the GPUs, for comparison."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Part (gpu, cpu, ram, setup, node_meter) to how it was measured or modelled, in words for people."""
    boundary: str | None = None
    """What the total covers and what it does not."""
    setup_kwh: float | None = None
    """Before training; apart from the total."""
    evaluation_kwh: float | None = None
    """After training; apart from the total."""
    repeated_kwh: float | None = None
    """The part of the total that went into steps which a later leg did again."""
    reported_kwh: float | None = None
    """What the nodes that reported used, where others did not: at least this much. None where all did."""


class Search(Frozen):
    """A hyperparameter search of the same process, before the run; nothing of it is in the run's own figures."""

    backend: str = ""
    """Optuna, Ray Tune, …, as transformers names it; empty: there was no search, or it is not known."""
    trials: int = 0
    """Trainings of it; 0: no search was seen."""
    trials_unfinished: int = 0
    """Of them, those that were pruned or failed."""
    wall_clock_s: float = 0.0
    """Seconds of all trials, each from its begin to its end."""
    total_kwh: float | None = 0.0
    """Kilowatt-hours of all trials at the devices, without PUE; None: that of one is not known."""
    reported_kwh: float = 0.0
    """Kilowatt-hours of the trials whose energy is known: the least that they took."""


class Emissions(Frozen):
    """CO2 of the run."""

    co2eq_g: float | None = None
    """Grams of CO2eq, location-based, sum of the legs."""
    reported_co2eq_g: float | None = None
    """Grams of `energy.reported_kwh`: at least this much. None where all nodes reported."""
    market_based_co2eq_g: float | None = None
    """As given by the user."""
    intensity_g_per_kwh: float | None = None
    """Effective: over all legs."""
    intensity_source: str | None = None
    """Whose figure."""
    intensity_year: int | None = None
    """The year that it describes."""
    country_iso_code: str | None = None
    """ISO 3166-1 alpha-3."""
    country_name: str | None = None
    """In English."""
    region: str | None = None
    """State or province."""
    cloud_provider: str | None = None
    """aws, azure, gcp, …"""
    cloud_region: str | None = None
    """The provider's name of it."""
    place_source: str | None = None
    """Who said so."""
    pue: float | None = None
    """As given."""
    water_l: float | None = None
    """Litres: energy at the devices × the WUE that was given."""
    wue_l_per_kwh: float | None = None
    """Water usage effectiveness, as given: litres per kWh at the devices."""


class Reconciliation(Frozen):
    """What somebody else's meter read of the run, held against the sum of the components. No sum has it in it."""

    kind: Literal["sacct", "meter", "node_meter"]
    """sacct: Slurm's accounting; meter: a figure that a person gave; node_meter: read by autocard beside the parts."""
    source: str
    """Whose figure, in words; the same kind and source again takes the place of the last."""
    metered_kwh: float | None = None
    """What it read; None: it read nothing, and 0 where only no meter reads 0."""
    components_kwh: float | None = None
    """What the components of the same legs took: training, and set-up and evaluation where the meter saw them."""
    ratio: float | None = None
    """components_kwh / metered_kwh."""
    unmetered_kwh: float | None = None
    """metered_kwh - components_kwh; None where that says nothing of the run."""
    window_s: float | None = None
    """Seconds that the meter's figure covers: of a job, all its starts."""
    nodes: int | None = None
    """Nodes that the meter's figure covers."""
    bound_kwh: float | None = None
    """The most that those nodes can have drawn in that time; `reason` says how, where it counts."""
    covers: str = ""
    """What the meter's figure holds, in words."""
    parts: list[str] = Field(default_factory=list)
    """What components_kwh holds: training, set-up, evaluation after it."""
    legs: list[str] = Field(default_factory=list)
    """Ids of the legs that are compared."""
    verdict: Literal["plausible", "doubtful", "implausible"] = "plausible"
    """doubtful: it need not be this run's alone; implausible: it cannot be what the run took."""
    reason: str = ""
    """Why it is doubtful or implausible."""


class RunRecord(Frozen):
    """Everything a run knew about itself: the truth of which a card is a view."""

    schema_version: int = SCHEMA_VERSION
    """Of this file's format."""
    autocard_version: str = __version__
    """That wrote it."""
    run: Run = Field(default_factory=Run)
    legs: list[Leg] = Field(default_factory=list)
    model: Model = Field(default_factory=Model)
    adapters: list[Adapter] = Field(default_factory=list)
    """Empty for a full fine-tune."""
    precision: Precision = Field(default_factory=Precision)
    training: Training = Field(default_factory=Training)
    data: Data = Field(default_factory=Data)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    hardware: Hardware = Field(default_factory=Hardware)
    software: dict[str, str] = Field(default_factory=dict)
    """Name to version."""
    code: Code = Field(default_factory=Code)
    job: Job = Field(default_factory=Job)
    time: Time = Field(default_factory=Time)
    energy: Energy = Field(default_factory=Energy)
    emissions: Emissions = Field(default_factory=Emissions)
    search: Search = Field(default_factory=Search)
    reconciliations: list[Reconciliation] = Field(default_factory=list)
    """What `autocard reconcile` compared; empty: nothing yet."""
    pictures: dict[str, str] = Field(default_factory=dict)
    """File name of a picture beside the card to what one sees on it; its dark twin ends in _dark.png."""
    facts: dict[str, Scalar] = Field(default_factory=dict)
    """What a person supplied: template variable to text."""
    settings: dict[str, str] = Field(default_factory=dict)
    """Setting that shaped a figure to where it came from."""
    missing: dict[str, str] = Field(default_factory=dict)
    """Path of the fact to the reason why it is not there."""
    slots: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Card's file name to slot to the text that autocard wrote into it; "place:" and a slot to where it stands."""

    def why_missing(self, path: str) -> str | None:
        """Return why the fact at *path* (dots between keys, indices of lists included) is None, or None."""
        while path:
            if path in self.missing:
                return self.missing[path]
            path = path.rpartition(".")[0]
        return None


def empty_leaves(part: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every leaf of *part* that is None; *path* stands before each."""
    if isinstance(part, BaseModel):
        names = [(name, getattr(part, name)) for name in type(part).model_fields]
    elif isinstance(part, Mapping):
        # What stands in a mapping of values (a config, hyperparameters) may be None and mean it.
        names = []
    elif isinstance(part, list):
        names = [(str(index), value) for index, value in enumerate(part)]
    else:
        if part is None:
            yield path
        return
    for name, value in names:
        yield from empty_leaves(value, f"{path}.{name}" if path else name)


def unexplained(record: RunRecord) -> list[str]:
    """Return the paths of facts that are None without a reason in `missing`."""
    return [path for path in empty_leaves(record) if record.why_missing(path) is None]


def to_json(record: RunRecord) -> str:
    """Return *record* as the text of an `autocard.json`; what is not finite is left out."""
    raw = finite(record).model_dump(warnings=False)
    return json.dumps(_whole(raw), indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def finite(record: RunRecord) -> RunRecord:
    """Return *record* without NaN and infinities, which neither JSON nor a card can say; `missing` tells of them.

    A diverged training reports them as losses.
    """
    missing: dict[str, str] = {}
    raw = _finite(record.model_dump(), "", missing)
    if not missing:
        return record
    raw["evaluation"]["results"] = [one for one in raw["evaluation"]["results"] if one["value"] is not None]
    raw["missing"] = {**missing, **raw["missing"]}
    return RunRecord.model_validate(raw)


def _finite(value: Any, path: str, missing: dict[str, str]) -> Any:
    """Return *value* with None for floats that are not finite, and nothing for them in a point of the trainer's log."""
    if isinstance(value, dict):
        cleaned = {key: _finite(item, f"{path}.{key}" if path else key, missing) for key, item in value.items()}
        if path.startswith("evaluation.history."):
            return {key: item for key, item in cleaned.items() if item is not None}
        return cleaned
    if isinstance(value, list):
        return [_finite(item, f"{path}.{index}", missing) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        missing[path] = f"the figure was {value}, which is none"
        return None
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        missing[path] = "the figure had more digits than a number can have here"
        return None
    return value


def from_json(text: str, where: str = RECORD_NAME, *, check_figures: bool = True) -> RunRecord:
    """Read the text of an `autocard.json`; *where* names the file in errors.

    Args:
        text: of the file.
        where: name of the file.
        check_figures: refuse figures that cannot be; False: the texts in it are wanted, not the figures.

    Raises:
        RecordError: not JSON, of a newer schema, or with a leaf of a wrong type or a figure that cannot be (named).
    """
    if len(text) > MAX_BYTES:
        msg = f"{where}: {len(text)} characters; a record has at most {MAX_BYTES}. It was not read."
        raise RecordError(msg)
    try:
        raw = json.loads(text, parse_constant=_number, parse_float=_number, parse_int=_integer)
    except (ValueError, RecursionError, MemoryError) as exc:
        position = f"line {exc.lineno}" if isinstance(exc, json.JSONDecodeError) else "somewhere"
        msg = f"{where}: {position}: this is not JSON. The record was not read. Is the file cut short?"
        raise RecordError(msg) from exc
    if not isinstance(raw, dict):
        msg = f"{where}: a record is a JSON object, this is a {type(raw).__name__}. It was not read."
        raise RecordError(msg)
    version = raw.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        msg = f"{where}: schema_version: missing, or not a whole number. This is not a record of autocard."
        raise RecordError(msg)
    if version > SCHEMA_VERSION:
        msg = (
            f"{where}: schema_version: {version} is newer than {SCHEMA_VERSION}, which autocard {__version__} reads. "
            "It was not read. Go on with: pip install --upgrade autocard"
        )
        raise RecordError(msg)
    too_long = next(_too_long(raw, ""), None)
    if too_long is not None:
        msg = f"{where}: {too_long}: a number with more digits than a number can have here. The record was not read."
        raise RecordError(msg)
    try:
        record = RunRecord.model_validate(raw)
    except ValidationError as exc:
        first = exc.errors()[0]
        leaf = ".".join(str(key) for key in first["loc"])
        msg = f"{where}: {leaf}: {first['msg']}. The record was not read."
        raise RecordError(msg) from exc
    fault = next(impossible(record), None) if check_figures else None
    if fault is not None:
        msg = f"{where}: {fault.path}: {fault.reason}. The record was not read."
        raise RecordError(msg)
    return record


def _integer(text: str) -> int | float:
    """Return the whole number that *text* says; infinity for one that is too long to be converted quickly."""
    value = int(text) if len(text) <= _DIGITS + 1 else 0
    return value if 0 < abs(value) <= LARGEST_INTEGER or text in ("0", "-0") else math.inf


def _too_long(value: Any, path: str) -> Iterator[str]:
    """Yield the paths of the numbers in *value* that `_integer` did not convert."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        place = f"{path}.{key}" if path else str(key)
        if isinstance(item, float) and math.isinf(item):
            yield place
        elif isinstance(item, dict | list):
            yield from _too_long(item, place)


def _number(text: str) -> float:
    """Return the number that *text* says; refuse NaN, Infinity and 1e999, which Python reads and JSON does not have."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def load(path: Path, *, check_figures: bool = True) -> RunRecord:
    """Read the record at *path*, a file or a folder that holds an `autocard.json`; *check_figures* as in `from_json`.

    Raises:
        RecordError: there is none, or it cannot be read.
    """
    file = path / RECORD_NAME if files.is_folder(path) else path
    try:
        text = files.read_text(file, MAX_BYTES)
    except FileNotFoundError as exc:
        msg = f"{file}: there is no such record. Train with AutoCardCallback, or name one with --record."
        raise RecordError(msg) from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        msg = f"{file}: cannot be read ({reason}). Nothing was done."
        raise RecordError(msg) from exc
    return from_json(text, str(file), check_figures=check_figures)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `autocard.json`, each key with the words that stand below it here."""
    import ast  # noqa: PLC0415 - only for whoever asks for the schema

    schema = RunRecord.model_json_schema()
    schema["$id"] = f"autocard-{SCHEMA_VERSION}.schema.json"
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        target = schema if node.name == "RunRecord" else schema["$defs"].get(node.name)
        if target is None:
            continue
        for field, words in _field_docs(node):
            target["properties"][field].setdefault("description", words)
    return schema


def _field_docs(node: Any) -> Iterator[tuple[str, str]]:
    """Yield (field, docstring below it) of the class definition *node*."""
    import ast  # noqa: PLC0415

    for statement, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            yield statement.target.id, after.value.value
