"""Codes that a prediction makes, as a table per process."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow.parquet as pq
import torch

from callbacks import CodeWriter


def test_codes_of_all_batches_are_written_and_another_file_is_left_alone(tmp_path):
    folder = tmp_path / "codes"
    folder.mkdir()
    theirs = folder / "codes-1.partial"
    theirs.write_text("half")
    writer, trainer = CodeWriter(str(folder)), SimpleNamespace(global_rank=1)
    codes = torch.tensor([[1, -1, 1], [-1, -1, 1], [1, 1, 1]], dtype=torch.int8)
    for rows in (slice(0, 2), slice(2, 3)):
        names = ["a", "b", "c"][rows]
        writer.write_on_batch_end(trainer, None, {"ids": names, "codes": codes[rows]}, None, None, 0, 0)
    writer.write_on_epoch_end(trainer, None, None, None)
    table = pq.read_table(folder / "codes-1.parquet").to_pydict()
    assert table == {"id": ["a", "b", "c"], "code": codes.tolist()}
    assert theirs.read_text() == "half"
    assert len(list(folder.iterdir())) == 2
