"""The data sets, and what stood between rows and tensors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocard.record.base import Frozen, Scalar


class Dataset(Frozen):
    """One data set, as the run saw it."""

    dataset_id: str | None = None
    """Hub id. Never a path."""
    description: str | None = None
    """Where there is no id: what can honestly be said."""
    title: str = ""
    """What a person called it in code (`create_model_card(dataset=…)`); empty: nothing."""
    name: str | None = None
    """Which of several (the key of an evaluation set)."""
    revision: str | None = None
    """Commit on the Hub."""
    config: str | None = None
    """Configuration (subset)."""
    split: str | None = None
    """train, test, …"""
    rows: int | None = None
    """Rows that the run saw, after selection and packing."""
    columns: list[str] = Field(default_factory=list)
    """Column names."""
    tokens: int | None = None
    """Token ids in these rows; padding that stands in them is counted, that of the batches is not.
    """
    tokens_without_padding: int | None = None
    """Those of `tokens` that are not padding, by the attention mask or the token that pads."""
    encoder_inputs: bool = False
    """Whether `tokens` are those of an encoder alone; the decoder's are in other columns."""
    packed: bool = False
    """Whether each row holds several texts (TRL's packing)."""
    packed_texts: int | None = None
    """Texts that were packed into these rows."""
    streaming: bool | None = None
    """Whether the rows were read as a stream, without a length or an order of their own."""
    probability: float | None = None
    """Share of this part in a mixture that draws rows at random, 0 to 1, as it was asked for."""
    used_by: Literal["train", "evaluate", "predict"] | None = None
    """What used it."""
    inferred: bool | None = None
    """True: the id was worked out from the data set's traces; False: a person gave it."""


class Preprocessing(Frozen):
    """What stood between rows and tensors."""

    tokenizer: str | None = None
    """Class of tokenizer or processor."""
    vocabulary_count: int | None = None
    """Size of the vocabulary, added tokens included."""
    max_length: int | None = None
    """Tokens. Longest input that the tokenizer accepts."""
    max_length_applied: bool = False
    """Whether rows are known to be cut at `max_length`; False: it is a limit that may have cut none
    of them."""
    longest_input: int | None = None
    """Tokens, without padding. Longest row in the first rows; None: no rows were read."""
    longest_input_rows: int | None = None
    """Rows that were read for it."""
    padding_side: str | None = None
    """left or right."""
    truncation_side: str | None = None
    """left or right: where the tokenizer cuts what is longer than it accepts."""
    collator: str | None = None
    """Class or function that makes batches."""
    packing: bool | None = None
    """Several rows in one sequence (TRL)."""
    padding: str | None = None
    """Up to which length the collator fills batches: longest, max_length, none."""
    masking: dict[str, Scalar] = Field(default_factory=dict)
    """How the collator masks tokens for masked language modeling: probability (0 to 1),
    whole_words."""
    chat_template_sha256: str | None = None
    """SHA-256 of the tokenizer's chat template in UTF-8, 64 hexadecimal digits; the template itself
    is not kept."""
    image_size_px: list[int] = Field(default_factory=list)
    """Height and width that images are brought to; one number: of the shortest edge."""
    image_mean: list[float] = Field(default_factory=list)
    """What is subtracted from each channel, after rescaling to 0 to 1; empty: images are not
    normalized."""
    image_std: list[float] = Field(default_factory=list)
    """What each channel is then divided by."""
    sampling_rate_hz: int | None = None
    """Of the sound that the processor takes."""


class Data(Frozen):
    """Data sets and preprocessing."""

    train: list[Dataset] = Field(default_factory=list)
    """Training data; several where they were mixed."""
    eval: list[Dataset] = Field(default_factory=list)
    """Evaluation data, one for each set."""
    preprocessing: Preprocessing = Field(default_factory=Preprocessing)
    """Tokenizer, lengths, collator."""
