"""The matrix of set-ups: ways to train, each with a tiny model in some tenths of a second.

`tests/support/train_setups.py FOLDER` trains them all and prints, as JSON, what the oracles of `truth` say
of each. `docs/make_matrix.py` makes a page of that, `tests/project/test_matrix.py` holds the page to it,
`benchmarks/peers.py` reads the cards of these set-ups.
"""

from setups import architectures, libraries, loops, weights
from setups.common import SETUPS, Setup

__all__ = ["SETUPS", "Setup", "architectures", "libraries", "loops", "weights"]
