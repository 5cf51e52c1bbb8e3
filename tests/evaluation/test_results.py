"""The files of results, while an evaluation runs and at its end."""

from __future__ import annotations

import json

from lightning_modules.evaluation.results import ResultFiles


def test_rows_are_appended_and_replace_an_earlier_run_at_the_end(tmp_path):
    (tmp_path / "results.json").write_text("[]")
    (tmp_path / "results.jsonl").write_text("an earlier run\n")
    files, rows = ResultFiles(tmp_path), [{"map": 0.5}, {"error": "Zürich"}]
    for row in rows:
        files.add(row)
    assert [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()] == rows
    assert json.loads((tmp_path / "results.json").read_text()) == []
    files.finish()
    assert json.loads((tmp_path / "results.json").read_text()) == rows
    assert len(list(tmp_path.iterdir())) == 2


def test_what_another_process_is_writing_stays(tmp_path):
    theirs = tmp_path / "results.json.partial"
    theirs.write_text("half")
    ResultFiles(tmp_path).finish()
    assert theirs.read_text() == "half"
