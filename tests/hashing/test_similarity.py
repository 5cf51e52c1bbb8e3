"""Label similarity against sets."""

import torch

from lightning_modules.hashing.similarity import jaccard, share_a_class


def test_two_items_are_similar_iff_their_class_sets_meet():
    labels = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 1]], dtype=torch.uint8)
    other = torch.tensor([[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]], dtype=torch.uint8)
    sets = [[{c for c in range(3) if row[c]} for row in part.tolist()] for part in (labels, other)]
    expected = [[float(bool(a & b)) for b in sets[1]] for a in sets[0]]
    similarity = share_a_class(labels, other)
    assert similarity.dtype == torch.float32
    assert similarity.tolist() == expected


def test_many_common_classes_still_count_one():
    labels = torch.ones(2, 600, dtype=torch.uint8)  # more than a uint8 holds
    assert share_a_class(labels, labels).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_jaccard_is_common_over_all_classes():
    labels = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.uint8)
    other = torch.tensor([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.uint8)
    torch.testing.assert_close(jaccard(labels, other), torch.tensor([[1 / 3, 1, 0, 0], [0, 0, 0, 0]]))
