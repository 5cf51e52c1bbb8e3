"""The inspection: numbers as counted by hand, always the same page, nothing outside loaded, nothing interpreted."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import RetrievalDataModule
from datamodules.checks import Finding
from datamodules.inspection import check_pictures, describe, inspect_module, render_page, render_text, write_page
from datamodules.inspection.samples import draw_samples, thumbnail
from datamodules.inspection.statistics import chance_level, class_frequencies, labels_per_item
from datamodules.inspection.style import STYLE
from datamodules.inspection.text import render_finding
from datamodules.source import DataError
from tests.datamodules.grouped import grouped
from tests.datamodules.tinyset import CLASSES, HOSTILE, LEGACY, label_of, tiny_module, write_tiny

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects elements and the text of each, and checks that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def text(self, tag):
        return [data for name, data in self.texts if name == tag]


class MemoryDataModule(RetrievalDataModule):
    def __init__(self, source, cache_dir, **sizes):
        super().__init__(**grouped(size=6, val_database=9, cache_dir=str(cache_dir), **sizes))
        self._source = source

    def load_source(self):
        return self._source


@pytest.fixture
def tiny(tmp_path):
    return tiny_module(write_tiny(tmp_path / "set"), tmp_path / "cache")


@pytest.fixture
def in_memory(memory, tmp_path):
    def make(count=40, queries=10, train=12, **options):
        module = MemoryDataModule(
            memory(count=count, queries=queries, **options), tmp_path, query=queries, val=5, train=train
        )
        module.setup()
        return module

    return make


def page_of(module):
    return render_page(inspect_module(module, describe(module)))


def decoded(address):
    kind, _, data = address.removeprefix("data:image/").partition(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(data)))


def test_facts_of_a_local_data_set(tiny):
    facts = describe(tiny)
    assert facts.title == "tiny: 14 items, 3 classes"
    entries = facts.entries
    assert entries["protocol"] == "tiny/uni (A. Author, 2020)"
    assert entries["layout"] == "list.txt with pictures beside it"
    assert entries["labels from"] == "three annotators"
    assert entries["splits from"] == "retpur-v1"
    assert entries["fingerprint"] == tiny.fingerprint
    assert re.fullmatch("[0-9a-f]{64}", entries["text fingerprint"])
    assert entries["catalogue"] == str(tiny.catalogue_path)
    assert entries["manifest"] == str(tiny.manifest_path)
    assert tiny.manifest_path.is_file()
    assert "text features" not in entries
    assert [(size.name, size.here, size.paper) for size in facts.sizes] == [
        ("items", 14, 14),
        ("database", 11, 11),
        ("train", 6, 6),
        ("val", 2, None),
        ("query", 3, 3),
    ]


def test_a_data_set_without_files_or_texts_leaves_their_facts_out(in_memory):
    facts = describe(in_memory())
    assert list(facts.entries) == ["splits from", "fingerprint", "manifest"]
    assert {size.paper for size in facts.sizes} == {None}


def test_warning_that_repeats_a_check_is_listed_once(tmp_path):
    module = tiny_module(write_tiny(tmp_path / "set", 14), tmp_path / "cache")
    (bare,) = [finding for finding in describe(module).findings if "without a label" in finding.message]
    more = [Finding("warning", f"in front: {bare.message}"), Finding("warning", "something new")]
    messages = [finding.message for finding in describe(module, more).findings]
    assert messages.count("something new") == 1
    assert [message for message in messages if bare.message in message] == [bare.message]


def test_class_frequencies_are_those_of_the_files(tiny):
    counts = class_frequencies(tiny)
    totals = np.array([len(tiny.rows(part)) for part in ("database", "train", "val", "query")])
    assert counts.totals.tolist() == totals.tolist()
    for part, column in (("database", 0), ("train", 1), ("val", 2), ("query", 3)):
        numbers = [int(sample_id.removeprefix("im")) for sample_id in tiny.ids(part)]
        for kind, found in zip(counts.kinds, counts.numbers[:, column], strict=True):
            assert found == sum(label_of(number)[LEGACY.index(kind)] for number in numbers)
    assert sorted(counts.kinds) == sorted(CLASSES)
    assert (np.diff(counts.numbers[:, 0]) <= 0).all()
    assert np.allclose(counts.shares * totals, counts.numbers)


def test_labels_per_item_are_counted(tiny):
    counts = labels_per_item(tiny)
    assert counts.kinds == ("0", "1", "2")
    everything = counts.numbers[:, 0] + counts.numbers[:, 3]  # database and queries: all 14 items
    sums = [sum(label_of(number)) for number in range(14)]
    assert everything.tolist() == [sums.count(count) for count in range(3)]


def test_chance_level_of_single_labels_is_the_share_of_the_class(memory, tmp_path):
    source = memory(count=52, queries=4, classes=2)
    source.labels = np.array([[1, 0]] * 4 + [[1, 0]] * 12 + [[0, 1]] * 36, dtype=np.uint8)
    module = MemoryDataModule(source, tmp_path, query=4, val=1, train=3)
    module.setup()
    chance = chance_level(module)
    hits, total = 12, 48
    # Expected average precision of a random ranking: mean of (i / rank) over all positions, in closed form.
    harmonic = sum(1 / rank for rank in range(1, total + 1)) / total
    expected = harmonic + (hits - 1) / (total - 1) * (1 - harmonic)
    assert chance.map == pytest.approx(expected)
    assert chance.t_map is not None
    assert not chance.trouble


def test_no_target_pool_gives_no_chance_level_of_t_map(tiny):
    chance = chance_level(tiny)
    assert chance.t_map is None
    assert "min_count" in chance.trouble
    assert "min_count" in page_of(tiny)


def test_samples_do_not_depend_on_the_order_on_disk(in_memory):
    order = np.random.default_rng(3).permutation(40)
    first, second = draw_samples(in_memory(), 7), draw_samples(in_memory(order=order), 7)
    assert [sample.sample_id for sample in first] == [sample.sample_id for sample in second]
    assert [sample.labels for sample in first] == [sample.labels for sample in second]
    assert len({sample.sample_id for sample in first}) == 7


def test_samples_show_the_right_picture_label_and_split(tiny):
    samples = draw_samples(tiny)
    assert len(samples) == 14
    for sample in samples:
        number = int(sample.sample_id.removeprefix("im"))
        kind, picture = decoded(sample.address)
        assert kind == "png", "tiny pictures stay as they are"
        assert picture.size == sample.size == ((13, 9) if number % 2 else (11, 17))
        assert abs(np.asarray(picture)[0, 0, 0] - 10.0 * number) < 3
        named = {name for name, present in zip(LEGACY, label_of(number), strict=True) if present}
        assert set(sample.labels) == named
        assert sample.text == f"{HOSTILE} {number}"
        for name in ("train", "val", "query", "database"):
            assert (name in sample.splits) == (sample.sample_id in tiny.ids(name))


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 300), (160, 100)), ((200, 800), (40, 160)), ((99, 70), (99, 70))]
)
def test_thumbnails_are_jpeg_of_at_most_160_pixels(size, expected):
    width, height = size
    kind, picture = decoded(thumbnail(torch.full((3, height, width), 90, dtype=torch.uint8)))
    assert kind == "jpeg"
    assert picture.format == "JPEG"
    assert picture.size == expected


def test_sample_that_cannot_be_decoded_is_shown_as_such(tiny):
    (tiny.root / "im4.jpg").write_bytes(b"no picture")
    (broken,) = [sample for sample in draw_samples(tiny) if sample.trouble]
    assert broken.sample_id == "im4"
    page = Page(page_of(tiny))
    assert len([attrs for tag, attrs in page.tags if tag == "img"]) == 13
    assert any("im4.jpg" in text for text in page.text("p"))
    assert page_of(tiny) == page_of(tiny)


def test_page_is_the_same_every_time(tiny, tmp_path):
    again = tiny_module(tiny.root, tmp_path / "cache")
    assert page_of(tiny) == page_of(again)


def test_page_interprets_nothing(tmp_path):
    root = write_tiny(tmp_path / "set")
    lines = (root / "list.txt").read_text().replace("im3.jpg|", "im3<b>&.jpg|")
    (root / "list.txt").write_text(lines)
    (root / "im3.jpg").rename(root / "im3<b>&.jpg")
    module = tiny_module(root, tmp_path / "cache")
    text = render_page(inspect_module(module, describe(module, [Finding("error", HOSTILE, (HOSTILE,))])))
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert f"{HOSTILE} 7" in page.text("q")
    assert "im3<b>&" in page.text("small")
    assert HOSTILE in page.text("div")
    assert "<script>" not in text


def test_page_loads_nothing_from_outside(tiny):
    text = page_of(tiny)
    page = Page(text)
    for _, attrs in page.tags:
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/")), attrs
    assert not re.search(r"url\(|@import|https?:", text)
    assert any(attrs.get("http-equiv") == "Content-Security-Policy" for _, attrs in page.tags)
    assert "prefers-color-scheme: dark" in STYLE
    assert any(attrs.get("name") == "viewport" for _, attrs in page.tags)


def test_page_shows_every_number(tiny):
    page = Page(page_of(tiny))
    cells = page.text("td")
    counts = class_frequencies(tiny)
    sizes = ["14", "14", "11", "11", "6", "6", "2", "–", "3", "3"]  # noqa: RUF001 (an en dash)
    per_item = labels_per_item(tiny).numbers
    assert cells == sizes + [str(number) for number in [*counts.numbers.ravel(), *per_item.ravel()]]
    assert tiny.fingerprint in page.text("dd")
    assert page.text("h1") == ["tiny"]


def test_300_classes_stay_in_three_columns(in_memory):
    page = Page(page_of(in_memory(classes=300)))
    heads = [text for text in page.text("th") if text == "class"]
    assert len(heads) == 3
    assert len([text for text in page.text("th") if re.fullmatch(r"class\d+", text)]) == 300


def test_page_that_cannot_be_written_is_an_error(tiny, tmp_path):
    inspection = inspect_module(tiny, describe(tiny))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/page\.html: the page cannot be written"):
        write_page(inspection, tmp_path / "file/page.html")


def test_page_takes_file_names_that_are_no_unicode(tiny, tmp_path):
    facts = describe(tiny, [Finding("warning", "odd", ("a\udce9.jpg",))])
    write_page(inspect_module(tiny, facts), tmp_path / "page.html")
    assert "a?.jpg" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.glob("*.partial")] == []


def test_text_shows_sizes_beside_the_papers(tiny):
    lines = render_text(describe(tiny)).splitlines()
    assert lines[0] == "tiny: 14 items, 3 classes"
    split = {line.split()[0]: line.split()[1:] for line in lines if re.match(r"  \w+ +[\d,]+ +[\d-]", line)}
    assert split == {
        "items": ["14", "14"],
        "database": ["11", "11"],
        "train": ["6", "6"],
        "val": ["2", "-"],
        "query": ["3", "3"],
    }


def test_text_steers_no_terminal_and_stays_short():
    finding = Finding("note", "odd\x1b[2J", tuple(f"a\r{number}" for number in range(1200)))
    text = render_finding(finding)
    assert text.startswith("note: odd\ufffd[2J: a\ufffd0, ")
    assert text.endswith("a\ufffd9, ... (1,190 more)")


class TestCheckPictures:
    @pytest.fixture
    def record(self, tmp_path):
        return tmp_path / "checks/tiny.jsonl"

    @pytest.fixture
    def decodings(self, monkeypatch):
        from datamodules.inspection import pictures

        names, decode = [], pictures.decode
        monkeypatch.setattr(pictures, "decode", lambda data, name: names.append(name) or decode(data, name))
        return names

    def test_sound_pictures_are_decoded_once(self, tiny, record, decodings):
        assert check_pictures(tiny.source, record) == []
        assert len(decodings) == 14
        assert check_pictures(tiny.source, record) == []
        assert len(decodings) == 14

    def test_all_broken_pictures_are_in_one_message_until_repaired(self, tiny, record, decodings):
        whole = (tiny.root / "im9.jpg").read_bytes()
        (tiny.root / "im9.jpg").write_bytes(whole[:-40])
        (tiny.root / "im2.jpg").unlink()
        for _ in range(2):
            (found,) = check_pictures(tiny.source, record)
            assert found.level == "error"
            assert found.message.startswith("2 of 14 pictures unreadable:\n  ")
            assert "im2.jpg: cannot be read" in found.message
            assert "im9.jpg: not a readable picture" in found.message
        (tiny.root / "im9.jpg").write_bytes(whole)
        (tiny.root / "im2.jpg").write_bytes(whole)
        decodings.clear()
        assert check_pictures(tiny.source, record) == []
        assert sorted(name.rpartition("/")[2] for name in decodings) == ["im2.jpg", "im9.jpg"]

    def test_other_formats_named_as_jpeg_are_listed_every_time(self, tiny, record, encode):
        for number, kind in ((1, "PNG"), (6, "GIF")):
            (tiny.root / f"im{number}.jpg").write_bytes(encode(np.full((9, 13, 3), 80, np.uint8), kind))
        for _ in range(2):
            (found,) = check_pictures(tiny.source, record)
            assert found.level == "warning"
            assert found.message.startswith("2 pictures named as JPEG")
            assert found.message.splitlines()[1:] == ["  im1.jpg (PNG)", "  im6.jpg (GIF)"]

    def test_killed_check_goes_on_where_it_was(self, tiny, record, decodings):
        check_pictures(tiny.source, record)
        lines = [line for line in record.read_text().splitlines() if line]
        assert [json.loads(line)[0] for line in lines] == list(tiny.source.ids)
        record.write_text("\n".join(lines[:5]) + "\n" + lines[5][:4])  # cut within a line
        decodings.clear()
        assert check_pictures(tiny.source, record) == []
        assert len(decodings) == 9
        decodings.clear()
        assert check_pictures(tiny.source, record) == []
        assert decodings == []

    def test_pictures_without_files_are_decoded_too(self, in_memory, record):
        module = in_memory()
        module.source.decoded.clear()
        assert check_pictures(module.source, record) == []
        assert module.source.decoded == list(range(40))

    def test_record_that_cannot_be_written_is_an_error(self, tiny, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="record of checked pictures"):
            check_pictures(tiny.source, tmp_path / "file/record.jsonl")
