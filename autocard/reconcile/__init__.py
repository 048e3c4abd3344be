"""What others measured of the same run, beside the sum of its components: compared, never put in its place.

`sacct` reads what Slurm's accounting prints, `ask` has it print that, `jobs` finds the run's and
adds them up, `meters` says what a figure covers, `compare` holds it against the record, `reconcile`
puts the outcome into the record and its cards. Nothing heavy is imported.
"""
