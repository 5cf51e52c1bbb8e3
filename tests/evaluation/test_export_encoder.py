"""The exported encoder: a program that knows nothing of this package, against the network that it was made from."""

import pytest
import torch

from lightning_modules.evaluation.export.encoder import write_encoder
from lightning_modules.hashing import Backbone, HashEncoder, TimmBackbone

SIZE = 16


class Stage(Backbone):
    """Takes another way for bright pictures, which no traced program can."""

    num_features = 3

    def forward(self, inputs):
        means = inputs.mean(dim=(2, 3))
        return means if means.sum() > 0 else -means


def make_encoder(backbone):
    torch.manual_seed(0)
    return HashEncoder(backbone, 12, batch_norm=True).eval()


def test_the_program_gives_the_codes_of_the_encoder_for_any_batch_size(tmp_path):
    small = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
    encoder = make_encoder(TimmBackbone("resnet10t", normalize="imagenet", input_size=24, model_args=small))
    encoder.to(memory_format=torch.channels_last)  # as an evaluation has it
    write_encoder(encoder, SIZE, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.pt2"]
    program = torch.export.load(tmp_path / "encoder.pt2").module()
    for count in (1, 3, 7):
        images = torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(count))
        found, expected = program(images), encoder(images)
        assert expected.std() > 0.1  # not all the same
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)  # another layout in memory: float rounding
    with pytest.raises((RuntimeError, AssertionError)):
        program(torch.rand(2, 3, SIZE + 1, SIZE))


def test_a_network_that_cannot_be_exported_is_named_and_leaves_no_old_file(tmp_path):
    (tmp_path / "encoder.pt2").write_bytes(b"of another hasher")
    with pytest.raises(ValueError, match=r"torch\.export cannot take 'Stage' \(\w+: .+\)"):
        write_encoder(make_encoder(Stage()), SIZE, tmp_path)
    assert not list(tmp_path.iterdir())
