"""The source of each field of the record and the tests that prove it, for make_fields.py.

A key is the path of a field, or of a part. A part's entry gives only the source of its fields: each
field has a proof of its own, here or in proofs_of_leaves.py. A test is file::name; an oracle that
checks each training is truth/file::name.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from proofs_of_leaves import FIELDS_BY_TEST

TESTS = Path(__file__).resolve().parent.parent / "tests"


@dataclass(frozen=True)
class Proof:
    """One field, or several of one part."""

    source: str
    """The object that it is read from, or what works it out."""
    tests: tuple[str, ...]
    """Tests that hold it against something that does not share its code."""


def _proof(source: str, *tests: str) -> Proof:
    files = {
        "adapter": "capture/test_adapter_matrix",
        "changed": "capture/test_changed_settings",
        "cluster": "capture/test_launcher",
        "code": "capture/test_code",
        "variables": "capture/test_launcher_variables",
        "counts": "capture/test_parameter_counts",
        "online": "capture/test_samples_of_trl",
        "samples": "capture/test_samples",
        "tokens": "capture/test_tokens",
        "operations": "capture/test_flops",
        "data": "capture/test_data",
        "evaluation": "capture/test_evaluation",
        "first": "runtime/test_first_card",
        "hardware": "capture/test_hardware",
        "job": "totals/test_totals",
        "jobs_of_nodes": "distributed/test_cluster",
        "leg_jobs": "runtime/test_leg_jobs",
        "meter": "energy/test_meter",
        "model": "capture/test_model",
        "nvml": "energy/test_nvml",
        "parts": "energy/test_parts",
        "precision": "capture/test_precision_matrix",
        "record": "record/test_record",
        "software": "capture/test_software",
        "strange": "runtime/test_strange_runs",
        "trained": "capture/test_parameters_trained",
        "training": "capture/test_training",
        "losses": "capture/test_accumulated_losses",
        "fields": "card/test_fields",
        "precision1": "capture/test_precision",
        "pictures": "card/test_plots",
        "objective": "capture/test_objective",
        "rewards": "capture/test_objective_trl",
        "ran": "capture/test_what_ran",
        "reconcile": "reconcile/test_reconcile",
        "restarts": "runtime/test_restarts",
        "search": "runtime/test_search",
    }
    named = [test.split(":", 1) for test in tests]
    return Proof(source, tuple(f"{files[file]}.py::test_{name}" for file, name in named))


_SUMS = "job:legs_and_hosts_are_added_up"
_PARTS = "first:energy_is_the_sum_of_its_parts_and_co2_is_energy_times_intensity"
_HOOKS = "precision:the_regime_is_what_hooks_and_optimizer_show"
_REASON = "first:no_fact_is_missing_without_a_reason"
_KINDS = "adapter:an_adapter_is_told_as_peft_saves_and_counts_it"
_COUNTED = "counts:the_count_is_that_of_a_plain_twin"

PROOFS: dict[str, Proof] = {
    "schema_version": _proof("a constant", "record:a_newer_schema_says_how_to_go_on"),
    "autocard_version": _proof("the package", "record:a_record_written_and_read_is_the_same"),
    "run": _proof(
        "TrainerState, the session's clock",
        "strange:a_training_that_ends_early_is_not_called_finished",
    ),
    "run.epochs": _proof("TrainerState.epoch", "strange:data_without_a_length_has_no_epochs"),
    "legs[]": _proof(
        "the session's monotonic clock; TrainerState",
        "first:wall_clock_is_that_of_the_tests_own_clock",
    ),
    "legs[].hosts[]": _proof(
        "the meter: NVML counters, CodeCarbon's models",
        "meter:cpu_and_ram_are_modelled_with_the_powers_given",
    ),
    "legs[].hosts[].devices[]": _proof(
        "NVML", "meter:gpu_energy_is_that_of_the_counters_and_codecarbon_agrees"
    ),
    "legs[].hosts[].cpu_share": _proof(
        "affinity and control groups",
        "parts:the_share_is_that_of_the_cpus_that_the_process_may_use",
    ),
    "legs[].batch": _proof(
        "the data loader; travels in checkpoints",
        "samples:a_resumed_training_is_counted_by_the_batches_it_consumed",
    ),
    "legs[].recorded_place[]": _proof(
        "the leg, before a person gave place, intensity or PUE later",
    ),
    "legs[].place": _proof(
        "settings, variables, the cloud's marks", "job:each_leg_has_the_intensity_of_its_place"
    ),
    "legs[].intensity_g_per_kwh": _proof(
        "CodeCarbon's tables, or the person",
        "meter:the_intensity_is_that_of_the_country_with_source_and_year",
    ),
    "legs[].co2eq_g": _proof(
        "energy × PUE × intensity", "job:each_leg_has_the_intensity_of_its_place"
    ),
    "model": _proof(
        "the model's class and configuration", "model:the_head_decides_tag_and_auto_class"
    ),
    "model.name": _proof(
        "TrainingArguments.hub_model_id, output_dir",
        "model:the_name_is_the_hub_id_else_the_folder_s",
    ),
    "model.base_model": _proof(
        "config._name_or_path, the Hub's cache, a person",
        "model:a_snapshot_of_the_hub_s_cache_gives_id_and_commit",
        "model:a_folder_that_has_gone_is_not_taken_for_a_hub_id",
    ),
    "model.base_model_description": _proof(
        "the same, where it is no Hub id", "model:weights_that_were_initialized_have_no_base"
    ),
    "model.base_model_revision": _proof(
        "snapshot path, refs of the Hub's cache",
        "model:a_hub_id_gets_its_commit_from_the_cache_when_only_one_was_loaded",
    ),
    "model.parameters_total": _proof(
        "the parameters themselves", _COUNTED, "first:parameters_are_those_of_the_state_dict"
    ),
    "model.parameters_trainable": _proof(
        "requires_grad when training begins",
        _COUNTED,
        "adapter:no_more_is_told_to_be_trained_than_a_training_changes",
    ),
    "model.dims": _proof(
        "config (names of each family)", "model:dimensions_are_named_alike_in_all_families"
    ),
    "model.labels": _proof(
        "config.id2label", "model:labels_are_told_only_where_somebody_named_them"
    ),
    "model.trained_in_some_steps": _proof(
        "gradients before each optimizer step",
        "trained:a_body_that_was_trained_for_a_while_is_counted_and_said_to_be",
    ),
    "model.saved_dtype": _proof(
        "headers of the saved safetensors",
        "changed:weights_that_are_saved_in_another_format_than_the_trained_one_are_said_to_be",
    ),
    "model.saved_bytes": _proof(
        "files in the output folder", "model:saved_bytes_of_an_adapter_are_those_of_its_file"
    ),
    "model.checkpoint_bytes": _proof(
        "files of the newest checkpoint",
        "model:the_size_of_a_checkpoint_is_that_of_its_files_on_disk",
    ),
    "model.checkpoint_has_optimizer": _proof(
        "files of the newest checkpoint",
        "model:a_checkpoint_without_the_optimizer_s_state_is_not_said_to_hold_it",
    ),
    "model.saved_files": _proof(
        "files in the output folder", "model:saved_files_are_those_of_this_run"
    ),
    "adapters[]": _proof("model.peft_config (active adapters only)", _KINDS),
    "adapters[].name": _proof(
        "active_adapters",
        "adapter:the_reference_adapter_that_trl_keeps_beside_the_trained_one_is_left_out",
    ),
    "adapters[].peft_version_created": _proof(
        "PeftConfig.peft_version",
        "adapter:an_adapter_that_was_loaded_again_tells_both_versions_of_peft",
    ),
    "precision": _proof(
        "parameters, accelerate's autocast wrapper, FSDP's policy, DeepSpeed's configuration",
        _HOOKS,
    ),
    "precision.quantization": _proof(
        "hf_quantizer, config.quantization_config",
        "precision:what_cannot_run_here_is_read_from_real_configuration_objects",
    ),
    "precision.tf32": _proof(
        "torch.backends.cuda.matmul", "precision1:tf32_is_read_where_a_gpu_trains"
    ),
    "precision.note": _proof("the same", "precision1:notes_say_what_the_term_does_not"),
    "training.objective": _proof(
        "code of the trainer, of the model's forward and of its loss function; "
        "TRL's arguments; trainer.loss",
        "training:the_classifier_s_loss_is_told_as_its_head_decides",
        "training:a_loss_of_the_run_s_own_is_not_called_the_library_s",
        "objective:a_loss_of_the_run_s_own_code_is_called_custom",
        "objective:the_losses_of_transformers_heads_are_named",
        "rewards:the_losses_of_preference_optimization_are_told_with_their_weights",
        "rewards:the_tokens_that_carry_the_loss_are_those_of_the_labels",
        "rewards:the_loss_of_a_sentence_transformers_trainer_is_named_with_its_settings",
    ),
    "training.losses_summed": _proof(
        "the code of head, loss and Trainer",
        "losses:a_loss_that_is_a_sum_over_accumulated_batches_is_said_to_be_one",
    ),
    "training.losses_summed_last": _proof(
        "length of the data loader", "losses:the_batches_of_a_sum_are_those_that_the_steps_took"
    ),
    "training.purpose": _proof(
        "class of TRL's arguments",
        "rewards:a_summary_names_the_alignment_and_not_language_modeling",
    ),
    "training.reward_functions": _proof(
        "trainer.reward_funcs, trainer.reward_weights",
        "rewards:a_policy_s_rewards_are_told_with_names_weights_and_last_values",
        "rewards:the_folder_of_a_reward_model_is_not_told",
    ),
    "training.changed": _proof(
        "optimizer, schedule and arguments, before each step",
        "changed:a_learning_rate_that_a_callback_sets_is_told_with_its_step",
        "changed:weight_decay_and_accumulation_that_a_callback_sets_are_told",
    ),
    "training.learning_rates": _proof(
        "the optimizer's first parameter group",
        "ran:learning_rates_are_those_that_the_optimizer_stepped_with",
    ),
    "evaluation.counters": _proof("the trainer's log", "rewards:counters_of_trl_are_no_results"),
    "evaluation.rewards": _proof(
        "the trainer's log",
        "rewards:a_policy_s_rewards_are_told_with_names_weights_and_last_values",
    ),
    "run.stop_reason": _proof(
        "trainer.control, the callbacks' code and counters",
        "ran:an_early_stop_names_its_patience_or_its_callback",
    ),
    "data.preprocessing.masking": _proof(
        "the data collator", "ran:masking_is_told_with_its_probability"
    ),
    "data.preprocessing.max_length_applied": _proof(
        "TRL's arguments, the sentence-transformers model, the longest row",
        "ran:a_maximum_length_is_told_where_it_cut_the_rows",
    ),
    "data.preprocessing.image_mean": _proof(
        "the image processor", "ran:normalization_of_images_is_told"
    ),
    "data.preprocessing.image_std": _proof(
        "the image processor", "ran:normalization_of_images_is_told"
    ),
    "training.hyperparameters": _proof(
        "TrainingArguments, by allow-list",
        "training:values_are_plain_and_the_ones_given",
        "training:arguments_that_an_optimizer_of_one_s_own_overrules_are_not_told",
    ),
    "training.non_default": _proof(
        "defaults of the arguments' class",
        "training:what_differs_from_the_library_s_defaults_is_named",
    ),
    "training.optimizer": _proof(
        "the optimizer's class and groups", "training:the_optimizer_is_told_as_it_is"
    ),
    "training.scheduler": _proof("the schedule", "training:the_schedule_is_told_with_its_warm_up"),
    "training.effective_batch_size": _proof(
        "the data loader, arguments; "
        "TrainerState.train_batch_size where it was found automatically",
        "samples:samples_per_second_are_those_that_a_hook_counts",
        "training:the_effective_batch_is_what_one_step_consumes",
        "training:samples_are_counted_where_steps_are_short",
        "training:the_batch_that_was_found_automatically_is_told",
    ),
    "training.batch_unit": _proof(
        "class and fields of the arguments",
        "online:completions_are_counted_as_completions_and_prompts_as_prompts",
    ),
    "training.batch_detail": _proof(
        "TRL's arguments", "online:completions_are_counted_as_completions_and_prompts_as_prompts"
    ),
    "training.seed": _proof(
        "TrainingArguments.seed", "training:values_are_plain_and_the_ones_given"
    ),
    "training.gradient_checkpointing": _proof(
        "the layers' own flags",
        "training:gradient_checkpointing_is_told_where_layers_run_a_second_time",
    ),
    "training.compiled": _proof(
        "the model's wrapper, arguments",
        "training:compiling_is_told_where_a_flag_or_the_model_shows_it",
    ),
    "training.attention_implementation": _proof(
        "config._attn_implementation", "training:the_attention_function_is_the_one_that_works"
    ),
    "training.kernels": _proof(
        "packages of layers and forward functions",
        "training:kernels_are_known_by_the_package_of_layers_and_forward_functions",
    ),
    "data.train[]": _proof(
        "train_dataloader.dataset, the caches of datasets and the Hub",
        "data:the_cache_proves_id_and_commit_of_a_hub_data_set",
        "data:joined_data_sets_of_the_hub_are_told_one_by_one_with_their_rows",
    ),
    "data.train[].rows": _proof(
        "length, blocks of the table",
        "first:rows_are_those_of_the_data_sets",
        "data:of_interleaved_data_sets_the_rows_that_were_drawn_are_counted",
    ),
    "data.train[].tokens": _proof(
        "offsets of input_ids", "data:tokens_are_those_of_the_rows_that_are_trained_on"
    ),
    "data.train[].tokens_without_padding": _proof(
        "attention masks; the token that pads", "tokens:padding_in_rows_is_told_apart"
    ),
    **dict.fromkeys(
        ["data.train[].packed", "data.train[].packed_texts"],
        _proof("TRL's arguments and its seq_lengths", "online:packed_rows_are_not_told_as_rows"),
    ),
    "data.train[].encoder_inputs": _proof(
        "the model's configuration", "tokens:an_encoder_s_tokens_are_called_input_tokens"
    ),
    "data.train[].probability": _proof(
        "the stream's parts", "data:interleaved_streams_are_told_with_their_shares"
    ),
    "data.train[].streaming": _proof(
        "class of the data", "data:interleaved_streams_are_told_with_their_shares"
    ),
    "data.train[].inferred": _proof(
        "settings.datasets or traces", "data:one_id_from_a_person_names_the_data_set"
    ),
    "data.eval[]": _proof(
        "eval_dataloader.dataset at each evaluation",
        "data:each_evaluation_set_is_named_as_its_metrics_are",
    ),
    "data.preprocessing": _proof(
        "processing_class, data collator",
        "data:the_preprocessing_is_that_of_the_trainer_s_own_objects",
    ),
    "data.preprocessing.max_length": _proof(
        "arguments, the tokenizer's truncation",
        "data:inputs_are_cut_where_the_tokenizer_last_cut_if_the_rows_agree",
    ),
    "data.preprocessing.longest_input": _proof(
        "offsets of input_ids", "data:lengths_of_shuffled_rows_are_those_of_the_chosen_rows"
    ),
    "data.preprocessing.packing": _proof("TRL's arguments", "data:trl_s_own_limit_and_packing_win"),
    "data.preprocessing.padding": _proof("the collator", "data:the_collator_tells_how_it_pads"),
    "data.preprocessing.truncation_side": _proof(
        "processing_class", "data:the_sides_where_a_tokenizer_fills_and_cuts_are_told_apart"
    ),
    "data.preprocessing.chat_template_sha256": _proof(
        "chat_template", "data:a_chat_template_is_told_by_its_hash_alone"
    ),
    "data.preprocessing.image_size_px": _proof(
        "image processor", "data:an_image_processor_tells_the_size_that_the_model_is_shown"
    ),
    "data.preprocessing.sampling_rate_hz": _proof(
        "feature extractor", "data:a_feature_extractor_tells_its_sampling_rate"
    ),
    "evaluation.results[]": _proof(
        "TrainerState.log_history, predict()'s metrics",
        "first:results_are_those_that_evaluate_returned",
        "evaluation:results_are_those_of_the_weights_that_were_loaded_at_the_end",
        "evaluation:a_prediction_s_figures_are_told_apart",
    ),
    "evaluation.not_finite": _proof(
        "the same", "strange:a_model_that_diverged_is_not_shown_as_perfect"
    ),
    "model.adapters_merged": _proof(
        "names of the files in the output folder",
        "strange:an_adapter_that_was_merged_is_not_called_one",
    ),
    "evaluation.diverged": _proof(
        "TrainerState.log_history, some of the trained weights",
        "strange:a_training_that_diverges_says_so_and_shows_no_loss_that_a_filter_made",
    ),
    "evaluation.best": _proof(
        "TrainerState.best_metric, best_global_step",
        "evaluation:results_are_those_of_the_weights_that_were_loaded_at_the_end",
    ),
    "evaluation.train_loss": _proof(
        "the log's summary", "evaluation:the_mean_loss_is_the_trainer_s"
    ),
    "evaluation.history": _proof(
        "TrainerState.log_history",
        "evaluation:a_long_log_is_thinned_and_keeps_evaluations_and_both_ends",
    ),
    "hardware": _proof(
        "the operating system", "hardware:the_machine_is_described_as_others_describe_it"
    ),
    "hardware.gpus[]": _proof(
        "NVML", "hardware:only_the_gpus_that_the_run_uses_are_named_and_counted"
    ),
    "hardware.driver_version": _proof("NVML", "nvml:versions_and_names_are_the_drivers"),
    "hardware.cuda_driver_version": _proof("NVML", "nvml:versions_and_names_are_the_drivers"),
    "hardware.gpus_allocated": _proof(
        "Slurm's variables",
        "variables:the_gpus_that_a_job_was_given_are_counted_or_it_is_said_why_not",
    ),
    "hardware.nodes": _proof(
        "the launcher's variables",
        "variables:the_gpus_that_a_job_was_given_are_counted_or_it_is_said_why_not",
        "cluster:nodes_are_those_of_the_launcher",
    ),
    "hardware.peak_memory_bytes": _proof(
        "torch.cuda.max_memory_allocated",
        "fields:devices_that_were_not_asked_for_their_peak_are_not_spoken_for",
    ),
    "software": _proof(
        "modules that the run uses, importlib.metadata",
        "software:a_library_that_was_only_imported_is_not_told",
        "software:a_library_that_the_run_uses_is_told_with_its_installed_version",
    ),
    "code": _proof("git", "code:the_commit_and_the_script_s_place_in_the_repository_are_told"),
    "code.dirty": _proof(
        "git status", "code:a_changed_file_makes_it_dirty_and_a_new_output_does_not"
    ),
    "code.remote": _proof(
        "git's configuration",
        "code:a_remote_is_told_without_credentials",
        "code:a_remote_that_is_not_at_a_public_host_is_not_told",
        "code:a_host_that_the_user_allows_is_named_and_no_other",
    ),
    "code.note": _proof(".gitmodules", "code:submodules_are_told_by_their_number"),
    "job": _proof(
        "variables of the workload manager and the launcher",
        "cluster:a_manager_is_known_by_its_variable_and_only_the_number_of_the_job_is_told",
    ),
    **dict.fromkeys(
        (
            *(
                "job.array_job_id",
                "job.array_task_id",
                "job.step_id",
                "job.nodes_allocated",
                "job.tasks",
            ),
            *("job.restarts", "job.launcher_restarts"),
        ),
        _proof(
            "variables of the workload manager and the launcher",
            "variables:of_a_job_what_its_variables_say_is_told_and_nothing_else",
        ),
    ),
    "job.launcher_nodes": _proof(
        "variables of the launcher",
        "jobs_of_nodes:nodes_and_processes_are_counted_as_they_were_heard",
    ),
    "job.launcher": _proof(
        "variables that only that launcher sets",
        "variables:of_a_job_what_its_variables_say_is_told_and_nothing_else",
        "variables:real_launchers_are_known_by_what_they_leave",
    ),
    "job.distributed": _proof(
        "the model's wrapper, arguments", "cluster:kinds_of_parallelism_are_told_apart"
    ),
    "job.parallelism": _proof(
        "accelerate's ParallelismConfig, transformers' DistributedConfig",
        "cluster:the_sizes_of_groups_are_those_of_the_trainer_s_own_configuration",
        "cluster:the_sizes_of_groups_are_those_that_the_model_was_loaded_with",
    ),
    "time": _proof("the legs", _SUMS),
    "time.eval_s": _proof("the log", "evaluation:evaluation_time_is_what_evaluating_took"),
    "time.samples_per_s": _proof(
        "the data loader's batches; the log's summary",
        "samples:samples_per_second_are_those_that_a_hook_counts",
        "samples:a_resumed_training_is_counted_by_the_batches_it_consumed",
    ),
    "time.steps_per_s": _proof(
        "the log's summary",
        "evaluation:speeds_of_a_run_that_stopped_early_count_the_steps_that_were_done",
    ),
    "time.tokens": _proof(
        "TrainerState.num_input_tokens_seen, TRL's log",
        "evaluation:tokens_are_told_where_they_were_counted",
    ),
    "time.tokens_with_padding": _proof(
        "TrainingArguments; TRL's code", "tokens:tokens_seen_say_whether_padding_is_among_them"
    ),
    "time.tokens_per_s": _proof(
        "the two", "evaluation:tokens_per_second_are_those_of_a_run_in_one_leg"
    ),
    "time.flops": _proof(
        "TrainerState.total_flos",
        "evaluation:operations_count_what_the_method_says",
        "operations:operations_on_images_are_not_told_as_those_on_tokens",
        "operations:operations_of_an_attempt_that_crashed_are_not_those_of_the_next_training",
    ),
    "time.flops_estimate": _proof(
        "the same, and the parameters",
        "evaluation:the_estimate_of_operations_is_what_torch_counts_in_a_real_step",
        "operations:the_estimate_is_what_torch_counts_in_a_real_step",
        "evaluation:of_experts_those_that_a_token_is_sent_to_are_counted",
    ),
    "time.peak_share": _proof(
        "the estimate, NVIDIA's data sheets",
        "evaluation:the_share_of_the_peak_is_told_of_boards_whose_peak_is_known_and_of_no_other",
    ),
    **dict.fromkeys(
        ["run.earlier_run", "run.earlier_steps"],
        _proof(
            "weights that this process has trained before, by weak references",
            "restarts:a_training_of_weights_that_an_earlier_one_of_the_process_had_trained_says_so",
        ),
    ),
    **dict.fromkeys(
        [
            "legs[].job_id",
            "legs[].job.workload_manager",
            "legs[].job.array_job_id",
            "legs[].job.array_task_id",
            "legs[].job.restarts",
            "legs[].job.launcher",
        ],
        _proof(
            "the workload manager's variables when the leg begins; travels in checkpoints",
            "leg_jobs:each_leg_has_the_number_of_the_job_that_it_ran_in",
            "variables:a_leg_is_given_its_job_s_numbers_and_a_reason_for_each_that_is_not_there",
        ),
    ),
    "legs[].steps_unseen": _proof(
        "whether the measuring process saw the leg's end",
        "restarts:what_was_repeated_is_told_in_steps_seconds_and_joules",
    ),
    "legs[].checkpoints[]": _proof(
        "the clock and the meter at each checkpoint",
        "restarts:what_was_repeated_is_told_in_steps_seconds_and_joules",
    ),
    **dict.fromkeys(
        [
            "legs[].repeated_steps",
            "legs[].repeated_s",
            "legs[].repeated_j",
            "legs[].repeated_source",
        ],
        _proof(
            "the later leg's first step",
            "restarts:what_was_repeated_is_told_in_steps_seconds_and_joules",
        ),
    ),
    "energy": _proof("the legs", _SUMS, _PARTS),
    "emissions": _proof(
        "the legs, a person", "job:each_leg_has_the_intensity_of_its_place", _PARTS
    ),
    "emissions.water_l": _proof(
        "energy × the effectiveness that was given",
        "strange:water_is_energy_at_the_devices_times_the_given_effectiveness",
    ),
    "search": _proof(
        "the trials' legs, by the same means as the run's",
        "search:the_card_says_how_many_trials_there_were_and_how_long_they_took",
        "search:the_energy_of_the_trials_is_that_of_their_seconds",
    ),
    "search.trials_unfinished": _proof(
        "trials that ended without an event",
        "search:trials_that_were_pruned_or_that_failed_are_counted_and_said",
    ),
    "search.reported_kwh": _proof(
        "the trials whose energy is known",
        "job:the_trials_of_a_search_whose_energy_is_known_are_the_least_that_it_took",
    ),
    "reconciliations[]": _proof(
        "Slurm's sacct, a person, the nodes' own meters; the legs",
        "reconcile:each_layout_of_sacct_gives_the_sum_of_the_starts_and_no_step_twice",
    ),
    "reconciliations[].bound_kwh": _proof(
        "time × nodes and GPUs", "reconcile:an_inflated_figure_is_compared_and_not_trusted"
    ),
    **dict.fromkeys(
        ["reconciliations[].verdict", "reconciliations[].reason"],
        _proof(
            "the bounds",
            "reconcile:an_inflated_figure_is_compared_and_not_trusted",
            "reconcile:less_than_the_counters_inside_of_it_cannot_be",
            "reconcile:a_mean_power_far_above_that_of_the_components_is_doubted",
        ),
    ),
    "pictures": _proof(
        "the log, the legs' readings", "pictures:a_picture_shows_the_points_of_the_log"
    ),
    "facts": _proof("the person", "fields:what_a_person_gave_stands_as_given_and_goes_first"),
    "settings": _proof("who set what", _REASON),
    "missing": _proof("every capture", _REASON),
    "slots": _proof(
        "the card's update", "first:a_second_training_refreshes_ours_and_keeps_a_person_s"
    ),
}
PROOFS["time.flops_method"] = PROOFS["time.flops"]
PROOFS["time.flops_estimate_method"] = PROOFS["time.flops_estimate"]
PROOFS["time.peak_share_method"] = PROOFS["time.peak_share"]


def proof_of(leaf: str) -> Proof | None:
    """Return where *leaf* comes from and its own tests; None: it has no test of its own."""
    tests = tuple(test for test, leaves in FIELDS_BY_TEST.items() if leaf in leaves)
    if leaf in PROOFS:
        tests += PROOFS[leaf].tests
    return Proof(_source(leaf), tests) if tests else None


def _source(leaf: str) -> str:
    """Return the source under the longest beginning of *leaf* that has one."""
    part = leaf
    while part and part not in PROOFS:
        part = part.rpartition(".")[0]
    return PROOFS[part].source if part else ""


def names_it(test: str, leaf: str) -> bool:
    """Return whether the text of *test*, with what it uses in its file, has *leaf*'s last name."""
    name = leaf.replace("[]", "").rpartition(".")[2]
    return re.search(rf"(?<![A-Za-z]){name}\b", text_of(test)) is not None


def text_of(test: str) -> str:
    """Return the text of *test* with what it uses in its file; empty: there is no such test.

    That includes functions, classes and constants.
    """
    file, _, name = test.partition("::")
    texts = _definitions(TESTS / file)
    found, waiting = {name} & set(texts), [name]
    while waiting:
        used = set(re.findall(r"\b[A-Za-z_]\w*\b", texts.get(waiting.pop(), "")))
        new = {one for one in used & set(texts) - found if not one.startswith("test_")}
        found |= new
        waiting += new
    return "\n".join(texts[one] for one in sorted(found))


@cache
def _definitions(file: Path) -> dict[str, str]:
    """Return the text of each function, class and constant of a module, decorators included."""
    if not file.is_file():
        return {}
    lines, found = file.read_text(encoding="utf-8"), {}
    for node in ast.parse(lines).body:
        text = ast.get_source_segment(lines, node) or ""
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            decorators = [ast.get_source_segment(lines, one) or "" for one in node.decorator_list]
            found[node.name] = "\n".join([*decorators, text])
        elif isinstance(node, ast.Assign):
            found |= {target.id: text for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = text
    return found
