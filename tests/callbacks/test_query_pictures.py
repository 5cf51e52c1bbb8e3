"""Pictures of a query: what callbacks and the report share."""

import numpy as np
import torch

from lightning_modules.defences import GaussianBlur, NoDefence
from lightning_modules.pictures import retrieval_list, trajectory
from lightning_modules.purification import DiffusionPurifier
from lightning_modules.query_pictures import (
    as_picture,
    can_be_watched,
    in_words,
    purification_trajectory,
    ranked_lists,
    retrieval_lists,
)
from tests.callbacks.stub import StubModule, WatchedDefence, as_array, make_outputs, pictures


def test_as_picture_moves_the_colours_last():
    image = pictures(1)[0]
    picture = as_picture(image)
    assert picture.dtype == np.uint8
    assert picture.shape == (8, 8, 3)
    assert all(picture[y, x, c] == image[c, y, x] for y in range(8) for x in range(8) for c in range(3))


def test_lists_leave_out_a_state_that_changed_nothing():
    module, outputs = StubModule(), make_outputs("abc")
    outputs.attacked = outputs.original
    picture = retrieval_lists(module, outputs, 1, depth=10)
    hits = [as_array(module.context.database_image(i)) for i in range(4)]
    kinds = ["hit", "target", "both", "miss"]
    lists = [retrieval_list(as_array(state[1]), hits, kinds) for state in (outputs.original, outputs.defended)]
    assert np.array_equal(picture, np.concatenate(lists))
    assert [asked.shape for asked in module.asked] == [(1, 3, 8, 8)] * 2


def test_every_list_is_counted_in_words():
    found = ranked_lists(StubModule(), make_outputs("abc"), 0, depth=3)
    assert [one.state for one in found] == ["original", "attacked", "defended"]
    assert {one.count for one in found} == {"1 hit, 1 target, 1 both"}
    assert in_words(["miss", "hit", "miss", "both", "both", "hit"]) == "2 hits, 2 both, 2 misses"


def test_only_some_defences_can_be_watched():
    assert can_be_watched(WatchedDefence())
    assert "observe" in DiffusionPurifier.forward.__annotations__
    assert not can_be_watched(NoDefence())
    assert not can_be_watched(GaussianBlur())
    assert not can_be_watched(None)


def test_a_trajectory_needs_no_graph_and_no_states():
    class Silent(WatchedDefence):
        def forward(self, images, ids=None, draw=0, observe=None):
            assert not torch.is_grad_enabled()
            return images

    image = pictures(1)[0]
    assert np.array_equal(purification_trajectory(Silent(), image, "a"), trajectory([as_array(image)]))
