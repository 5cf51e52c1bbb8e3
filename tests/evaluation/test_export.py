"""The export of a database: written, loaded again, and searched, against the order of codes made here."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml

import evaluate
from lightning_modules.evaluation.export import ExportedItems
from lightning_modules.evaluation.export.milvus import LONGEST, write_milvus
from lightning_modules.evaluation.export.pgvector import write_pgvector
from lightning_modules.hashing import HashingModule
from lightning_modules.retrieval.indexes import FaissIndex, PgVectorIndex, ScanIndex
from tests.conftest import evaluation_arguments

NASTY = [r"a\b", "tab\tand\nline\r", 'quote " and , and {}', "null", r"\N", r"\.", "Zürich 楽", ""]


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    """The folder of an export, and what it must find: (query codes, ids by distance, then position; distances)."""
    root = tmp_path_factory.mktemp("export")
    arguments = [*evaluation_arguments(tiny, root / "output"), "--hasher", "DPSH", "--out", str(root / "out")]
    arguments += ["--defences.RetPur.init_args.model", "no such model"]  # is not needed
    assert evaluate.main(["export", *arguments]) == 0
    data, encoder = tiny.open_data(), HashingModule.load_from_checkpoint(tiny.hasher)
    loaders = data.test_dataloader()
    database, queries = (torch.cat([encoder.encode(batch.image) for batch in loader]).int() for loader in loaders)
    distances = (database.shape[1] - queries @ database.T) // 2
    order = [sorted(range(len(database)), key=lambda row: (int(found[row]), row)) for found in distances]
    ids = data.ids("database")
    expected = tuple(tuple(ids[row] for row in rows) for rows in order)
    return root / "out", queries, expected, distances.sort(dim=1).values


def test_a_scan_of_the_parquet_file_ranks_as_the_evaluation_does(exported):
    folder, queries, ids, distances = exported
    index = ScanIndex.load(folder / "images" / "codes.parquet")
    hits = index.search(queries, len(index))
    assert hits.ids == ids
    assert torch.equal(hits.distances, distances)


def test_the_faiss_index_finds_the_same_distances(exported):
    pytest.importorskip("faiss", reason="needs the extra faiss")
    folder, queries, ids, distances = exported
    index = FaissIndex.load(folder / "images" / "faiss")
    hits = index.search(queries, len(index))
    assert torch.equal(hits.distances, distances)
    assert [sorted(found) for found in hits.ids] == [sorted(found) for found in ids]


def test_the_sql_script_makes_a_table_that_ranks_as_the_evaluation_does(exported, postgres):
    folder, queries, ids, distances = exported
    postgres.psql((folder / "images" / "pgvector.sql").read_text())
    with PgVectorIndex(queries.shape[1], postgres.get_uri()) as index:
        hits = index.search(queries, len(index))
        assert hits.ids == ids
        assert torch.equal(hits.distances, distances)


def test_the_exported_encoder_makes_the_codes_that_are_searched(exported, tiny):
    program = torch.export.load(exported[0] / "encoder.pt2").module()
    images = torch.cat([batch.to("cpu").image for batch in tiny.open_data().test_dataloader()[1]])
    assert torch.equal(torch.where(program(images) >= 0, 1, -1), exported[1])


def test_a_missing_encoder_is_told_and_the_database_is_there(tiny, tmp_path, monkeypatch, capsys):
    def fails(*args, **kwargs):
        raise RuntimeError("a branch\nand more")

    monkeypatch.setattr(torch.export, "export", fails)
    arguments = [*evaluation_arguments(tiny, tmp_path / "output"), "--hasher", "DPSH", "--out", str(tmp_path / "out")]
    assert evaluate.main(["export", *arguments, "--formats", "[parquet, encoder]"]) == 0
    assert "no encoder.pt2: torch.export cannot take 'resnet18' (RuntimeError: a branch)" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["codes.parquet", "export.json"]
    assert json.loads((tmp_path / "out/export.json").read_text())["encoder"] is None


def test_metadata_stand_beside_the_codes(exported, tiny):
    folder, data = exported[0], tiny.open_data()
    table = pq.read_table(folder / "images" / "codes.parquet")
    labels = [[data.class_names[i] for i in row.nonzero().flatten()] for row in data.labels("database")]
    assert table["labels"].to_pylist() == labels
    captions = [data.source.caption(int(row)) for row in data.rows("database")]
    assert all(captions)
    assert table["caption"].to_pylist() == captions
    facts = json.loads((folder / "export.json").read_text())
    assert (facts["num_bits"], facts["items"]) == (8, {"images": len(table)})
    assert facts["encoder"] == "encoder.pt2"
    assert facts["fingerprint"] == data.fingerprint


def test_milvus_takes_schema_and_rows_as_its_own_client_writes_them(exported, tmp_path):
    pymilvus = pytest.importorskip("pymilvus", reason="needs the package pymilvus")
    writer = pytest.importorskip("pymilvus.bulk_writer", reason="needs pymilvus' bulk writer")
    folder = exported[0] / "images" / "milvus"
    raw = json.loads((folder / "schema.json").read_text())
    for field in raw["fields"]:
        if "element_type" in field:  # which the bulk writer, unlike the rest of pymilvus, wants as an enumeration
            field["element_type"] = pymilvus.DataType(field["element_type"])
    schema = pymilvus.CollectionSchema.construct_from_dict(raw)
    schema.verify()
    code = next(field for field in schema.fields if field.name == "code")
    assert (code.dtype, code.params["dim"]) == (pymilvus.DataType.BINARY_VECTOR, 8)
    rows = json.loads((folder / "rows.json").read_text())["rows"]
    table = pq.read_table(exported[0] / "images" / "codes.parquet").to_pylist()
    with writer.LocalBulkWriter(schema, str(tmp_path), file_type=writer.BulkFileType.JSON) as bulk:
        for row in table:  # the bulk writer checks every value against the schema
            bulk.append_row(dict(row))
        bulk.commit()
        [[written]] = bulk.batch_files
        assert rows == json.loads(Path(written).read_text())["rows"]


def nasty_items():
    codes = torch.where(torch.arange(8 * 12).view(8, 12) % 5 < 2, 1, -1)
    labels = [NASTY[:row] for row in range(8)]
    ids = tuple(f"{text}{number}" for number, text in enumerate(NASTY))
    return ExportedItems(codes, ids, labels, {"caption": [*NASTY[:-1], None]})


def test_any_text_survives_the_way_into_postgres(tmp_path, postgres):
    psycopg = pytest.importorskip("psycopg")
    items = nasty_items()
    write_pgvector(items, tmp_path, "nasty")
    postgres.psql((tmp_path / "pgvector.sql").read_text())
    with psycopg.connect(postgres.get_uri()) as connection:
        rows = connection.execute("SELECT id, code, labels, caption FROM nasty ORDER BY position").fetchall()
    assert [row[0] for row in rows] == list(items.ids)
    assert [row[1] for row in rows] == ["".join("1" if bit > 0 else "0" for bit in code) for code in items.codes]
    assert [row[2] for row in rows] == items.labels
    assert [row[3] for row in rows] == items.texts["caption"]


def test_texts_that_a_database_cannot_hold_are_named(tmp_path):
    one = torch.ones(1, 8)
    with pytest.raises(ValueError, match="has a zero byte"):
        write_pgvector(ExportedItems(one, ("a\0",), [[]]), tmp_path)
    with pytest.raises(ValueError, match="item 'a': its caption has more than 65535 bytes"):
        write_milvus(ExportedItems(one, ("a",), [[]], {"caption": ["ü" * LONGEST]}), tmp_path)
    assert not list(tmp_path.rglob("*.*"))


def test_wrong_names_are_refused_before_any_work(tiny, tmp_path, capsys):
    arguments = [*evaluation_arguments(tiny, tmp_path / "output"), "--out", str(tmp_path / "out")]
    with pytest.raises(ValueError, match=r"hasher 'CSQ': the plan has \['DPSH'\]"):
        evaluate.main(["export", *arguments, "--hasher", "CSQ"])
    for option in (["--dry-run"], ["--only", "1/2"], ["--pictures", "3"], ["--formats", "[pickle]"]):
        with pytest.raises(SystemExit):
            evaluate.main(["export", *arguments, "--hasher", "DPSH", *option])
        assert option[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_rest_of_a_plan_is_not_made(tiny, tmp_path, monkeypatch):
    trained = {"class_path": "lightning_modules.attacks.ProSGAN", "init_args": {"folder": str(tmp_path / "nowhere")}}
    other = {"dataset": "other", "checkpoint": "other.ckpt", "attacks": {"ProS-GAN": trained}}
    scenes = {"class_path": "datamodules.ScenesDataModule", "init_args": {"num_images": 48}}
    more = {"hashers": {"DPSH": {"attacks": {"ProS-GAN": trained}}, "CSQ": other}, "datasets": {"other": scenes}}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(more))
    arguments = evaluation_arguments(tiny, tmp_path / "output", "--config", str(tmp_path / "more.yaml"))
    built, build = [], evaluate.build_plan

    def note(parser, config):
        built.append((list(config.hashers), list(config.datasets)))
        return build(parser, config)

    monkeypatch.setattr(evaluate, "build_plan", note)
    monkeypatch.setattr(evaluate, "export_hasher", lambda *_: None)
    assert evaluate.main(["export", *arguments, "--hasher", "DPSH", "--out", str(tmp_path / "out")]) == 0
    assert built == [(["DPSH"], ["scenes"])]
