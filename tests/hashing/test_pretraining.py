"""A backbone that was trained as a classifier becomes the start of a hashing network."""

import pytest
import torch
from sklearn.metrics import average_precision_score

from lightning_modules.hashing import TimmBackbone
from lightning_modules.hashing.pretraining import BackbonePretraining
from tests.hashing.random_data import RandomData, make_trainer

TINY = {"name": "resnet18", "small_input": True, "model_args": {"layers": [1, 1, 1, 1], "channels": [4, 4, 4, 8]}}


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    torch.manual_seed(0)
    module, data = BackbonePretraining(TimmBackbone(**TINY)), RandomData(size=16)
    trainer = make_trainer(tmp_path_factory.mktemp("pretrained"))
    trainer.fit(module, data)
    return module.eval(), data, trainer


def test_the_exported_file_is_what_a_backbone_loads(pretrained, tmp_path):
    module, data, _ = pretrained
    module.export(tmp_path / "new" / "body.safetensors")
    loaded = TimmBackbone(**TINY, weights=str(tmp_path / "new" / "body.safetensors")).eval()
    images = data.parts["query"].image
    with torch.no_grad():
        assert torch.equal(loaded(images), module.image(images))


def test_validation_scores_the_queries_only(pretrained):
    module, data, trainer = pretrained
    part = data.parts["val"]
    with torch.no_grad():
        scores = module.classifier(module.image(part.image)).sigmoid()
    expected = average_precision_score(part.label.numpy(), scores.numpy(), average="macro")
    assert float(trainer.callback_metrics["val/class_ap"]) == pytest.approx(expected, abs=1e-6)
