"""GPUs: which of them the run uses, and their energy counters."""
