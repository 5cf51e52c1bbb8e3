"""Stand-ins have the shape of what they stand in for."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from datamodules import DataError, Pixels, StandIn
from datamodules.stand_in import SHAPES

# Tables 5 and 6 of the paper, and the widths of TA-DCH's text features.
EXPECTED = {
    "flickr25k/uni": (38, None),
    "mscoco/uni": (80, None),
    "nuswide/uni": (21, None),
    "wikipedia/cross": (10, 10),
    "iaprtc12/cross": (255, 1024),
    "flickr25k/cross": (24, 1386),
    "mscoco/cross": (80, 1024),
    "nuswide/cross": (21, 1000),
}


def stand_in(case: str, folder) -> StandIn:
    of, _, protocol = case.partition("/")
    data = StandIn(of, protocol, pixels=Pixels(16), cache_dir=str(folder))
    data.setup()
    return data


def test_every_protocol_is_there():
    assert set(EXPECTED) == {f"{of}/{name}" for of, shape in SHAPES.items() for name in shape.data.protocols}


@pytest.mark.parametrize("case", EXPECTED)
def test_classes_labels_and_texts_have_the_published_shape(case, tmp_path):
    data = stand_in(case, tmp_path)
    classes, width = EXPECTED[case]
    assert (data.num_classes, data.text_width) == (classes, width)
    names = SHAPES[data.of].data.protocols[data.chosen].class_names
    assert not names or tuple(data.class_names) == names
    per_item = data.labels("database").sum(dim=1)
    assert per_item.min() >= 1
    assert (per_item.max() > 1) == (data.of != "wikipedia")
    batch = next(iter(data.test_dataloader()[0]))
    assert batch.image.shape[1:] == (3, 16, 16)
    assert (batch.text is None) == (width is None)


def test_every_target_label_has_nine_items_to_vote(tmp_path):
    labels = stand_in("mscoco/uni", tmp_path).labels("database")
    assert min(Counter(map(tuple, labels.tolist())).values()) > 9


def test_texts_and_pictures_tell_combinations_apart(tmp_path):
    data = stand_in("flickr25k/cross", tmp_path)
    batch = next(iter(data.test_dataloader()[0]))
    alike = (batch.label[:, None] == batch.label).all(dim=-1)
    off = ~torch.eye(len(alike), dtype=torch.bool)
    near = torch.nn.functional.cosine_similarity(batch.text[:, None], batch.text, dim=-1)
    assert near[alike & off].min() > near[~alike].max()
    colours = batch.image.float().mean(dim=(2, 3))
    apart = torch.cdist(colours, colours)
    assert apart[alike & off].max() < apart[~alike].min()


def test_two_openings_agree(tmp_path):
    one, other = (stand_in("nuswide/cross", tmp_path / name) for name in "ab")
    assert one.fingerprint == other.fingerprint
    first, second = (next(iter(data.test_dataloader()[1])) for data in (one, other))
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.text, second.text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "cifar10"}, "StandIn of='cifar10': expected one of wikipedia"),
        ({"of": "wikipedia", "protocol": "uni"}, "protocol='uni': wikipedia has cross"),
        ({"of": "wikipedia", "items": 10}, "items=10: expected 12 more than there are queries"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        StandIn(**options)
