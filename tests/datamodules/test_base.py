"""The four splits as loaders: order, ranges, ids, seeds, and what setup checks and writes."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from datamodules import DataError, RetrievalDataModule
from datamodules.manifest import fingerprint
from lightning_modules.types import Batch
from tests.datamodules.grouped import grouped

SIZES = {"size": 6, "query": 6, "val": 5, "train": 7, "database": 17, "batch_size": 5}


class MemoryDataModule(RetrievalDataModule):
    def __init__(self, source, **options):
        super().__init__(**grouped(**options))
        self.opened, self._source = 0, source

    def load_source(self):
        self.opened += 1
        return self._source


@pytest.fixture
def make(memory, tmp_path):
    def build(source=None, **options):
        module = MemoryDataModule(source or memory(), cache_dir=str(tmp_path), **(SIZES | options))
        module.setup("fit")
        return module

    return build


def _ids(loader):
    return sum((batch.ids for batch in loader), ())


def _same(first: Batch, second: Batch) -> bool:
    return (
        torch.equal(first.image, second.image)
        and torch.equal(first.label, second.label)
        and torch.equal(first.index, second.index)
        and (first.ids, first.captions) == (second.ids, second.captions)
    )


def test_test_loaders_are_database_and_queries(make):
    module = make()
    database, queries = module.test_dataloader()
    assert _ids(database) == module.ids("database")
    assert _ids(queries) == module.ids("query")
    assert [len(batch) for batch in database] == [5, 5, 5, 2]
    assert [len(batch) for batch in queries] == [5, 1]


def test_val_loaders_are_database_and_validation_queries(make):
    module = make()
    database, queries = module.val_dataloader()
    assert _ids(database) == tuple(i for i in module.ids("database") if i not in module.ids("val"))
    assert _ids(queries) == module.ids("val")


def test_predict_loader_is_the_queries(make):
    module = make()
    assert _ids(module.predict_dataloader()) == module.ids("query")


@pytest.mark.parametrize("keep", range(1, 14))
def test_validation_ranks_a_spread_part_of_the_database(make, keep):
    module = make(val_database=keep)
    ids = _ids(module.val_dataloader()[0])
    places = [module.ids("val_database").index(i) for i in ids]
    assert len(set(places)) == len(places) == min(keep, 12)
    assert places == sorted(places)
    assert places[0] == 0
    if keep > 1:
        assert places[-1] == 11
        assert max(np.diff(places)) - min(np.diff(places)) <= 1
    assert len(_ids(module.test_dataloader()[0])) == 17


def test_a_batch_is_what_the_source_holds(make):
    module = make()
    for split, loader in (("database", module.test_dataloader()[0]), ("query", module.test_dataloader()[1])):
        start = 0
        for batch in loader:
            assert batch.index.tolist() == list(range(start, start + len(batch)))
            rows = module.rows(split)[batch.index.numpy()]
            assert batch.ids == tuple(module.source.ids[row] for row in rows)
            assert batch.label.dtype == torch.uint8
            assert batch.label.numpy().tolist() == module.source.labels[rows].tolist()
            assert torch.equal(batch.label, module.labels(split)[batch.index])
            assert batch.image.shape == (len(batch), 3, 6, 6)
            assert torch.equal(batch.image[:, 0, 0, 0], torch.tensor(rows, dtype=torch.uint8))
            assert batch.text is None
            assert batch.captions is None
            start += len(batch)


def test_images_are_bytes_until_they_reach_a_device(make, memory):
    module = make(memory(count=256), query=10, val=0, train=None, database=None)
    batches = [batch for loader in module.test_dataloader() for batch in loader]
    assert {batch.image.dtype for batch in batches} == {torch.uint8}
    images = torch.cat([batch.to("cpu").to("cpu").image for batch in batches])  # twice is once
    assert images.dtype == torch.float32
    assert sorted(images[:, 0, 0, 0].mul(255).round().int().tolist()) == list(range(256))
    assert images.min() == 0
    assert images.max() == 1


def test_captions_are_collated(make, memory):
    module = make(memory(captions=[f"text {row}" for row in range(40)]))
    batch = next(iter(module.predict_dataloader()))
    assert batch.captions == tuple(f"text {row}" for row in module.rows("query")[:5])


def test_one_missing_caption_leaves_the_batch_without(make, memory):
    source = memory(captions=["text"] * 40)
    module = make(source)
    source.captions[module.rows("query")[1]] = None
    first, second = module.predict_dataloader()
    assert first.captions is None
    assert second.captions == ("text",)


def test_labels_of_a_batch_are_no_view_of_the_source(make):
    module = make()
    before = module.source.labels.copy()
    module.dataset("train")[0].label.fill_(7)
    module.labels("train").fill_(7)
    assert np.array_equal(module.source.labels, before)


def test_a_slice_of_a_split(make):
    module = make()
    part = module.dataset("database", slice(4, 7))
    assert [item.sample_id for item in part] == list(module.ids("database")[4:7])
    assert len(part) == 3


def test_training_order_is_shuffled_by_the_global_seed(make):
    module = make(batch_size=3)

    def epoch(seed):
        torch.manual_seed(seed)
        return list(module.train_dataloader())

    first, again, other = epoch(1), epoch(1), epoch(2)
    assert all(_same(a, b) for a, b in zip(first, again, strict=True))
    assert _ids(first) != _ids(other)
    assert sorted(_ids(first)) == sorted(_ids(other)) == sorted(module.ids("train"))
    assert _ids(first) != module.ids("train")
    for batch in first:  # the index stays the place in the split, whatever the order
        assert batch.ids == tuple(module.ids("train")[i] for i in batch.index)


def test_workers_give_the_same_batches(make):
    alone, helped = make(), make(num_workers=2)
    for mine, theirs in zip(alone.test_dataloader(), helped.test_dataloader(), strict=True):
        assert all(_same(a, b) for a, b in zip(mine, theirs, strict=True))
    torch.manual_seed(3)
    mine = list(alone.train_dataloader())
    torch.manual_seed(3)
    assert all(_same(a, b) for a, b in zip(mine, helped.train_dataloader(), strict=True))


def test_split_seed_decides_the_splits(make):
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    for split in ("train", "val", "query", "database"):
        assert first.ids(split) == again.ids(split)
        assert first.ids(split) != other.ids(split)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_setup_opens_the_source_once(make):
    module = make()
    for stage in ("validate", "test", None):
        module.setup(stage)
    assert module.opened == 1


def test_setup_decodes_one_picture_of_each_split_and_no_more(make, memory):
    source = memory()
    module = make(source)
    firsts = [int(module.rows(split)[0]) for split in ("train", "val", "query", "database")]
    assert source.decoded == firsts


@pytest.mark.parametrize("split", ["train", "val", "query", "database"])
def test_setup_fails_for_an_unreadable_picture(make, memory, tmp_path, split):
    row = int(make().rows(split)[0])
    written = set((tmp_path / "manifests").iterdir())
    source = memory()
    plain = source.image

    def image(wanted):
        if wanted == row:
            raise DataError(f"row {row}: not a readable picture")
        return plain(wanted)

    source.image = image
    with pytest.raises(DataError, match=f"row {row}: not a readable picture"):
        make(source)
    assert set((tmp_path / "manifests").iterdir()) == written


def test_setup_without_validation_items(make):
    module = make(val=0)
    assert module.val_dataloader() == []
    assert len(module.rows("database")) == 17


def test_the_manifest_is_written_once_under_the_fingerprint(make, tmp_path):
    module = make(seed=4)
    assert module.fingerprint == fingerprint(
        module.source.ids, module.source.labels, module._ready[1], module.class_names
    )
    path = tmp_path / "manifests" / f"memory-{module.fingerprint[:12]}.parquet"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    table = pq.read_table(path)
    assert table.num_rows == 6 + 17
    facts = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert facts == {
        "fingerprint": module.fingerprint,
        "rule": "retpur-v1",
        "seed": "4",
        "name": "memory",
        "class_names": "class0\x1fclass1\x1fclass2",
        "protocol": "",
        "text_fingerprint": "",
    }
    before = path.stat().st_mtime_ns
    make(seed=4)
    assert path.stat().st_mtime_ns == before


def test_a_manifest_with_other_facts_is_written_anew(make, memory):
    module = make()
    named = memory(captions=[f"text {row}" for row in range(40)])
    other = make(named)
    assert other.manifest_path == module.manifest_path
    assert pq.read_table(other.manifest_path)["text"][0].as_py() != []
    other.manifest_path.write_bytes(b"damaged")
    assert pq.read_table(make(named).manifest_path).num_rows == 6 + 17


def test_pixel_facts_tell_what_the_pixels_depend_on(make):
    module = make(size=4, resize_to=5, mode="squash")
    assert module.pixel_facts == {
        "fingerprint": module.fingerprint,
        "val": hashlib.sha256("\n".join(module.ids("val")).encode()).hexdigest()[:16],
        "size": 4,
        "resize_to": 5,
        "mode": "squash",
        "backend": "torchvision",
    }
    assert module.dataset("train")[0].image.shape == (3, 4, 4)
    assert make(size=4).pixel_facts["resize_to"] == 4


def test_using_it_before_setup_says_so(memory, tmp_path):
    module = MemoryDataModule(memory(), cache_dir=str(tmp_path), **SIZES)
    for use in (lambda: module.fingerprint, module.train_dataloader, lambda: module.class_names):
        with pytest.raises(RuntimeError, match="not set up yet: call prepare_data"):
            use()


def test_unknown_split(make):
    with pytest.raises(KeyError, match="no split 'test': expected train, val, query, database or val_database"):
        make().dataset("test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_database": 0}, "splits.val_database=0: expected at least 1 item"),
        ({"resize_to": 3}, "pixels.resize_to=3 is below pixels.size=6"),
        ({"mode": "stretch"}, "pixels.mode='stretch': expected 'short_side' or 'squash'"),
        ({"query": 11}, "splits.query=11, but only 10 items are available"),
    ],
)
def test_impossible_options_are_named(make, options, message):
    with pytest.raises(DataError, match=message):
        make(**options)


def test_kept_pictures_belong_to_the_pictures_and_not_to_their_splits(make, memory):
    kept = make(cache=True)
    files = _files(kept)
    first = next(iter(kept.test_dataloader()[1]))
    again = make(cache=True, seed=3)  # other splits of the same pictures
    assert _files(again) == files

    source = memory()
    source.image = lambda row: torch.full((3, 6, 6), 200, dtype=torch.uint8)  # other pictures under the same ids
    other = make(source, cache=True)
    assert len(_files(other)) == len(files) + 2  # pixels and their checksums
    assert not torch.equal(next(iter(other.test_dataloader()[1])).image, first.image)


def _files(module):
    return sorted(path.name for path in (module.cache_dir / "pixels").iterdir())
