"""What the tests share: tiny models, sample records, and stand-ins for GPUs, the Hub and Slurm.

This file imports nothing of the project: processes that tests start read paths from it.
"""

from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
TESTS = SUPPORT.parent
ROOT = TESTS.parent
