"""Figures of other meters, beside the sum of the components: compared, never put in its place.

`ask` runs Slurm's `sacct`, `sacct_rows` and `sacct` parse what it prints, `leg_jobs` names a run's
jobs, `jobs` selects their starts and adds them up, `leg_match` and `run_jobs` find the legs that
they saw, `meters` describes what a figure covers, `compare` compares it with the record and
`reconcile` writes the comparison into the record and its cards. Nothing heavy is imported.
"""
