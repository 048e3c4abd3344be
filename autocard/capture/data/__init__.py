"""The data sets of the run, and what stood between rows and tensors."""
