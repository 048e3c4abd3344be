"""Records as real runs leave them, for tests of all that reads records. Each call makes a new one.

Sums come from the code that makes them in production (`job`), as in `draft`; what is not known has
a reason.
"""

from __future__ import annotations

from typing import Any

from autocard.record import (
    Adapter,
    Best,
    Code,
    Data,
    Dataset,
    DeviceUse,
    Evaluation,
    Gpu,
    Hardware,
    HostUse,
    Job,
    Leg,
    LegJob,
    Metric,
    Model,
    Place,
    Precision,
    Preprocessing,
    Reconciliation,
    Run,
    RunRecord,
    Search,
    Training,
    unexplained,
)
from autocard.record.gaps import Part, gaps_at, joined, under
from autocard.settings import Settings
from autocard.totals import totals

NOT_MEASURED = "CodeCarbon did not start (no permission)"


def lora_on_cpu() -> RunRecord:
    """A LoRA adapter on a small encoder, 18 minutes on a CPU in France: the demo, more or less."""
    how = {
        "gpu": "no GPU was used",
        "cpu": "modelled: CodeCarbon, load × 65 W",
        "ram": "modelled: CodeCarbon, 20 W",
    }
    host = HostUse(host="h1", cpu_j=14_580.0, ram_j=21_680.0, cpu_share=1.0, sources=how)
    leg = Leg(
        id="0123456789ab",
        started_at="2026-03-01T09:30:12Z",
        ended_at="2026-03-01T09:48:16Z",
        status="finished",
        step_begin=0,
        step_end=150,
        wall_clock_s=1084.2,
        hosts=[host],
        setup_j=310.0,
        evaluation_j=420.0,
        repeated_steps=0,
        repeated_s=0.0,
        repeated_j=0.0,
        place=Place(country_iso_code="FRA", source="argument"),
        intensity_g_per_kwh=56.04,
        intensity_source="Our World in Data, through CodeCarbon",
        intensity_year=2023,
    )
    return _record(
        [leg],
        epochs=3.0,
        model=Model(
            name="minilm-topics-lora",
            base_model="sentence-transformers/all-MiniLM-L6-v2",
            base_model_relation="adapter",
            architecture="BertForSequenceClassification",
            model_type="bert",
            task="sequence classification",
            pipeline_tag="text-classification",
            library_name="peft",
            auto_class="AutoModelForSequenceClassification",
            parameters_total=23_038_122,
            parameters_trainable=324_906,
            dims={
                "layers": 6,
                "hidden_size": 384,
                "attention_heads": 12,
                "intermediate_size": 1536,
                "vocabulary": 30522,
                "context_length": 512,
            },
            labels=["ai", "botprofile", "computers", "emotion", "food", "gossip", "greetings"],
            saved_bytes=1_314_232,
            saved_files=["adapter_config.json", "tokenizer.json", "tokenizer_config.json"],
        ),
        adapters=[
            Adapter(
                name="default",
                method="LoRA",
                config={
                    "bias": "none",
                    "init_lora_weights": True,
                    "lora_alpha": 32,
                    "lora_dropout": 0.05,
                    "modules_to_save": ["classifier", "score"],
                    "r": 16,
                    "target_modules": ["dense", "key", "query", "value"],
                    "task_type": "SEQ_CLS",
                    "use_dora": False,
                },
                peft_version_created="0.21.2",
                peft_version_runtime="0.21.2",
            )
        ],
        precision=Precision(
            regime="fp32",
            weights_dtype="float32",
            trainable_dtype="float32",
            compute_dtype="float32",
        ),
        training=Training(
            objective="sequence classification (cross-entropy)",
            hyperparameters={
                "per_device_train_batch_size": 32,
                "num_train_epochs": 3,
                "learning_rate": 0.002,
                "lr_scheduler_type": "linear",
                "optim": "adamw_torch",
                "weight_decay": 0.0,
                "adam_beta1": 0.9,
                "max_grad_norm": 1.0,
                "eval_strategy": "epoch",
                "seed": 42,
            },
            non_default=["per_device_train_batch_size", "learning_rate", "eval_strategy"],
            optimizer="AdamW (learning rate 0.002, betas (0.9, 0.999), epsilon 1e-08)",
            scheduler="linear",
            effective_batch_size=32,
            seed=42,
        ),
        data=Data(
            train=[
                Dataset(
                    description="an in-memory dataset",
                    split="train",
                    rows=1600,
                    columns=["text", "label", "input_ids", "attention_mask"],
                )
            ],
            eval=[Dataset(description="an in-memory dataset", split="test", rows=400)],
            preprocessing=Preprocessing(
                tokenizer="BertTokenizer",
                vocabulary_count=30522,
                max_length=128,
                padding_side="right",
                truncation_side="left",
                collator="DataCollatorWithPadding",
            ),
        ),
        evaluation=Evaluation(
            results=[
                Metric(name="loss", value=0.51234, step=150),
                Metric(name="accuracy", value=0.8525, step=150),
                Metric(name="runtime", value=3.2, step=150),
            ],
            train_loss=1.0482,
            history=[
                {
                    "epoch": 1.0,
                    "step": 50,
                    "eval_loss": 0.91,
                    "eval_accuracy": 0.7425,
                    "eval_runtime": 3.1,
                },
                {
                    "epoch": 2.0,
                    "step": 100,
                    "eval_loss": 0.62,
                    "eval_accuracy": 0.815,
                    "eval_runtime": 3.1,
                },
                {
                    "epoch": 3.0,
                    "step": 150,
                    "eval_loss": 0.51234,
                    "eval_accuracy": 0.8525,
                    "eval_runtime": 3.2,
                },
            ],
        ),
        hardware=Hardware(
            nodes=1,
            cpu_model="Intel(R) Xeon(R) Platinum 8488C",
            cpu_count=2,
            cpu_count_node=2,
            ram_bytes=16_649_543_680,
            peak_ram_bytes=1_182_793_728,
        ),
        software={
            "autocard": "0.1.0",
            "python": "3.11.9",
            "torch": "2.13.0",
            "transformers": "5.23.0",
            "peft": "0.21.2",
            "datasets": "5.2.0",
            "codecarbon": "3.3.2",
        },
        job=Job(world_size=1, distributed="none", nodes_expected=1, nodes_reporting=1),
        time={
            "eval_s": 9.4,
            "samples_per_s": 4.427,
            "steps_per_s": 0.1384,
            "flops": 1.234e14,
            "flops_method": _FLOPS,
        },
    )


_FLOPS = "6 × parameters without embeddings × input tokens: the Trainer's own figure"


def three_legs_on_gpus() -> RunRecord:
    """A LoRA adapter on a language model: two nodes of four A100 in France, preempted twice."""
    legs = [
        _gpu_leg(
            0,
            "2026-03-01T08:00:00Z",
            "2026-03-01T13:00:00Z",
            18_000.0,
            (0, 1000),
            "interrupted",
            (40, 500_000.0),
        ),
        _gpu_leg(
            1,
            "2026-03-01T14:00:00Z",
            "2026-03-01T19:00:00Z",
            18_000.0,
            (960, 1950),
            "interrupted",
            (32, 616_000.0),
        ),
        _gpu_leg(
            2,
            "2026-03-02T06:00:00Z",
            "2026-03-02T08:24:00Z",
            8_640.0,
            (1918, 2400),
            "finished",
            (0, 0.0),
        ),
    ]
    return _record(
        legs,
        epochs=1.0,
        settings=Settings(market_based_co2eq_g=0.0, wue_l_per_kwh=0.49),
        gpus_allocated=8,
        model=Model(
            name="example-org/mistral-dialogue-lora",
            base_model="mistralai/Mistral-7B-v0.3",
            base_model_revision="d8cadc02ac76bd617a919d50b092e59d2d110aff",
            base_model_relation="adapter",
            architecture="MistralForCausalLM",
            model_type="mistral",
            task="causal language modelling",
            pipeline_tag="text-generation",
            library_name="peft",
            auto_class="AutoModelForCausalLM",
            parameters_total=7_289_966_592,
            parameters_trainable=41_943_040,
            dims={
                "layers": 32,
                "hidden_size": 4096,
                "attention_heads": 32,
                "key_value_heads": 8,
                "vocabulary": 32768,
            },
            saved_bytes=167_832_240,
            saved_files=[
                "adapter_config.json",
                "chat_template.jinja",
                "tokenizer.json",
                "tokenizer_config.json",
            ],
        ),
        adapters=[
            Adapter(
                name="default",
                method="LoRA",
                config={
                    "lora_alpha": 32,
                    "lora_dropout": 0.1,
                    "r": 16,
                    "target_modules": [
                        "down_proj",
                        "gate_proj",
                        "k_proj",
                        "o_proj",
                        "q_proj",
                        "up_proj",
                        "v_proj",
                    ],
                    "use_rslora": True,
                },
                peft_version_created="0.21.2",
                peft_version_runtime="0.21.2",
            )
        ],
        precision=Precision(
            regime="bf16 mixed precision",
            weights_dtype="bfloat16",
            trainable_dtype="float32",
            compute_dtype="bfloat16",
            quantization={
                "method": "bitsandbytes",
                "bits": 4,
                "type": "nf4",
                "double_quantization": True,
            },
            tf32=False,
        ),
        training=Training(
            objective="supervised fine-tuning (next-token cross-entropy)",
            hyperparameters={
                "per_device_train_batch_size": 4,
                "gradient_accumulation_steps": 2,
                "learning_rate": 1e-05,
                "packing": True,
                "weight_decay": 0.0,
            },
            non_default=[
                "per_device_train_batch_size",
                "gradient_accumulation_steps",
                "learning_rate",
                "packing",
            ],
            optimizer="AdamW (learning rate 1e-05, betas (0.9, 0.999), epsilon 1e-08)",
            scheduler="cosine, 100 warm-up steps of 2400",
            effective_batch_size=64,
            seed=42,
            gradient_checkpointing=True,
            compiled=False,
            attention_implementation="flash_attention_2",
            kernels=["liger-kernel"],
        ),
        data=Data(
            train=[
                Dataset(
                    dataset_id="HuggingFaceH4/ultrachat_200k",
                    revision="8049631c405ae6576f93f445c6b8166f76f5505a",
                    config="default",
                    split="train_sft",
                    rows=153_600,
                    columns=["messages", "prompt"],
                    tokens=314_572_800,
                    streaming=False,
                    used_by="train",
                    inferred=True,
                )
            ],
            eval=[
                Dataset(
                    dataset_id="HuggingFaceH4/ultrachat_200k",
                    name="chat",
                    split="test_sft",
                    rows=2000,
                    inferred=False,
                ),
                Dataset(description="2 local files (json)", name="support", rows=512),
            ],
            preprocessing=Preprocessing(
                tokenizer="LlamaTokenizer",
                vocabulary_count=32768,
                max_length=2048,
                max_length_applied=True,
                longest_input=2048,
                collator="DataCollatorForLanguageModeling",
                packing=True,
                padding="longest",
                chat_template_sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            ),
        ),
        evaluation=Evaluation(
            results=[
                Metric(name="loss", value=0.9231, dataset="chat", step=2400),
                Metric(name="mean_token_accuracy", value=0.7502, dataset="chat", step=2400),
                Metric(name="loss", value=1.1034, dataset="support", step=2400),
                Metric(name="mean_token_accuracy", value=0.7012, dataset="support", step=2400),
            ],
            best=Best(metric="eval_chat_loss", value=0.9178, step=1600, loaded=False),
            train_loss=0.9812,
            history=[
                {"epoch": 0.3333, "step": 800, "loss": 1.02, "learning_rate": 8e-06},
                {"epoch": 0.3333, "step": 800, "eval_chat_loss": 0.9412},
                {"epoch": 0.6667, "step": 1600, "eval_chat_loss": 0.9178},
                {"epoch": 1.0, "step": 2400, "eval_chat_loss": 0.9231},
            ],
        ),
        hardware=Hardware(
            nodes=2,
            gpus=[Gpu(name="NVIDIA A100-SXM4-80GB", count=8, memory_bytes=85_899_345_920)],
            gpus_allocated=8,
            cpu_model="AMD EPYC 7763",
            cpu_count=128,
            cpu_count_node=128,
            ram_bytes=1_099_511_627_776,
            driver_version="580.65.06",
            cuda_driver_version="13.0",
            cuda_runtime_version="12.8",
            peak_memory_bytes={f"h1.g{n}": 61_203_283_968 + n * 1_000_000_000 for n in range(4)},
            peak_ram_bytes=21_474_836_480,
        ),
        software={
            "autocard": "0.1.0",
            "python": "3.12.4",
            "torch": "2.13.0",
            "transformers": "5.23.0",
            "trl": "1.16.0",
            "peft": "0.21.2",
            "accelerate": "1.12.0",
            "bitsandbytes": "0.49.0",
            "codecarbon": "3.3.2",
        },
        code=Code(
            commit="4f1c2d3e4b5a69788796a5b4c3d2e1f00f1e2d3c",
            dirty=True,
            remote="https://github.com/example-org/dialogue",
            script="train/sft.py",
        ),
        job=Job(
            workload_manager="slurm",
            job_id="812345",
            world_size=8,
            distributed="DDP",
            parallelism={"data": 8},
            launcher_nodes=2,
            nodes_expected=2,
            nodes_reporting=2,
        ),
        time={
            "eval_s": 812.0,
            "samples_per_s": 3.441,
            "steps_per_s": 0.0538,
            "tokens": 314_572_800,
            "flops": 1.2345e19,
            "flops_method": _FLOPS,
            "flops_estimate": 8.26e18,
            "flops_estimate_method": "a model: 4 × parameters + 2 × trained parameters for each token",
            "peak_share": 0.0741,
            "peak_share_method": "the estimate / (device-seconds × 312 TFLOPS, NVIDIA's dense figure)",
            "tokens_per_s": 7046.9,
        },
        search=Search(
            backend="optuna",
            trials=12,
            trials_unfinished=3,
            wall_clock_s=5400.0,
            total_kwh=1.92,
            reported_kwh=1.92,
        ),
        reconciliations=[
            Reconciliation(
                kind="sacct",
                source="Slurm's job energy (sacct)",
                metered_kwh=34.75,
                components_kwh=25.19776,
                ratio=0.7251,
                unmetered_kwh=9.55224,
                window_s=46_020.0,
                nodes=2,
                bound_kwh=281.2,
                covers="job 812345, 3 starts, 12 h 47 min on 2 nodes, set-up and all else that ran in it included",
                parts=["training", "set-up", "evaluation after it"],
                legs=["000000000000", "000000000001", "000000000002"],
            )
        ],
        facts={
            "license": "Apache 2.0",
            "language": "English, fr",
            "developers": "Example Organisation",
        },
    )


def _gpu_leg(
    number: int,
    begin: str,
    end: str,
    wall_clock_s: float,
    steps: tuple[int, int],
    status: Any,
    repeated: tuple[int, float],
) -> Leg:
    """One leg of `three_legs_on_gpus`: each board at 215 W, each host's CPUs at 117 W, its memory at 35 W."""
    hosts = [
        HostUse(
            host=f"h{host}",
            devices=[
                DeviceUse(
                    device=f"h{host}.g{device}",
                    name="NVIDIA A100-SXM4-80GB",
                    memory_bytes=85_899_345_920,
                    energy_j=214.8 * wall_clock_s,
                    source="nvml-counter",
                    counter_begin_j=1_000_000.0,
                    counter_end_j=1_000_000.0 + 214.8 * wall_clock_s,
                )
                for device in range(4)
            ],
            cpu_j=116.9 * wall_clock_s,
            ram_j=35.1 * wall_clock_s,
            codecarbon_gpu_j=4 * 190.0 * wall_clock_s,
            cpu_share=1.0,
            sources={
                "gpu": "measured: NVML energy counters",
                "cpu": "modelled: CodeCarbon, load × 280 W",
                "ram": "modelled: CodeCarbon",
            },
        )
        for host in (1, 2)
    ]
    return Leg(
        id=f"{number:012x}",
        job_id="812345",
        job=LegJob(workload_manager="slurm", restarts=number),
        started_at=begin,
        ended_at=end,
        status=status,
        step_begin=steps[0],
        step_end=steps[1],
        wall_clock_s=wall_clock_s,
        hosts=hosts,
        setup_j=144_000.0,
        evaluation_j=0.0,
        place=Place(country_iso_code="FRA", source="argument"),
        intensity_g_per_kwh=56.04,
        intensity_source="Our World in Data, through CodeCarbon",
        intensity_year=2023,
        repeated_steps=repeated[0],
        repeated_s=wall_clock_s * repeated[0] / (steps[1] - steps[0]),
        repeated_j=repeated[1],
    )


def nothing_measured() -> RunRecord:
    """A model trained from scratch; without a meter, a place or an evaluation."""
    leg = Leg(
        id="ffffffffffff",
        started_at="2026-03-01T09:30:12Z",
        ended_at="2026-03-01T09:30:21Z",
        status="stopped",
        step_begin=0,
        step_end=4,
        wall_clock_s=9.41,
        hosts=[HostUse(host="h1")],
    )
    return _record(
        [leg],
        max_steps=12,
        epochs=0.8,
        missing={
            "legs.0.hosts.0.cpu_j": f"not measured: {NOT_MEASURED}",
            "legs.0.hosts.0.ram_j": f"not measured: {NOT_MEASURED}",
            "legs.0.hosts.0.devices": "NVML: driver not loaded",
            "hardware.gpus": "NVML: driver not loaded",
        },
        model=Model(
            name="topic-full",
            base_model_description="none: trained from scratch",
            architecture="BertForSequenceClassification",
            model_type="bert",
            task="sequence classification",
            pipeline_tag="text-classification",
            library_name="transformers",
            auto_class="AutoModelForSequenceClassification",
            parameters_total=21_378,
            parameters_trainable=21_378,
        ),
        precision=Precision(
            regime="bf16 non-mixed precision", weights_dtype="bfloat16", trainable_dtype="bfloat16"
        ),
        training=Training(
            hyperparameters={"learning_rate": 0.01}, non_default=["learning_rate"], seed=3
        ),
        data=Data(train=[Dataset(description="an in-memory dataset", rows=20)]),
        hardware=Hardware(nodes=1, cpu_model="AMD EPYC 7763", cpu_count=8, cpu_count_node=64),
        software={
            "autocard": "0.1.0",
            "python": "3.11.9",
            "torch": "2.13.0",
            "transformers": "5.23.0",
        },
        job=Job(world_size=1, distributed="none", nodes_expected=1, nodes_reporting=1),
    )


def _record(
    legs: list[Leg],
    *,
    epochs: float,
    max_steps: int | None = None,
    settings: Settings | None = None,
    gpus_allocated: int | None = None,
    missing: dict[str, str] | None = None,
    time: dict[str, Any] | None = None,
    **parts: Any,
) -> RunRecord:
    """Return a record with the sums of *legs*, and a reason for each fact that is not there."""
    missing = dict(missing or {})
    parts_of_legs = totals.with_emissions(
        [Part(leg, gaps_at(missing, f"legs.{number}")) for number, leg in enumerate(legs)]
    )
    of_legs = joined(parts_of_legs)
    legs = of_legs.value
    sums = totals.sums(
        parts_of_legs, settings=settings or Settings(), gpus_allocated=gpus_allocated
    )
    missing |= {
        **under("legs", of_legs.gaps),
        **under("time", sums.time.gaps),
        **under("energy", sums.energy.gaps),
        **under("emissions", sums.emissions.gaps),
    }
    last = legs[-1]
    record = RunRecord(
        run=Run(
            id="a1b2c3d4e5f6",
            started_at=legs[0].started_at,
            ended_at=last.ended_at,
            status=last.status,
            global_step=last.step_end,
            max_steps=max_steps or last.step_end,
            epochs=epochs,
        ),
        legs=legs,
        time=sums.time.value.model_copy(update=time or {}),
        energy=sums.energy.value,
        emissions=sums.emissions.value,
        **parts,
        missing=missing,
    )
    return record.model_copy(
        update={
            "missing": {
                **dict.fromkeys(unexplained(record), "not there in this example"),
                **missing,
            }
        }
    )


ALL = {
    "lora_on_cpu": lora_on_cpu,
    "three_legs_on_gpus": three_legs_on_gpus,
    "nothing_measured": nothing_measured,
}
