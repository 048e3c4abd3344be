"""Usage code in the cards of libraries: the name by which it loads the model."""

from __future__ import annotations

import re

HERE = "# In the folder that holds this card"
"""The comment above code that loads the model from "."."""
_NAMELESS = re.compile(
    r'"(?:sentence_transformers|cross_encoder|sparse_encoder|multi_vector_encoder)_model_id"'
)
"""Placeholder of sentence-transformers for a model without a repository."""
_DOWNLOAD = "# Download from the 🤗 Hub"


def at_home(text: str) -> str:
    """Return a sentence-transformers card whose usage code loads the model from its folder."""
    if not _NAMELESS.search(text):
        return text
    return _NAMELESS.sub('"."', text).replace(_DOWNLOAD, HERE)
