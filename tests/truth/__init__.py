"""What a training was, as a person would work it out, held against what record and card say of it.

Shares no code with autocard: counts come from the tensors, settings from the arguments, versions
from the installed packages, rows from the data sets, times from a clock of its own around the
events, figures from the trainer's log. `Watch` (conftest.py) checks each training of the suite that
runs in the tests' own process, in some milliseconds. What an oracle cannot judge, such as a mixed
or sharded data set, it leaves alone.
"""

from truth.base import names_of_base
from truth.card import OF_CARD
from truth.children import Findings, environment
from truth.common import Truth, Weights
from truth.judge import judged
from truth.watch import PENDING, Watch

__all__ = [
    "OF_CARD",
    "PENDING",
    "Findings",
    "Truth",
    "Watch",
    "Weights",
    "environment",
    "judged",
    "names_of_base",
]
