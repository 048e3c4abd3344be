"""Which test proves which fields of the record, for fields without an entry in proofs.py.

Test (file::name), or oracle of tests/truth (truth/file::name), → fields. Each names its fields,
which test_docs_fields checks.
"""

from __future__ import annotations


def _dataset(part: str, *leaves: str) -> tuple[str, ...]:
    return tuple(f"data.{part}[].{leaf}" for leaf in leaves)


FIELDS_BY_TEST: dict[str, tuple[str, ...]] = {
    "record/test_record_leaves.py::test_a_record_names_the_version_that_wrote_it": (
        "autocard_version",
    ),
    "runtime/test_restarts.py::test_a_fresh_start_in_a_used_folder_is_a_run_of_its_own_and_so_is_what_another_job_does_there": (
        "run.id",
    ),
    "record/test_record_leaves.py::test_begin_and_end_are_those_of_the_tests_own_clock": (
        "run.started_at",
        "run.ended_at",
        "legs[].started_at",
        "legs[].ended_at",
    ),
    "truth/run.py::run_of": ("run.status", "run.global_step", "run.max_steps"),
    "truth/run.py::legs_of": ("legs[].step_end", "legs[].wall_clock_s", "time.wall_clock_s"),
    "runtime/test_restarts.py::test_a_run_that_was_killed_ten_times_has_all_its_legs_once": (
        "legs[].id",
        "legs[].status",
        "legs[].step_begin",
    ),
    "record/test_record_leaves.py::test_what_steps_and_epochs_consume_is_what_the_data_loader_gives": (
        "legs[].batch.step_samples",
        "legs[].batch.epoch_samples",
        "legs[].batch.epoch_steps",
    ),
    "record/test_record_leaves.py::test_at_a_checkpoint_step_time_and_energy_are_those_of_that_moment": (
        "legs[].checkpoints[].step",
        "legs[].checkpoints[].wall_clock_s",
        "legs[].checkpoints[].energy_j",
    ),
    "distributed/test_cluster_requeue.py::test_the_machines_have_the_same_names_in_both_legs": (
        "legs[].hosts[].host",
    ),
    "distributed/test_cluster.py::test_each_gpu_is_there_once_whichever_rank_sees_it": (
        "legs[].hosts[].devices[].device",
    ),
    "energy/test_gpu_card.py::test_a_run_that_has_two_gpus_of_eight_reports_two": (
        "legs[].hosts[].devices[].energy_j",
        "legs[].hosts[].devices[].name",
        "legs[].hosts[].devices[].memory_bytes",
    ),
    "energy/test_meter.py::test_gpu_energy_is_that_of_the_counters_and_codecarbon_agrees": (
        "legs[].hosts[].devices[].source",
        "legs[].hosts[].devices[].counter_begin_j",
        "legs[].hosts[].devices[].counter_end_j",
        "legs[].hosts[].codecarbon_gpu_j",
    ),
    "energy/test_devices.py::test_a_slice_has_the_energy_of_its_board_and_says_so": (
        "legs[].hosts[].devices[].note",
    ),
    "energy/test_meter.py::test_cpu_and_ram_are_modelled_with_the_powers_given": (
        "legs[].hosts[].cpu_j",
        "legs[].hosts[].ram_j",
        "legs[].hosts[].sources",
    ),
    "record/test_record_leaves.py::test_a_host_s_share_is_that_of_the_cpus_that_the_process_may_use": (
        "legs[].hosts[].cpu_share",
    ),
    "energy/test_node_meter.py::test_a_node_meter_that_the_site_names_is_read_beside_and_the_card_states_the_ratio": (
        "legs[].hosts[].node_meter_j",
        "energy.node_meter_kwh",
    ),
    "energy/test_join_hosts.py::test_set_up_that_one_of_two_nodes_could_not_read_is_the_least_that_is_known": (
        "legs[].reported_setup_j",
        "energy.reported_setup_kwh",
    ),
    "runtime/test_boundary.py::test_set_up_is_measured_from_the_making_of_the_callback_and_kept_apart": (
        "legs[].setup_j",
        "energy.setup_kwh",
    ),
    "runtime/test_boundary.py::test_evaluation_after_training_is_measured_and_kept_apart_and_idling_between_is_not_in_it": (
        "legs[].evaluation_j",
        "energy.evaluation_kwh",
    ),
    "energy/test_place.py::test_a_leg_in_a_cloud_has_its_place_and_intensity": (
        "legs[].place.country_iso_code",
        "legs[].place.cloud_provider",
        "legs[].place.cloud_region",
        "legs[].place.source",
        "emissions.cloud_provider",
        "emissions.cloud_region",
    ),
    "energy/test_place.py::test_a_look_up_keeps_country_and_region_and_forgets_the_rest": (
        "legs[].place.region",
    ),
    "energy/test_meter.py::test_the_intensity_is_that_of_the_country_with_source_and_year": (
        "legs[].intensity_source",
        "legs[].intensity_year",
    ),
    "runtime/test_restarts.py::test_each_leg_has_the_place_the_intensity_and_the_pue_of_its_own": (
        "legs[].pue",
    ),
    "cli/test_later_place.py::test_the_record_keeps_each_part_of_the_place_that_another_one_replaces": (
        "legs[].recorded_place[].place.country_iso_code",
        "legs[].recorded_place[].place.region",
        "legs[].recorded_place[].place.cloud_provider",
        "legs[].recorded_place[].place.cloud_region",
        "legs[].recorded_place[].place.source",
        "legs[].recorded_place[].intensity_g_per_kwh",
        "legs[].recorded_place[].intensity_source",
        "legs[].recorded_place[].intensity_year",
        "legs[].recorded_place[].pue",
    ),
    "distributed/test_cluster.py::test_nodes_and_processes_are_counted_as_they_were_heard": (
        "legs[].processes",
        "legs[].processes_reporting",
        "legs[].nodes_expected",
        "legs[].nodes_reporting",
        "job.nodes_expected",
        "job.nodes_reporting",
        "job.processes_reporting",
    ),
    "record/test_record_leaves.py::test_what_was_repeated_used_what_the_given_powers_use_in_its_seconds": (
        "legs[].repeated_j",
        "energy.repeated_kwh",
    ),
    "runtime/test_resumed_settings.py::test_settings_of_the_steps_before_a_resume_stand_beside_those_after_it": (
        "legs[].other_hyperparameters",
    ),
    "capture/test_parameters_trained.py::test_a_body_that_was_trained_for_a_while_is_counted_and_said_to_be": (
        "model.trained_in_some_steps",
    ),
    "truth/base.py::base_of": ("model.base_model_relation", "model.library_name"),
    "truth/model.py::model_of": ("model.architecture",),
    "truth/model.py::dims_of": ("model.model_type",),
    "capture/test_model.py::test_one_score_is_a_regression": ("model.task",),
    "capture/test_model.py::test_the_head_decides_tag_and_auto_class": (
        "model.pipeline_tag",
        "model.auto_class",
    ),
    "capture/test_model.py::test_each_part_of_a_model_of_several_has_its_own_dimensions": (
        "model.parts",
    ),
    "capture/test_adapters_in_effect.py::test_the_trained_modules_of_a_partly_frozen_model_are_named": (
        "model.trained_modules",
    ),
    "capture/test_adapters_in_effect.py::test_modules_that_are_trained_beside_an_adapter_and_not_saved_with_it_are_named": (
        "model.trained_unsaved",
    ),
    "record/test_record_leaves.py::test_trainable_parameters_are_those_that_require_gradients": (
        "model.parameters_trainable",
    ),
    "truth/adapters.py::tensors_of": ("adapters[].method",),
    "truth/adapters.py::adapters_of": ("adapters[].config",),
    "capture/test_adapter_matrix.py::test_an_adapter_that_was_loaded_again_tells_both_versions_of_peft": (
        "adapters[].peft_version_runtime",
    ),
    "capture/test_adapters_in_effect.py::test_an_adapter_that_is_trained_further_names_the_run_that_made_it": (
        "adapters[].continued",
        "adapters[].earlier_run",
    ),
    "truth/settings.py::precision_of": (
        "precision.regime",
        "precision.weights_dtype",
        "precision.trainable_dtype",
    ),
    "record/test_record_leaves.py::test_the_compute_dtype_is_the_one_of_the_forward_pass": (
        "precision.compute_dtype",
    ),
    "capture/test_data.py::test_the_cache_proves_id_and_commit_of_a_hub_data_set": _dataset(
        "train", "dataset_id", "revision", "config", "split"
    ),
    "capture/test_data.py::test_local_files_are_told_without_their_path": _dataset(
        "train", "description"
    ),
    "truth/data.py::data_of": _dataset("train", "columns"),
    "record/test_record_leaves.py::test_data_sets_are_told_as_datasets_itself_tells_them": (
        *_dataset("train", "used_by", "name"),
        *_dataset(
            "eval", "dataset_id", "revision", "config", "split", "description", "title", "name"
        ),
        *_dataset(
            "eval", "rows", "columns", "tokens", "tokens_without_padding", "inferred", "streaming"
        ),
    ),
    "record/test_record_leaves.py::test_the_name_that_a_card_is_made_with_is_the_data_set_s_title": _dataset(
        "train", "title"
    ),
    "capture/test_predictions.py::test_each_data_set_says_what_looked_at_it": _dataset(
        "eval", "used_by"
    ),
    "record/test_record_leaves.py::test_evaluation_sets_of_an_encoder_and_streams_are_told_like_those_of_training": (
        _dataset("eval", "encoder_inputs", "packed", "packed_texts", "probability")
        + _dataset("train", "encoder_inputs")
    ),
    "capture/test_data.py::test_the_preprocessing_is_that_of_the_trainer_s_own_objects": (
        "data.preprocessing.tokenizer",
        "data.preprocessing.vocabulary_count",
        "data.preprocessing.padding_side",
        "data.preprocessing.collator",
    ),
    "capture/test_tokens.py::test_of_many_rows_the_card_says_which_were_looked_at": (
        "data.preprocessing.longest_input_rows",
    ),
    "capture/test_evaluation.py::test_a_prediction_s_figures_are_told_apart": (
        "evaluation.results[].name",
        "evaluation.results[].value",
        "evaluation.results[].dataset",
        "evaluation.results[].split",
    ),
    "truth/evaluation.py::weights_evaluated": ("evaluation.results[].step",),
    "capture/test_evaluation.py::test_results_are_those_of_the_weights_that_were_loaded_at_the_end": (
        "evaluation.best.value",
        "evaluation.best.step",
        "evaluation.best.loaded",
    ),
    "record/test_record_leaves.py::test_the_best_evaluation_names_the_metric_that_was_asked_for": (
        "evaluation.best.metric",
    ),
    "capture/test_hardware.py::test_only_the_gpus_that_the_run_uses_are_named_and_counted": (
        "hardware.gpus[].name",
        "hardware.gpus[].count",
        "hardware.gpus[].memory_bytes",
        "hardware.cuda_runtime_version",
    ),
    "capture/test_hardware.py::test_the_machine_is_described_as_others_describe_it": (
        "hardware.cpu_model",
        "hardware.cpu_count",
        "hardware.cpu_count_node",
        "hardware.ram_bytes",
    ),
    "record/test_record_leaves.py::test_a_training_on_the_cpu_has_no_peak_of_a_gpu_and_says_why": (
        "hardware.peak_memory_bytes",
    ),
    "record/test_record_leaves.py::test_slots_remember_the_text_that_stands_in_the_card": (
        "slots",
    ),
    "record/test_record_leaves.py::test_methods_stand_beside_the_figures_that_they_explain": (
        "time.flops_estimate_method",
        "time.peak_share_method",
    ),
    "record/test_record_leaves.py::test_the_peak_of_memory_is_that_of_the_operating_system": (
        "hardware.peak_ram_bytes",
    ),
    "capture/test_code.py::test_the_commit_and_the_script_s_place_in_the_repository_are_told": (
        "code.commit",
        "code.script",
    ),
    "capture/test_launcher.py::test_a_manager_is_known_by_its_variable_and_only_the_number_of_the_job_is_told": (
        "job.workload_manager",
        "job.job_id",
    ),
    "truth/machine.py::machine_of": ("job.world_size",),
    "truth/machine.py::sums_of": ("energy.total_kwh", "emissions.co2eq_g"),
    "energy/test_gpu_card.py::test_gpu_energy_is_that_of_the_counters_at_begin_and_end": (
        "time.gpu_s",
        "energy.gpu_kwh",
        "energy.codecarbon_gpu_kwh",
    ),
    "totals/test_totals.py::test_legs_and_hosts_are_added_up": (
        "time.allocated_gpu_s",
        "emissions.country_iso_code",
        "emissions.country_name",
    ),
    "runtime/test_restarts.py::test_what_was_repeated_is_told_in_steps_seconds_and_joules": (
        "time.repeated_s",
        "time.repeated_steps",
    ),
    "runtime/test_first_card.py::test_energy_is_the_sum_of_its_parts_and_co2_is_energy_times_intensity": (
        "energy.cpu_kwh",
        "energy.ram_kwh",
        "emissions.intensity_g_per_kwh",
        "emissions.intensity_year",
    ),
    "totals/test_totals.py::test_pue_counts_only_where_it_was_given": ("energy.facility_kwh",),
    "record/test_record_leaves.py::test_what_a_person_gave_is_told_as_it_was_given": (
        "emissions.pue",
        "emissions.wue_l_per_kwh",
        "emissions.place_source",
        "emissions.region",
        "emissions.market_based_co2eq_g",
        "settings",
    ),
    "totals/test_totals.py::test_each_leg_has_the_intensity_of_its_place": (
        "emissions.intensity_source",
    ),
    "energy/test_meter.py::test_a_board_without_a_counter_is_measured_by_its_power_and_said_to_be": (
        "energy.sources",
    ),
    "record/test_record_leaves.py::test_the_boundary_of_the_energy_is_the_one_that_was_measured": (
        "energy.boundary",
    ),
    "energy/test_join_hosts.py::test_a_host_of_which_nothing_was_heard_leaves_no_total_and_what_was_heard_stands_apart": (
        "energy.reported_kwh",
        "emissions.reported_co2eq_g",
    ),
    "runtime/test_search.py::test_the_card_says_how_many_trials_there_were_and_how_long_they_took": (
        "search.backend",
        "search.trials",
        "search.wall_clock_s",
    ),
    "runtime/test_search.py::test_the_energy_of_the_trials_is_that_of_their_seconds": (
        "search.total_kwh",
    ),
    "reconcile/test_reconcile.py::test_each_layout_of_sacct_gives_the_sum_of_the_starts_and_no_step_twice": (
        "reconciliations[].metered_kwh",
        "reconciliations[].components_kwh",
        "reconciliations[].ratio",
        "reconciliations[].unmetered_kwh",
        "reconciliations[].window_s",
        "reconciliations[].nodes",
    ),
    "reconcile/test_reconcile.py::test_two_sources_stand_side_by_side": (
        "reconciliations[].kind",
        "reconciliations[].source",
        "reconciliations[].covers",
        "reconciliations[].parts",
        "reconciliations[].legs",
    ),
}
