"""CellSummary: hyper-parameters, figures and curves of a cell."""

import pytest
import torch
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from callbacks import CellSummary
from callbacks.summary import curve_of_radii
from lightning_modules.retrieval.metrics import distance_histograms
from tests.callbacks.stub import run_test


def test_a_cell_is_summarised(tmp_path):
    events = run_test(tmp_path, CellSummary())
    assert events.Scalars("hp/map")[-1].value == 0.5
    assert events.Scalars("hp/t_map")[-1].value == 0.25
    precision, recall = (events.Scalars(f"within_radius/{name}") for name in ("precision", "recall"))
    assert [(event.step, event.value) for event in precision] == [(0, 0.75), (1, 0.5), (2, 0.25)]
    assert [event.value for event in recall] == pytest.approx([0.25, 0.5, 0.75])
    content = events.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    hyper = HParamsPluginData.FromString(content).session_start_info.hparams
    found = {name: value.string_value for name, value in hyper.items()}
    assert found == {
        "dataset": "scenes",
        "hasher": "DPSH",
        "source_hasher": "DPSH",
        "attack": "P2P",
        "defence": "RetPur",
    }


def test_the_curve_is_on_tensorboards_page(tmp_path):
    events = run_test(tmp_path, CellSummary())
    assert events.summary_metadata["retrieval"].plugin_data.plugin_name == "pr_curves"
    curve = make_ndarray(events.Tensors("retrieval")[0].tensor_proto)
    assert curve.shape == (6, 3)
    assert curve[4].tolist() == [0.25, 0.5, 0.75]


def test_the_curve_equals_counting():
    """Every number of the curve, counted item by item."""
    draw = torch.Generator().manual_seed(0)
    queries, database = (torch.randint(2, (n, 5), generator=draw, dtype=torch.int8) * 2 - 1 for n in (6, 9))
    asked, labels = (torch.randint(2, (n, 3), generator=draw, dtype=torch.uint8) for n in (6, 9))
    found = distance_histograms(queries, asked, database, labels)
    retrieved, hits = found.total.cumsum(1), found.relevant.cumsum(1).double()
    recall = hits / hits[:, -1:].clamp(min=1)
    results = {"precision": hits / retrieved, "recall": recall, "retrieved": retrieved.double()}
    curve = torch.stack(curve_of_radii(results))
    distance = (queries[:, None] != database).sum(dim=2)
    relevant = (asked[:, None] & labels).any(dim=2)
    radii = [radius for radius in range(5, -1, -1) if bool((distance <= radius).any())]
    for column, radius in enumerate(radii):
        within = distance <= radius
        counts = [within & relevant, within & ~relevant, ~within & ~relevant, ~within & relevant]
        assert curve[:4, column].tolist() == [float(one.sum()) for one in counts]
        shares = [relevant[q, within[q]].double().mean() for q in range(6) if within[q].any()]
        assert curve[4, column] == pytest.approx(float(torch.stack(shares).mean()))
        recalls = [(within & relevant)[q].sum() / max(1, int(relevant[q].sum())) for q in range(6)]
        assert curve[5, column] == pytest.approx(float(torch.stack(recalls).mean()))
    assert curve.shape == (6, len(radii))


def test_a_long_curve_keeps_its_ends():
    ramp = torch.arange(1, 258).double()[None]
    curve = curve_of_radii({"precision": ramp / 257, "recall": ramp / 257, "retrieved": ramp})
    assert all(len(one) == 127 for one in curve)
    assert curve[5][[0, -1]].tolist() == [1, 1 / 257]


def test_nothing_happens_without_a_board(tmp_path):
    run_test(tmp_path, CellSummary(), logger=False)
