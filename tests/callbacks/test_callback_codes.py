"""CodeStatistics against a hand computation."""

import math

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from callbacks import CodeStatistics
from callbacks.codes import code_statistics
from tests.callbacks.stub import make_outputs, run_test


def test_statistics_by_hand():
    codes = torch.tensor([[1, 1, 1], [1, 1, -1], [-1, 1, -1], [-1, 1, -1]], dtype=torch.int8)
    statistics = code_statistics(codes)
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert statistics["bit_entropy"] == pytest.approx((1 + 0 + quarter) / 3, rel=1e-6)
    assert statistics["max_correlation"] == pytest.approx(1 / math.sqrt(3), rel=1e-6)  # bits 0 and 2
    assert statistics["distinct"] == 3 / 4


def test_statistics_of_random_codes_against_numpy():
    codes = torch.randint(2, (200, 12), generator=torch.Generator().manual_seed(0), dtype=torch.int8) * 2 - 1
    statistics = code_statistics(codes)
    correlation = np.corrcoef(codes.numpy().astype(float).T) - np.eye(12)
    assert statistics["max_correlation"] == pytest.approx(np.abs(correlation).max(), rel=1e-5)
    share = (codes.numpy() > 0).mean(0)
    entropy = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    assert statistics["bit_entropy"] == pytest.approx(entropy.mean(), rel=1e-5)
    assert statistics["distinct"] == len({tuple(code) for code in codes.tolist()}) / 200


def test_opposite_bits_are_fully_correlated():
    bit = torch.tensor([1, 1, -1, 1], dtype=torch.int8)
    assert code_statistics(torch.stack([bit, -bit], dim=1))["max_correlation"] == pytest.approx(1.0)


@pytest.mark.parametrize("codes", [torch.ones(5, 3), torch.ones(1, 3), torch.tensor([[1.0], [-1.0]])])
def test_constant_and_single_bits_have_no_correlation(codes):
    statistics = code_statistics(codes.to(torch.int8))
    assert statistics["max_correlation"] == 0
    assert all(math.isfinite(value) for value in statistics.values())


def test_collapsed_codes():
    assert code_statistics(torch.ones(8, 4, dtype=torch.int8)) == {
        "bit_entropy": 0.0,
        "max_correlation": 0.0,
        "distinct": 1 / 8,
    }


def expected_scalars(codes, stage):
    return {f"codes/{stage}/{name}": pytest.approx(value) for name, value in code_statistics(codes).items()}


def scalars(events):
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"] if "codes/" in tag}


def test_a_test_logs_the_statistics_of_all_its_codes(tmp_path):
    events = run_test(tmp_path, CodeStatistics())
    codes = torch.cat([make_outputs("abc", 0).codes, make_outputs("def", 1).codes])
    assert {tag: value for tag, (value,) in scalars(events).items()} == expected_scalars(codes, "test")
    histogram = events.Histograms("codes/test/bit_mean")[0].histogram_value
    assert histogram.num == 6
    assert histogram.sum == pytest.approx(codes.float().mean(0).sum().item(), abs=1e-6)


class Validated(LightningModule):
    def validation_step(self, batch, batch_idx):
        return {"codes": make_outputs("abc", seed=int(batch)).codes}


def test_every_validation_is_counted_by_itself(tmp_path):
    logger, callback = TensorBoardLogger(str(tmp_path), name="", version=""), CodeStatistics()
    trainer = Trainer(logger=logger, callbacks=[callback], accelerator="cpu", enable_progress_bar=False)
    for seeds in ([0, 1], [2]):
        trainer.validate(Validated(), DataLoader(seeds, batch_size=None), verbose=False)
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    first, second = (
        torch.cat([make_outputs("abc", 0).codes, make_outputs("abc", 1).codes]),
        make_outputs("abc", 2).codes,
    )
    found = scalars(events)
    assert {tag: values[0] for tag, values in found.items()} == expected_scalars(first, "val")
    assert {tag: values[1] for tag, values in found.items()} == expected_scalars(second, "val")


def test_nothing_happens_without_a_board(tmp_path):
    callback = CodeStatistics()
    run_test(tmp_path, callback, logger=False)
    assert callback._codes == []
