"""The worker: the process that measures, and the training process's side of it."""
