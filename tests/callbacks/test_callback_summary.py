"""CellSummary: hyper-parameters, figures and curves of a cell."""

import pytest
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from callbacks import CellSummary
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


def test_nothing_happens_without_a_board(tmp_path):
    run_test(tmp_path, CellSummary(), logger=False)
