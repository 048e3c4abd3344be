"""Figures of other meters, beside the sum of the components: compared, never put in its place.

`ask` runs Slurm's `sacct`, `sacct_rows` and `sacct` parse what it prints, `jobs` selects the run's
starts and adds them up, `leg_match` finds the legs that they saw, `meters` describes what a figure
covers, `compare` compares it with the record, `reconcile` writes the comparison into the record and
its cards. Nothing heavy is imported.
"""
