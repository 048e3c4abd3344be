"""Processes and who started them, against the variables that managers and launchers set."""

from types import SimpleNamespace

import pytest
import torch
from transformers import TrainingArguments

from autocard.capture.environment import launcher, software
from autocard.record import empty_leaves
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import models
from support.captured import value_of


def look(environ, world_size=1, model=None, **arguments):
    missing = {}
    args = SimpleNamespace(world_size=world_size, **arguments)
    part = value_of(
        "job", launcher.capture, missing, observe(Settings(), args, None, model=model), environ
    )
    assert [path for path in empty_leaves(part, "job") if path not in missing] == []
    return part


def test_one_process_at_home_is_no_job(tmp_path):
    missing = {}
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)

    part = value_of(
        "job", launcher.capture, missing, observe(Settings(), args, None, model=models.bert()), {}
    )

    assert (part.world_size, part.distributed, part.nodes_expected, part.nodes_reporting) == (
        1,
        "none",
        1,
        1,
    )
    assert part.workload_manager is None
    assert "workload manager" in missing["job.workload_manager"]


@pytest.mark.parametrize(
    ("environ", "manager", "number"),
    [
        ({"SLURM_JOB_ID": "4711", "SLURMD_NODENAME": "secret01"}, "slurm", "4711"),
        ({"PBS_JOBID": "815.head.secret.example"}, "pbs", "815"),
        ({"LSB_JOBID": "99"}, "lsf", "99"),
        ({"JOB_ID": "12", "SGE_ROOT": "/opt/sge"}, "sge", "12"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "secret-pod"}, "kubernetes", None),
        ({"JOB_ID": "12"}, None, None),
    ],
)
def test_a_manager_is_known_by_its_variable_and_only_the_number_of_the_job_is_told(
    environ, manager, number
):
    part = look(environ)

    assert (part.workload_manager, part.job_id) == (manager, number)
    assert "secret" not in part.model_dump_json()
    assert "10.0.0.1" not in part.model_dump_json()


@pytest.mark.parametrize(
    ("world_size", "environ", "nodes"),
    [
        (4, {"GROUP_WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}, 2),
        (8, {"LOCAL_WORLD_SIZE": "4"}, 2),
        (8, {"SLURM_NNODES": "2", "SLURM_STEP_ID": "0", "SLURM_PROCID": "3"}, 2),
        (1, {"SLURM_NNODES": "4"}, 1),
        (2, {}, None),
        (2, {"LOCAL_WORLD_SIZE": "junk"}, None),
    ],
)
def test_nodes_are_those_of_the_launcher(world_size, environ, nodes):
    assert look(environ, world_size=world_size).nodes_expected == nodes


def test_kinds_of_parallelism_are_told_apart():
    class FullyShardedDataParallel(torch.nn.Module):
        """FSDP is told by its class's name."""

    zero = SimpleNamespace(deepspeed_config={"zero_optimization": {"stage": 3}})

    assert look({}, world_size=2).distributed == "DDP"
    assert look({}, world_size=2, model=FullyShardedDataParallel()).distributed == "FSDP"
    assert look({}, world_size=2, deepspeed_plugin=zero).distributed == "DeepSpeed ZeRO-3"
    assert (
        look({}, parallelism_config=SimpleNamespace(tp_size=2), world_size=2).distributed
        == "tensor parallelism"
    )
    assert look({}, n_gpu=2).distributed == "DataParallel (2 GPUs in one process)"


def test_the_sizes_of_groups_are_those_of_the_trainer_s_own_configuration():
    from accelerate.parallelism_config import ParallelismConfig

    several = ParallelismConfig(dp_replicate_size=2, dp_shard_size=2, tp_size=2)

    assert look({}, world_size=8, parallelism_config=several).parallelism == {
        "data": 2,
        "shard": 2,
        "tensor": 2,
    }


def test_the_sizes_of_groups_are_those_that_the_model_was_loaded_with():
    configuration = pytest.importorskip("transformers.distributed.configuration_utils")
    if "pp_size" not in configuration.DistributedConfig.__dataclass_fields__:
        pytest.skip("this transformers has no pipeline parallelism")
    piped, experts = models.llama(), models.llama()
    piped.config.distributed_config = configuration.DistributedConfig(tp_size=2, pp_size=4)
    experts.config.distributed_config = configuration.DistributedConfig(
        fsdp_size=4, ep_size=2, dp_replicate_size=2
    )

    assert look({}, world_size=8, model=piped).parallelism == {"tensor": 2, "pipeline": 4}
    assert look({}, world_size=8, model=experts).parallelism == {"data": 2, "shard": 4, "expert": 2}


def test_without_such_a_configuration_the_kind_of_parallelism_says_what_the_processes_share():
    class FullyShardedDataParallel(torch.nn.Module):
        """FSDP is told by its class's name."""

    def zero(stage):
        return SimpleNamespace(deepspeed_config={"zero_optimization": {"stage": stage}})

    split = models.llama()
    split.hf_device_map = {"model.layers.0": 0, "model.layers.1": 1}

    assert look({}).parallelism == {}
    assert look({}, world_size=2).parallelism == {"data": 2}
    assert look({}, world_size=4, model=FullyShardedDataParallel()).parallelism == {"shard": 4}
    assert look({}, world_size=4, deepspeed_plugin=zero(3)).parallelism == {"shard": 4}
    assert look({}, world_size=4, deepspeed_plugin=zero(1)).parallelism == {"data": 4}
    assert look({}, model=split).parallelism == {"layers spread over devices": 2}


def test_versions_are_those_of_what_was_imported():
    import importlib.metadata
    import platform
    import sys

    found = software.capture(observe(Settings(), None, None)).value

    assert found["python"] == platform.python_version()
    for name in ("transformers", "torch", "datasets", "tokenizers"):
        assert found[name] == importlib.metadata.version(name)
    assert "deepspeed" not in sys.modules
    assert "deepspeed" not in found


def test_the_system_is_told_without_what_tells_the_machine():
    import platform

    found = software.capture(observe(Settings(), None, None)).value

    assert found["os"].startswith(platform.system())
    assert platform.release() not in found["os"]
    assert platform.node() not in found["os"]
