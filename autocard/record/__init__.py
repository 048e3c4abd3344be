"""What a training run knew about itself: typed, frozen, serializable. These names are public."""

from autocard.record.base import LARGEST_INTEGER, Frozen, Scalar, Status
from autocard.record.data import Data, Dataset, Preprocessing
from autocard.record.energy import Emissions, Energy, Reconciliation, Search, Time
from autocard.record.evaluation import Best, Evaluation, Metric
from autocard.record.finite import finite
from autocard.record.gaps import empty_leaves, unexplained
from autocard.record.hardware import Gpu, Hardware
from autocard.record.io import MAX_BYTES, from_json, load, to_json
from autocard.record.job import Code, Job
from autocard.record.legs import (
    Batch,
    Checkpoint,
    DeviceUse,
    HostUse,
    Leg,
    LegJob,
    Place,
    RecordedPlace,
)
from autocard.record.model import Adapter, Model
from autocard.record.run import Run
from autocard.record.run_record import RECORD_NAME, SCHEMA_VERSION, RunRecord
from autocard.record.schema import field_docs, json_schema
from autocard.record.training import BatchUnit, Precision, Regime, Training

__all__ = [
    "LARGEST_INTEGER",
    "MAX_BYTES",
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "Adapter",
    "Batch",
    "BatchUnit",
    "Best",
    "Checkpoint",
    "Code",
    "Data",
    "Dataset",
    "DeviceUse",
    "Emissions",
    "Energy",
    "Evaluation",
    "Frozen",
    "Gpu",
    "Hardware",
    "HostUse",
    "Job",
    "Leg",
    "LegJob",
    "Metric",
    "Model",
    "Place",
    "Precision",
    "Preprocessing",
    "Reconciliation",
    "RecordedPlace",
    "Regime",
    "Run",
    "RunRecord",
    "Scalar",
    "Search",
    "Status",
    "Time",
    "Training",
    "empty_leaves",
    "field_docs",
    "finite",
    "from_json",
    "json_schema",
    "load",
    "to_json",
    "unexplained",
]
