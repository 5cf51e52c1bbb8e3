"""The Wikipedia data set, and other data kept like it: dotted names, loose XML, pictures told apart by category."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules import DataError, Pixels, SplitSizes
from datamodules.layouts.wikipedia import Pair, WikipediaLayout, read_list
from datamodules.wikipedia import CATEGORIES, Wikipedia, WikipediaFolder

PROTOCOL = Wikipedia.protocols["cross"]
OWN = WikipediaFolder.protocols["cross"]
# Text, image, category. One image id lies in two folders; one text name is a beginning of another.
TRAIN = (("0a1bef-4.2", "9c8d01", 3), ("0a1bef-4", "77", 10), ("e5.1-2", "9c8d01", 1))
TEST = (("b2-1.1", "55", 10), ("b2-1.10", "56", 2))
ROWS = (*TRAIN, *TEST)
DOCUMENT = '<?xml version="1.0"?>\n<document>\n<title>&bad;</title>\n<text>{}</text>\n<image id="9c8d01"/></document>'
# Not well formed, of two encodings, and one holds an entity of an entity.
TEXTS = (
    DOCUMENT.format("Some words &nbsp; &amp;lt; &quot;AT&T&quot;\n of <b> it.").encode(),
    DOCUMENT.format("Zürich").encode(),
    DOCUMENT.format("Zürich").encode("latin-1"),
    b"<document><text>open to the end",
    DOCUMENT.format(" \n ").encode(),
)
SENTENCES = [('Some words &nbsp; &lt; "AT&T" of <b> it.',), ("Zürich",), ("Zürich",), ("open to the end",), ()]
KEYS = ("geography/9c8d01", "warfare/77", "art/9c8d01", "warfare/55", "biology/56")
SPLITS = SplitSizes(query=None, train=None, val=0)


def _colour(row):
    return (30 + 50 * row, 240 - 50 * row, 90)


def _write(root, encode, categories=CATEGORIES):
    for name in categories:
        (root / "images" / name).mkdir(parents=True)
    (root / "texts").mkdir()
    for row, ((text, image, category), document) in enumerate(zip(ROWS, TEXTS, strict=True)):
        picture = encode(Image.new("RGB", (9, 5), _colour(row)), "JPEG", quality=95)
        (root / "images" / categories[category - 1] / f"{image}.jpg").write_bytes(picture)
        (root / "texts" / f"{text}.xml").write_bytes(document)
    for part, rows in (("train", TRAIN), ("test", TEST)):
        lines = "\n".join("\t".join(map(str, row)) for row in rows)  # no newline at the end
        (root / f"{part}set_txt_img_cat.list").write_text(lines)


@pytest.fixture
def root(tmp_path, encode):
    folder = tmp_path / "wikipedia_dataset"
    _write(folder, encode)
    return folder


def _read(root, protocol=PROTOCOL):
    return WikipediaLayout().read(root, protocol)


def _refused(root, protocol=PROTOCOL):
    with pytest.raises(DataError) as caught:
        _read(root, protocol)
    return str(caught.value)


def _check_colours(module):
    for row in range(len(ROWS)):
        seen = module.source.image(row)
        assert seen.shape == (3, 5, 9)
        assert max(abs(a - b) for a, b in zip(seen[:, 2, 4].tolist(), _colour(row), strict=True)) < 4


def test_items_of_both_lists(root):
    catalogue = _read(root)
    assert catalogue.name == "wikipedia"
    assert catalogue.class_names == CATEGORIES
    assert catalogue.ids == tuple(text for text, _, _ in ROWS)
    assert [np.flatnonzero(label).tolist() for label in catalogue.labels] == [[c - 1] for _, _, c in ROWS]
    assert catalogue.keys == KEYS
    assert catalogue.paths == tuple(f"images/{key}.jpg" for key in KEYS)


def test_the_published_split(root):
    catalogue = _read(root)
    assert catalogue.query.tolist() == [3, 4]
    assert catalogue.database.tolist() == catalogue.train.tolist() == [0, 1, 2]


def test_texts_are_cut_out_of_loose_xml(root):
    catalogue = _read(root)
    assert catalogue.sentences == SENTENCES
    assert catalogue.facts["text_encoding"] == "1 texts are no UTF-8 and were read as Latin-1"


def test_through_the_data_module(root, tmp_path):
    module = Wikipedia(str(root), splits=SPLITS, cache_dir=str(tmp_path / "cache"), pixels=Pixels(4))
    with pytest.warns(UserWarning, match="5 items, the protocol wikipedia/cross has 2866"):
        module.prepare_data()
    module.setup()
    _check_colours(module)
    assert module.ids("query") == ("b2-1.1", "b2-1.10")
    assert module.ids("train") == module.ids("database") == ("0a1bef-4.2", "0a1bef-4", "e5.1-2")
    assert module.labels("query").argmax(1).tolist() == [9, 1]
    assert module.source.facts["split_source"] == "published lists"


def test_categories_list_decides_what_the_numbers_mean(root):
    (root / "categories.list").write_text("\n".join(reversed(CATEGORIES)) + "\r\n\n")
    catalogue = _read(root)
    assert catalogue.class_names == tuple(reversed(CATEGORIES))
    assert catalogue.keys[0] == "royalty/9c8d01"  # the third from the end


def test_categories_that_are_spelled_out_leave_it_to_the_folders(root):
    (root / "categories.list").write_text("Art & architecture\nBiology\n")
    assert _read(root).keys == KEYS


def test_features_are_found(root):
    assert "features" not in _read(root).facts
    (root / "raw_features.mat").write_bytes(b"")
    assert _read(root).facts["features"] == "raw_features.mat"


def test_lists_are_read_in_their_order(root):
    assert read_list(root / "testset_txt_img_cat.list") == [Pair(*row) for row in TEST]


def test_all_missing_pictures_are_named_at_once(root, tmp_path):
    for key in (KEYS[0], KEYS[3]):
        (root / "images" / f"{key}.jpg").unlink()
    with pytest.raises(DataError, match=r"2 of 5 .*\n  images/geography/9c8d01\.jpg\n  images/warfare/55\.jpg$"):
        Wikipedia(str(root), cache_dir=str(tmp_path)).read_catalogue()
    with pytest.warns(UserWarning, match="3 items"):
        left = Wikipedia(str(root), missing="skip", cache_dir=str(tmp_path)).read_catalogue()
    assert left.ids == ("0a1bef-4", "e5.1-2", "b2-1.10")
    assert (left.train.tolist(), left.query.tolist()) == ([0, 1], [2])
    assert left.sentences == [SENTENCES[row] for row in (1, 2, 4)]


# One's own data.

NAMES = ("zoo", "Cars", "people's_homes", "d", "e", "f", "g", "h", "i", "j")


def _own(tmp_path, encode, listed):
    root = tmp_path / "my-news"
    _write(root, encode, NAMES if listed else tuple(sorted(NAMES)))
    for text, _, _ in ROWS:
        path = root / "texts" / f"{text}.xml"
        path.unlink()
        path.with_name(f"{text}.txt").write_text(f"\ufeff标题 {text} &amp;\n", encoding="utf-8")
    if listed:
        (root / "categories.list").write_text("\n".join(NAMES))
    return root


@pytest.mark.parametrize("listed", [True, False])
def test_own_categories(tmp_path, encode, listed):
    root = _own(tmp_path, encode, listed)
    module = WikipediaFolder(str(root), splits=SPLITS, cache_dir=str(tmp_path / "cache"), pixels=Pixels(4))
    module.prepare_data()
    module.setup()
    _check_colours(module)
    assert module.dataset_name == "my-news"
    assert module.class_names == (NAMES if listed else tuple(sorted(NAMES)))
    assert module.source.labels.argmax(1).tolist() == [c - 1 for _, _, c in ROWS]
    assert module.source.caption(0) == "标题 0a1bef-4.2 &amp;"
    assert [len(module.rows(split)) for split in ("train", "query", "database")] == [3, 2, 3]


def test_own_pictures_without_folders(tmp_path, encode):
    root = _own(tmp_path, encode, listed=False)
    for key in sorted(root.glob("images/*/*.jpg")):
        key.rename(root / "images" / key.name)
    for folder in root.glob("images/*/"):
        folder.rmdir()
    catalogue = _read(root, OWN)
    assert catalogue.class_names == tuple(map(str, range(1, 11)))
    assert catalogue.paths[1] == "images/77.jpg"
    assert catalogue.keys[1] == "77"


def test_the_benchmark_has_its_own_categories(tmp_path, encode):
    root = _own(tmp_path, encode, listed=True)
    message = _refused(root)
    assert message.startswith(f"{root}: categories Cars, d, e, f, g, h, i, j, people's_homes, zoo, expected those of ")
    assert "datamodules.wikipedia.WikipediaFolder" in message


# Errors.


@pytest.mark.parametrize(
    "line",
    ["a\tb", "a b 3", "a\tb\t3\t4", "a\tb\t0", "a\tb\t-1", "a\tb\tart", "a\tb\t3.0", "a\tb\t\u0661", ""],
)
def test_strange_lines(root, line):
    path = root / "testset_txt_img_cat.list"
    path.write_text(f"b2-1.1\t55\t10\n{line}\nb2-1.10\t56\t2\n", encoding="utf-8")
    assert _refused(root) == f"{path} line 2: {line!r}, expected text id<TAB>image id<TAB>category (1, 2, ...)"


@pytest.mark.parametrize("name", ["..", "../secret", "a\\b", "a\x00", "x" * 300])
def test_names_that_lead_elsewhere(root, name):
    path = root / "trainset_txt_img_cat.list"
    path.write_text(f"a\t{name}\t3")
    assert _refused(root) == f"{path} line 1: {name[:80]!r} cannot be the name of a file"


def test_category_out_of_range(root):
    path = root / "testset_txt_img_cat.list"
    path.write_text("b2-1.1\t55\t10\nb2-1.10\t56\t11")
    assert _refused(root).startswith(f"{path} line 2: category 11, but there are 10: art, biology, ")


def test_a_text_listed_twice(root):
    (root / "testset_txt_img_cat.list").write_text("b2-1.1\t55\t10\n0a1bef-4\t77\t10")
    assert _refused(root) == (
        f"{root}/testset_txt_img_cat.list line 2: text '0a1bef-4' already stands in trainset_txt_img_cat.list line 2"
    )


def test_all_missing_texts_are_named_at_once(root):
    for text in ("0a1bef-4", "b2-1.1"):
        (root / "texts" / f"{text}.xml").unlink()
    assert _refused(root) == (
        f"{root / 'texts'}: 2 of 5 texts are missing, neither .xml nor .txt:\n  0a1bef-4\n  b2-1.1"
    )


def test_a_document_without_text(root):
    path = root / "texts/b2-1.1.xml"
    path.write_text("<document><texts>x</texts></document>")
    assert _refused(root) == f"{path}: no <text> in it"


def test_strange_categories(root):
    path = root / "categories.list"
    path.write_text("art\nbiology\nart\n")
    assert _refused(root) == f"{path} line 3: 'art', expected the name of another category"
    path.write_text("art\n../x\n")
    assert _refused(root, OWN) == f"{path} line 2: '../x', expected the name of another category"


def test_empty_list(root):
    path = root / "trainset_txt_img_cat.list"
    path.write_text("\n")
    assert _refused(root) == f"{path}: no lines"


def test_recognition(root, tmp_path):
    assert WikipediaLayout().recognise(root, PROTOCOL)
    assert not WikipediaLayout().recognise(tmp_path, PROTOCOL)
    with pytest.raises(DataError, match="holds no known layout of wikipedia-folder"):
        WikipediaFolder(str(tmp_path)).read_catalogue()


LINES = st.sampled_from(
    [b"a.1\tb\t3", b"a.2\tb\t10\r", b"", b"\t\t", b"..\tb\t1", b"a\tb\t0", b"\xff\tb\t2", b"a\x85b\tc\t1"]
)


def test_lists_are_read_line_by_line_or_refused(tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "testset_txt_img_cat.list"

    @given(st.one_of(st.binary(max_size=40), st.lists(LINES, max_size=5).map(b"\n".join)))
    @settings(max_examples=100, deadline=None)
    def check(data):
        path.write_bytes(data)
        try:
            pairs = read_list(path)
        except DataError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
        else:
            lines = data.rstrip(b"\n\r ").split(b"\n")
            assert [str(pair.category).encode() for pair in pairs] == [
                line.rstrip(b"\r ").split(b"\t")[2].lstrip(b"0") for line in lines
            ]

    check()


DATA = Path(os.environ.get("RETPUR_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.mark.skipif(
    not (DATA / "web-news").is_dir(), reason=f"no web-news/ in {DATA}: set RETPUR_TEST_DATA to a folder that holds it"
)
def test_real_photographs_with_captions(tmp_path):
    root = str(DATA / "web-news")
    module = WikipediaFolder(root, missing="skip", splits=SPLITS, cache_dir=str(tmp_path))
    module.prepare_data()
    module.setup()
    assert {split: len(module.rows(split)) for split in ("train", "query", "database")} == {
        "train": 1693,
        "query": 497,
        "database": 1693,
    }
    assert len(module.source.ids) == 2190
    assert len(module.source.facts["missing"].splitlines()) == 10
    assert module.class_names[5:7] == ("National_defense", "people's_livelihood")
    row = module.source.ids.index("351")  # the last line of a list without a final newline
    assert module.class_names[int(module.source.labels[row].argmax())] == "sports"
    assert module.source.image(row).shape[0] == 3
    assert all(module.source.caption(row) for row in range(2190))
