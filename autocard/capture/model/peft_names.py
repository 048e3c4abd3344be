"""PEFT's names of methods, settings and variants → the ones that records and cards have.

A new method of PEFT gets a line in `METHODS`; a new setting that may be published is added to
`ALLOWED`.
"""

from __future__ import annotations

METHODS = {
    "LORA": "LoRA",
    "ADALORA": "AdaLoRA",
    "IA3": "IA³",
    "LOHA": "LoHa",
    "LOKR": "LoKr",
    "OFT": "OFT",
    "BOFT": "BOFT",
    "HRA": "HRA",
    "VERA": "VeRA",
    "VBLORA": "VB-LoRA",
    "RANDLORA": "RandLoRA",
    "FOURIERFT": "FourierFT",
    "XLORA": "X-LoRA",
    "MISS": "MiSS",
    "C3A": "C3A",
    "ROAD": "RoAd",
    "SHIRA": "SHiRA",
    "LN_TUNING": "LN tuning",
    "POLY": "Polytropon",
    "TRAINABLE_TOKENS": "trainable tokens",
    "PROMPT_TUNING": "prompt tuning",
    "MULTITASK_PROMPT_TUNING": "multitask prompt tuning",
    "P_TUNING": "P-tuning",
    "PREFIX_TUNING": "prefix tuning",
    "ADAPTION_PROMPT": "adaption prompt (LLaMA-Adapter)",
    "CPT": "context-aware prompt tuning",
    "CARTRIDGE": "Cartridge (trained key-value prefix)",
    "ADAMSS": "AdaMSS",
    "BEFT": "BEFT",
    "DEFT": "DEFT",
    "DELORA": "DeLoRA",
    "FROD": "FRoD",
    "GLORA": "GLoRA",
    "GRALORA": "GraLoRA",
    "HIRA": "HiRA",
    "LILY": "Lily",
    "OSF": "OSF",
    "PEANUT": "PEANuT",
    "PSOFT": "PSOFT",
    "PVERA": "PVeRA",
    "SHADOW": "Shadow",
    "SUPERTUNING": "Supertuning",
    "TINYLORA": "TinyLoRA",
    "UNILORA": "UniLoRA",
    "WAVEFT": "WaveFT",
}
"""PEFT's name of a method → its own; a method that is not listed keeps PEFT's name."""

_LORA = """
r lora_alpha lora_dropout target_modules exclude_modules target_parameters bias use_dora use_rslora
use_qalora init_lora_weights rank_pattern alpha_pattern modules_to_save layers_to_transform
layers_pattern layer_replication lora_bias fan_in_fan_out trainable_token_indices
ensure_weight_tying task_type
"""

_OTHERS = """
alpha apply_GS block_share block_size boft_block_num boft_block_size boft_dropout
boft_n_butterfly_factor coft d_initial decompose_both decompose_factor delora_lambda depth
effective_rank encoder_dropout encoder_hidden_size encoder_num_layers
encoder_reparameterization_type feedforward_modules gralora_dropout gralora_k group_size
hira_dropout hybrid_r init_ia3_weights init_r init_weights lambda_pattern mask_type mini_r
miss_dropout module_dropout n_frequency n_skills n_splits n_tasks num_ranks num_tasks num_vectors
num_virtual_tokens oft_block_size poly_type prefix_projection projection_prng_key prompt_tuning_init
proportional_parameters randlora_alpha randlora_dropout rank_dropout scaling sparse sparsity
target_r tfinal tinit token_indices topk top_k_lora unilora_dropout use_effective_conv2d variant
vblora_dropout vector_length vera_dropout very_sparse adapter_layers adapter_len deltaT
orth_reg_weight total_step xlora_depth xlora_dropout_p xlora_size ab_svd_init act_fn
auxiliary_loss_weight beta1 beta2 block_size_pattern cayley_neumann_eps decomposition_method
deft_dropout eps frod_dropout generator_seed global_scaling_weight init_logits_std init_scale
init_theta_d_bound init_v_bound init_vector_bank_bound layerwise_scalings n_frequency_pattern num_B
num_cayley_neumann_terms num_frozen_tokens num_subspaces opt_loss_decay_factor
opt_weighted_loss_type para proj_seed projection_seed prompt_tuning_init_task psoft_alpha
psoft_dropout psoft_mag_a psoft_mag_b psoft_orth pvera_dropout random_loc_seed random_seed
rank_dropout_scale regularization_alpha select_top shadow_alpha shadow_dropout shadow_hidden_size
shadow_intermediate_size shadow_num_attention_heads shadow_num_hidden_layers share_embeddings
softmax_temperature sparse_rate stride_A subspace_rank svd_threshold theta_d_length tinylora_dropout
u update_hidden_size use_asa use_cayley_neumann use_dynamic_rank use_idwt use_trainable_adapters
wavelet_family weight_tying
"""

ALLOWED = frozenset((_LORA + _OTHERS).split())
"""Settings that may be published: numbers, flags, PEFT's own words, and names of modules."""

INITIALIZATIONS = {
    "pissa": "PiSSA",
    "olora": "OLoRA",
    "corda": "CorDA",
    "eva": "EVA",
    "loftq": "LoftQ",
    "lora_ga": "LoRA-GA",
    "orthogonal": "orthogonal initialization",
    "mica": "MiCA",
}
VARIANTS = {
    "use_rslora": "rank-stabilized",
    "use_qalora": "QA-LoRA",
    "alora_invocation_tokens": "aLoRA",
    "arrow_config": "Arrow routing",
    "use_bdlora": "BD-LoRA",
    "kasa_config": "KaSA",
    "velora_config": "VeLoRA",
    "monteclora_config": "MonteCLoRA",
}
"""Settings of LoraConfig that make a variant of it → its name (peft, tuners/lora/config.py)."""
