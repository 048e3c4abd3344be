"""Data sets and preprocessing, against what `datasets` and the collator do."""

import subprocess
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset, IterableDataset, concatenate_datasets, load_dataset, load_from_disk

from autocard.capture.data import data, token_lengths
from autocard.record import empty_leaves
from autocard.record.gaps import joined, under
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import hub_data, models
from support.hub_data import SHA

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def loader(rows, collate=None):
    return SimpleNamespace(dataset=rows, collate_fn=collate)


def look(rows, settings=None, collate=None, processing_class=None, **args):
    seen = observe(
        settings or Settings(),
        SimpleNamespace(**args),
        None,
        model=torch.nn.Linear(1, 1),
        processing_class=processing_class,
        train_dataloader=loader(rows, collate),
    )
    part = data.capture(seen)
    missing = under("data", part.gaps)
    assert [path for path in empty_leaves(part.value, "data") if path not in missing] == []
    return part.value, missing


def only(part):
    (entry,) = part.train
    return entry


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    """A real run with two evaluation sets; what was captured at the start and at each evaluation."""
    sets = []

    class Evaluations(models.Watch):
        def on_evaluate(self, args, state, control, metrics=None, **objects):
            super().on_evaluate(args, state, control, **objects)
            sets.append(data.evaluation_set(self.seen, metrics))

    watch = Evaluations(lambda seen: data.capture(seen).value)
    models.train(
        models.bert(),
        models.tokens(16),
        tmp_path_factory.mktemp("run"),
        watch,
        trainer={
            "processing_class": models.tokenizer(),
            "eval_dataset": {"easy": models.tokens(4), "hard_b": models.tokens(6)},
        },
        eval_strategy="steps",
        eval_steps=2,
    )
    return watch.result, sets


def test_a_data_set_from_memory_is_described_and_not_named(ordinary):
    entry = only(ordinary[0])

    assert entry.dataset_id is None
    assert entry.description == "an in-memory dataset"
    assert entry.rows == 16
    # what the trainer left of them
    assert sorted(entry.columns) == ["attention_mask", "input_ids", "label"]
    assert entry.inferred is None


def test_the_preprocessing_is_that_of_the_trainer_s_own_objects(ordinary):
    found = ordinary[0].preprocessing

    assert found.collator == "DataCollatorWithPadding"
    assert found.tokenizer == type(models.tokenizer()).__name__
    assert found.vocabulary_count == len(models.WORDS)
    assert found.max_length == 32
    assert found.longest_input == max(len(row) for row in models.tokens(16)["input_ids"])
    assert (found.padding_side, found.truncation_side) == ("right", "right")


def test_the_sides_where_a_tokenizer_fills_and_cuts_are_told_apart():
    tokenizer = models.tokenizer()
    tokenizer.padding_side, tokenizer.truncation_side = "right", "left"

    found = look(models.texts(), processing_class=tokenizer)[0].preprocessing

    assert (found.padding_side, found.truncation_side) == ("right", "left")
    assert (
        tokenizer("the cat sat on", truncation=True, max_length=2)["input_ids"]
        == tokenizer("sat on")["input_ids"]
    )


def test_each_evaluation_set_is_named_as_its_metrics_are(ordinary):
    assert [(entry.name, entry.rows) for entry in ordinary[1]] == [("easy", 4), ("hard_b", 6)]


def test_the_reasons_of_an_evaluation_set_are_complete(ordinary):
    part = joined(data.as_part(one) for one in ordinary[1])

    assert part.value == ordinary[1]
    assert [path for path in empty_leaves(part.value) if path not in part.gaps] == []


def test_a_set_of_one_s_own_prefix_gives_it_as_the_name():
    assert data.set_name({"test_runtime": 1.0, "test_loss": 2.0}) == "test"
    assert data.set_name({"eval_runtime": 1.0}) is None
    assert data.set_name({}) is None


def test_no_evaluation_loader_is_no_evaluation_set():
    assert data.evaluation_set(observe(Settings(), None, None), {"eval_loss": 1.0}) is None


def test_one_id_from_a_person_names_the_data_set():
    entry = only(look(models.texts(), Settings(datasets=("org/data",)))[0])

    assert (entry.dataset_id, entry.inferred, entry.rows) == ("org/data", False, 16)


def test_several_ids_from_a_person_stand_beside_the_joined_rows():
    part, _ = look(models.texts(), Settings(datasets=("org/a", "org/b")))

    assert [entry.dataset_id for entry in part.train] == [None, "org/a", "org/b"]
    assert part.train[0].description == "2 datasets, combined"
    assert part.train[0].rows == 16


def cached(tmp_path, monkeypatch, card=True):
    """Load rows by their name, out of the caches that a download leaves."""
    hub_data.lay(
        tmp_path,
        "Open-Orca/SlimOrca",
        {"train": models.texts(), "test": models.texts(4)},
        card=card,
    )
    return hub_data.load(tmp_path, "Open-Orca/SlimOrca", monkeypatch)


def test_the_cache_proves_id_and_commit_of_a_hub_data_set(tmp_path, monkeypatch):
    rows = cached(tmp_path, monkeypatch)

    entry = only(look(rows.select(range(8)).filter(lambda row: row["label"] == 0))[0])

    assert (entry.dataset_id, entry.revision, entry.inferred) == ("Open-Orca/SlimOrca", SHA, True)
    assert (entry.config, entry.split, entry.rows) == ("default", "train", 4)


def test_a_name_in_snake_case_alone_is_not_made_into_an_id(tmp_path, monkeypatch):
    rows = cached(tmp_path, monkeypatch, card=False)

    entry = only(look(rows)[0])

    assert entry.dataset_id is None
    assert entry.description == "a Hub dataset (exact ID not in the local cache)"


# -- mixtures --------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path, monkeypatch):
    """Two data sets of the Hub, of 16 and 4 rows."""
    hub_data.lay(tmp_path, "Open-Orca/SlimOrca", {"train": models.texts(16)})
    hub_data.lay(tmp_path, "org/other", {"train": models.texts(4)}, sha="f" * 40)
    return [
        hub_data.load(tmp_path, name, monkeypatch) for name in ("Open-Orca/SlimOrca", "org/other")
    ]


def test_joined_data_sets_of_the_hub_are_told_one_by_one_with_their_rows(two):
    from datasets import concatenate_datasets

    part, _ = look(concatenate_datasets([two[0], two[1].select([0, 1, 2])]))

    assert [(one.dataset_id, one.split, one.rows) for one in part.train] == [
        ("Open-Orca/SlimOrca", "train", 16),
        ("org/other", "train", 3),
    ]
    assert [one.revision for one in part.train] == [SHA, "f" * 40]


def test_of_interleaved_data_sets_the_rows_that_were_drawn_are_counted(two):
    from datasets import interleave_datasets

    first, second = (
        rows.add_column("from", [number] * len(rows)) for number, rows in enumerate(two)
    )
    plain = interleave_datasets(two, probabilities=[0.5, 0.5], seed=1)
    told = interleave_datasets([first, second], probabilities=[0.5, 0.5], seed=1)["from"]

    part, _ = look(plain)

    assert [one.rows for one in part.train] == [list(told).count(0), list(told).count(1)]


def test_what_was_mapped_after_joining_is_not_told_to_be_the_first_alone(two):
    from datasets import concatenate_datasets

    mapped = concatenate_datasets(two).map(lambda row: {"length": len(row["text"])})
    assert "slim_orca" in mapped.cache_files[0]["filename"]  # it lies in the first one's folder

    entry = only(look(mapped)[0])

    assert entry.dataset_id is None
    assert entry.description == "a combination of Hub datasets (which ones is not recorded)"


def test_interleaved_streams_are_told_with_their_shares():
    from datasets import interleave_datasets

    first, second = (models.texts(rows).to_iterable_dataset() for rows in (4, 8))
    mixed = interleave_datasets([first, second], probabilities=[0.75, 0.25], seed=3).map(
        lambda row: row
    )

    part, _ = look(mixed.shuffle(buffer_size=4, seed=1))

    assert [one.probability for one in part.train] == [0.75, 0.25]
    assert [one.streaming for one in part.train] == [True, True]


def test_a_data_set_in_several_files_is_one():
    from datasets import concatenate_datasets

    part, _ = look(concatenate_datasets([models.texts(4), models.texts(8)]))

    assert only(part).rows == 12


def test_tokens_are_those_of_the_rows_that_are_trained_on():
    rows = Dataset.from_dict({"input_ids": [[1] * length for length in (9, 2, 3, 4)]})

    assert only(look(rows)[0]).tokens == 18
    assert only(look(rows.select([3, 1]))[0]).tokens == 6
    assert only(look(models.texts())[0]).tokens is None


def test_what_a_person_names_otherwise_loses_what_was_found_of_the_other(tmp_path, monkeypatch):
    rows = cached(tmp_path, monkeypatch)

    same = only(look(rows, Settings(datasets=("Open-Orca/SlimOrca",)))[0])
    other = only(look(rows, Settings(datasets=("org/copy",)))[0])

    assert (same.revision, same.inferred) == (SHA, False)
    assert (other.dataset_id, other.revision) == ("org/copy", None)


def test_local_files_are_told_without_their_path(tmp_path):
    (tmp_path / "private.csv").write_text("text,label\na,1\nb,0\n")
    rows = load_dataset(
        "csv",
        data_files={"train": str(tmp_path / "private.csv")},
        cache_dir=str(tmp_path / "cache"),
        split="train",
    )

    part, missing = look(rows)

    assert only(part).description == "local files (csv)"
    assert (only(part).split, only(part).rows) == ("train", 2)
    assert "private" not in part.model_dump_json() + str(missing)
    assert str(tmp_path) not in part.model_dump_json() + str(missing)


def test_a_local_folder_s_name_is_not_told(tmp_path):
    (tmp_path / "secretfolder").mkdir()
    (tmp_path / "secretfolder" / "a.csv").write_text("text,label\na,1\n")
    rows = load_dataset(
        str(tmp_path / "secretfolder"), cache_dir=str(tmp_path / "cache"), split="train"
    )

    part, _ = look(rows)

    assert only(part).description == "local files"
    assert "secretfolder" not in part.model_dump_json()


@pytest.mark.parametrize("how", ["map", "save_to_disk", "joined"])
def test_rows_from_memory_that_a_cache_keeps_are_not_called_local_files(tmp_path, how):
    rows = Dataset.from_dict({"text": ["a", "b"], "label": [0, 1]})
    if how == "save_to_disk":
        rows.save_to_disk(tmp_path / "kept")
        rows = load_from_disk(tmp_path / "kept")
    else:
        rows = rows.map(lambda row: row, cache_file_name=str(tmp_path / "kept.arrow"))
    if how == "joined":
        rows = concatenate_datasets([rows, Dataset.from_dict({"text": ["c"], "label": [1]})])

    part, _ = look(rows)

    said = [entry.description for entry in part.train]
    assert rows.cache_files
    assert not [words for words in said if "local files" in words.lower()]
    assert any("source not recorded" in words for words in said)


def test_local_files_that_were_joined_are_local_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("text,label\na,1\n")
    files = [str(tmp_path / f"{name}.csv") for name in ("a", "b")]
    joined = concatenate_datasets(
        [
            load_dataset("csv", data_files=one, cache_dir=str(tmp_path / "c"))["train"]
            for one in files
        ]
    )

    part, _ = look(joined)

    assert {entry.description for entry in part.train} == {"local files"}


def test_a_stream_has_no_rows_and_says_why():
    part, missing = look(models.texts().to_iterable_dataset())

    assert only(part).rows is None
    assert "stream" in missing["data.train.0.rows"]
    assert only(part).description == "a streamed dataset"


def test_a_stream_from_the_hub_names_id_and_commit():
    file = f"hf://datasets/Open-Orca/SlimOrca@{SHA}/data/train.parquet"

    def rows(files):
        yield {"a": len(files)}

    stream = IterableDataset.from_generator(rows, gen_kwargs={"files": [file]}).map(lambda row: row)

    entry = only(look(stream)[0])

    assert (entry.dataset_id, entry.revision, entry.inferred) == ("Open-Orca/SlimOrca", SHA, True)


def test_a_torch_data_set_is_told_by_its_class():
    class MyRows(torch.utils.data.Dataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            msg = "rows are private: nobody reads them"
            raise AssertionError(msg)

    entry = only(look(MyRows())[0])

    assert entry.description == "a custom MyRows dataset"
    assert entry.rows == 5


def test_a_torch_stream_has_no_rows():
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(())

    assert only(look(Stream())[0]).rows is None


def test_joined_data_sets_are_told_one_by_one():
    joined = torch.utils.data.ConcatDataset([models.texts(4), models.texts(8)])

    part, _ = look(joined)

    assert [entry.rows for entry in part.train] == [4, 8]


def test_no_loader_at_all_is_a_reason():
    part = data.capture(observe(Settings(), SimpleNamespace(), None, model=torch.nn.Linear(1, 1)))

    assert part.value.train == []
    assert "no training data" in part.gaps["train"]


# -- lengths ---------------------------------------------------------------------------------------


def test_lengths_are_read_without_calling_a_transform():
    rows = models.tokens(8)

    def transform(batch):
        msg = f"a transform of the user's may draw random numbers: {batch}"
        raise AssertionError(msg)

    rows.set_transform(transform)

    assert look(rows)[0].preprocessing.longest_input == 8


def test_lengths_of_shuffled_rows_are_those_of_the_chosen_rows():
    rows = Dataset.from_dict({"input_ids": [[1] * length for length in (9, 2, 3, 4)]}).select(
        [3, 1]
    )

    assert look(rows)[0].preprocessing.longest_input == 4


def test_only_the_first_rows_are_looked_at():
    rows = Dataset.from_dict({"input_ids": [[1]] * token_lengths.LOOKED_AT_ROWS + [[1] * 50]})

    assert look(rows)[0].preprocessing.longest_input == 1


def test_inputs_are_cut_where_the_tokenizer_last_cut_if_the_rows_agree():
    cut = models.tokenizer()
    encoded = cut(["the cat sat on a mat"] * 3, truncation=True, max_length=4)
    rows = Dataset.from_dict({"input_ids": encoded["input_ids"]})
    assert look(rows, processing_class=cut)[0].preprocessing.max_length == 4

    longer = Dataset.from_dict({"input_ids": [[1] * 9]})

    assert look(longer, processing_class=cut)[0].preprocessing.max_length == 32


def test_trl_s_own_limit_and_packing_win():
    found = look(models.tokens(), processing_class=models.tokenizer(), max_length=20, packing=True)[
        0
    ].preprocessing

    assert (found.max_length, found.packing) == (20, True)


def test_a_tokenizer_without_a_limit_gives_none():
    endless = models.tokenizer()
    endless.model_max_length = int(1e30)

    part, missing = look(models.texts(), processing_class=endless)

    assert part.preprocessing.max_length is None
    assert "no limit" in missing["data.preprocessing.max_length"]


def test_collators_are_told_without_the_trainer_s_wrappers():
    import functools

    from transformers import default_data_collator
    from transformers.trainer_utils import RemoveColumnsCollator

    wrapped = RemoveColumnsCollator(
        functools.partial(default_data_collator, return_tensors="pt"), ["input_ids"]
    )

    assert (
        look(models.texts(), collate=wrapped)[0].preprocessing.collator == "default_data_collator"
    )
    assert (
        look(models.texts(), collate=lambda rows: rows)[0].preprocessing.collator
        == "a function without a name"
    )


def test_a_tokenizer_inside_the_collator_is_found():
    from transformers import DataCollatorWithPadding

    found = look(models.tokens(), collate=DataCollatorWithPadding(models.tokenizer()))[
        0
    ].preprocessing

    assert found.vocabulary_count == len(models.WORDS)


def test_the_collator_tells_how_it_pads():
    from transformers import (
        DataCollatorForLanguageModeling,
        DataCollatorWithFlattening,
        DataCollatorWithPadding,
        default_data_collator,
    )

    words = models.tokenizer()
    ways = [
        (DataCollatorWithPadding(words), "longest"),
        (DataCollatorWithPadding(words, padding="max_length", max_length=20), "max_length"),
        (DataCollatorForLanguageModeling(words, mlm=False), "longest"),
        (DataCollatorWithFlattening(), "none"),
        (default_data_collator, "none"),
    ]

    for collator, padding in ways:
        assert look(models.tokens(), collate=collator)[0].preprocessing.padding == padding
    assert look(models.tokens(), collate=lambda rows: rows)[0].preprocessing.padding is None


def test_a_chat_template_is_told_by_its_hash_alone():
    words = models.tokenizer()
    words.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

    found = look(models.texts(), processing_class=words)[0].preprocessing

    told = subprocess.run(
        ["sha256sum"], input=words.chat_template.encode(), capture_output=True, check=True
    ).stdout
    assert found.chat_template_sha256 == told.decode().split()[0]
    assert "message" not in found.model_dump_json()


def test_an_image_processor_tells_the_size_that_the_model_is_shown():
    from transformers.image_processing_base import ImageProcessingMixin
    from transformers.image_utils import SizeDict

    def shown(**settings):
        return look(models.texts(), processing_class=ImageProcessingMixin(**settings))[
            0
        ].preprocessing.image_size_px

    assert shown(size={"height": 24, "width": 32}) == [24, 32]
    crop = {"do_center_crop": True, "crop_size": SizeDict(height=30, width=30)}
    assert shown(size=SizeDict(shortest_edge=40), **crop) == [30, 30]
    assert shown(
        size={"shortest_edge": 40}, do_center_crop=False, crop_size={"height": 30, "width": 30}
    ) == [40]
    assert shown(size={"height": 24, "width": 32}, do_resize=False) == []


def test_a_feature_extractor_tells_its_sampling_rate():
    from transformers import Wav2Vec2FeatureExtractor

    found = look(models.texts(), processing_class=Wav2Vec2FeatureExtractor(sampling_rate=8000))[
        0
    ].preprocessing

    assert found.sampling_rate_hz == 8000


def test_an_image_processor_has_no_vocabulary():
    class Images:
        """An image processor has neither length nor padding side."""

    part, missing = look(models.texts(), processing_class=Images())

    assert part.preprocessing.tokenizer == "Images"
    assert part.preprocessing.vocabulary_count is None
    assert "tokenizer" in missing["data.preprocessing.vocabulary_count"]
