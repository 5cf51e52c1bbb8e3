"""Codes of a split from the kept features of a frozen extractor."""

import torch

from lightning_modules.hashing import FrozenBackbone, HashEncoder, TimmBackbone, hash_kept_features
from lightning_modules.types import binarize
from tests.conftest import open_tiny_data


def make_encoder(cache_features=True):
    torch.manual_seed(0)
    options = {"small_input": True, "model_args": {"layers": [1, 1, 1, 1], "channels": [4, 8, 8, 16]}}
    extractor = TimmBackbone("resnet18", **options)
    return HashEncoder(FrozenBackbone(extractor, [12], cache_features=cache_features), 8).eval()


def test_codes_equal_those_of_the_pictures(tmp_path):
    data, encoder = open_tiny_data(tmp_path), make_encoder()
    found = hash_kept_features(encoder, data, "database")
    database, queries = data.test_dataloader()
    with torch.no_grad():
        expected = torch.cat([binarize(encoder(batch.image)) for batch in database])
    assert torch.equal(found, expected)
    assert next(iter(queries)).features is None  # loaders go on handing out pictures

    def never(*args):
        raise AssertionError("the features are kept already")

    encoder.backbone.extractor.forward = never
    assert torch.equal(hash_kept_features(encoder, data, "database"), found)


def test_features_that_nobody_keeps_are_not_used(tmp_path):
    data = open_tiny_data(tmp_path)
    assert hash_kept_features(make_encoder(cache_features=False), data, "query") is None
    assert hash_kept_features(HashEncoder(make_encoder().backbone.extractor, 8).eval(), data, "query") is None
