"""The data that flows between the parts: signs, batches, code books."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from lightning_modules.types import Batch, CodeBook, binarize


def make_batch(count=5, text=True):
    return Batch(
        image=torch.rand(count, 3, 4, 4),
        label=torch.eye(count, dtype=torch.uint8),
        index=torch.arange(count) + 10,
        ids=tuple(f"id-{i}" for i in range(count)),
        text=torch.rand(count, 2) if text else None,
        captions=tuple(f"caption {i}" for i in range(count)) if text else None,
        features=torch.rand(count, 6) if text else None,
    )


def test_binarize_gives_int8_signs_and_both_zeros_are_positive():
    codes = binarize(torch.tensor([[0.0, -0.0, 1e-45, -1e-45], [1.0, -1.0, 0.3, -0.3]]))
    assert codes.dtype == torch.int8
    assert codes.tolist() == [[1, 1, 1, -1], [1, -1, 1, -1]]


def test_binarize_takes_any_real_dtype_and_leaves_its_argument():
    for dtype in (torch.float64, torch.bfloat16, torch.int8, torch.int32):
        values = torch.tensor([-2, 0, 2], dtype=dtype)
        assert binarize(values).tolist() == [-1, 1, 1]
        assert values.tolist() == [-2, 0, 2]


def test_binarize_maps_nan_to_minus_one():
    # A defined value, not a check: what is not >= 0 is negative. Images are checked where they enter.
    assert binarize(torch.tensor([torch.nan])).tolist() == [-1]


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_split_cuts_every_field_alike(size):
    batch = make_batch()
    parts = list(batch.split(size))
    assert [len(part) for _, part in parts] == [min(size, 5 - start) for start in range(0, 5, size)]
    for rows, part in parts:
        for name in ("image", "label", "index", "text"):
            assert torch.equal(getattr(part, name), getattr(batch, name)[rows])
        assert part.ids == batch.ids[rows]
        assert part.captions == batch.captions[rows]
    assert sum((part.ids for _, part in parts), ()) == batch.ids


def test_a_part_holds_every_field_of_its_items_in_the_order_asked_for():
    batch, rows = make_batch(), [3, 0, 3]
    part = batch.part(rows)
    for name in ("image", "label", "index", "text", "features"):
        assert torch.equal(getattr(part, name), torch.stack([getattr(batch, name)[row] for row in rows])), name
    assert (part.ids, part.captions) == (("id-3", "id-0", "id-3"), ("caption 3", "caption 0", "caption 3"))
    assert len(batch.part([])) == len(batch.part([]).features) == 0


def test_split_and_part_without_text():
    batch = make_batch(text=False)
    for part in (batch.part([1]), *(part for _, part in batch.split(2))):
        assert part.text is part.captions is part.features is None


@pytest.mark.parametrize("text", [True, False])
def test_to_moves_every_tensor_and_keeps_the_rest(text):
    batch = make_batch(text=text)
    moved = batch.to("meta")
    tensors = [moved.image, moved.label, moved.index] + ([moved.text] if text else [])
    assert all(tensor.device.type == "meta" for tensor in tensors)
    assert (moved.text is None) != text
    assert (moved.ids, moved.captions) == (batch.ids, batch.captions)
    assert batch.image.device.type == "cpu"


@pytest.mark.parametrize("text", [True, False])
def test_pin_memory_pins_every_tensor(monkeypatch, text):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor + 1)  # pinning itself needs a GPU
    batch = make_batch(text=text)
    pinned = batch.pin_memory()
    for name in ("image", "label", "index") + (("text",) if text else ()):
        assert torch.equal(getattr(pinned, name), getattr(batch, name) + 1), name
    assert (pinned.ids, pinned.captions) == (batch.ids, batch.captions)


def test_batches_are_frozen():
    with pytest.raises(FrozenInstanceError):
        make_batch().ids = ()


def test_code_book_needs_one_code_label_and_id_per_item():
    codes, labels = torch.ones(3, 8, dtype=torch.int8), torch.ones(3, 2, dtype=torch.uint8)
    assert len(CodeBook(codes, labels, ("a", "b", "c"))) == 3
    with pytest.raises(ValueError, match="3 codes, 3 labels and 2 ids"):
        CodeBook(codes, labels, ("a", "b"))
    with pytest.raises(ValueError, match="3 codes, 2 labels and 3 ids"):
        CodeBook(codes, labels[:2], ("a", "b", "c"))
