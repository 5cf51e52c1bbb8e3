import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from agreement import check_hits, problems
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_modules.retrieval.indexes import ScanIndex, read_codes
from lightning_modules.retrieval.metrics import top_n


def names(count, start=0):
    return [str(row) for row in range(start, start + count)]


@settings(deadline=None)
@given(problem=problems(), chunk=st.integers(1, 50), cut=st.integers(0, 40))
def test_finds_what_products_of_codes_find_in_any_chunks_and_additions(problem, chunk, cut):
    database, queries, n = problem
    index = ScanIndex(database.shape[1], chunk)
    index.add(database[:cut], names(len(database[:cut])))
    index.add(database[cut:], names(len(database[cut:]), len(database[:cut])))
    assert len(index) == len(database)
    check_hits(index.search(queries, n), database, queries, n, in_order=True)


def test_agrees_with_the_ranking_of_the_metrics():
    codes = torch.randint(0, 2, (200, 32), generator=torch.Generator().manual_seed(0)) * 2 - 1
    index = ScanIndex(32)
    index.add(codes, names(200))
    rows, distances = top_n(codes[:5], codes, 20)
    hits = index.search(codes[:5], 20)
    assert [[int(name) for name in found] for found in hits.ids] == rows.tolist()
    assert torch.equal(hits.distances, distances)


@pytest.mark.parametrize("bits", [1, 7, 32, 33, 64, 100])
def test_saved_and_loaded_it_finds_the_same(tmp_path, bits):
    codes = torch.randint(0, 2, (30, bits), generator=torch.Generator().manual_seed(bits)) * 2 - 1
    index = ScanIndex(bits)
    index.add(codes, names(30))
    index.save(tmp_path / "below" / "codes.parquet")
    loaded = ScanIndex.load(tmp_path / "below" / "codes.parquet")
    assert loaded.num_bits == bits
    check_hits(loaded.search(codes[:3], 30), codes, codes[:3], 30, in_order=True)
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["codes.parquet"]
    with pytest.raises(ValueError, match="id '3' is in the index already"):
        loaded.add(codes[:1], ["3"])


def test_an_empty_index_is_saved_and_grows(tmp_path):
    ScanIndex(5).save(tmp_path / "codes.parquet")
    index = ScanIndex.load(tmp_path / "codes.parquet")
    index.add(torch.ones(1, 5), ["one"])
    assert index.search(torch.ones(1, 5), 1).ids == (("one",),)


def test_the_file_holds_the_bits_as_databases_write_them(tmp_path):
    index = ScanIndex(10)
    index.add(torch.tensor([[1, -1, -1, -1, -1, -1, -1, 1, 1, -1]]), ["a"])
    index.save(tmp_path / "codes.parquet")
    table = pq.read_table(tmp_path / "codes.parquet")
    assert table["code"].to_pylist() == [bytes([0b10000001, 0b10000000])]
    assert table["id"].to_pylist() == ["a"]
    assert table.schema.metadata == {b"num_bits": b"10"}


def test_codes_that_predict_wrote_are_loaded(tmp_path):
    codes = torch.tensor([[1, -1, 1], [-1, -1, 1]], dtype=torch.int8)
    column = pa.FixedSizeListArray.from_arrays(pa.array(codes.flatten().numpy()), 3)
    pq.write_table(pa.table({"id": ["a", "b"], "code": column}), tmp_path / "codes-0.parquet")
    hits = ScanIndex.load(tmp_path / "codes-0.parquet").search(codes[1:], 2)
    assert hits.ids == (("b", "a"),)
    assert hits.distances.tolist() == [[0, 1]]


def test_a_file_of_slices_is_read_whole(tmp_path):
    index = ScanIndex(8)
    index.add(torch.tensor([[1] * 8, [-1] * 8, [1] * 4 + [-1] * 4]), ["a", "b", "c"])
    index.save(tmp_path / "codes.parquet")
    table = pq.read_table(tmp_path / "codes.parquet")
    pq.write_table(table.slice(1), tmp_path / "rest.parquet", row_group_size=1)
    packed, ids = read_codes(tmp_path / "rest.parquet")
    assert ids == ["b", "c"]
    assert packed.rows().tolist() == [[0], [0b11110000]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a"]}, "column 'code' is missing"),
        ({"id": ["a"], "code": ["x"]}, "must be fixed-size binary"),
        ({"id": pa.array([None], pa.string()), "code": pa.array([b"x"], pa.binary(1))}, "column 'id' must hold texts"),
        ({"id": ["a"], "code": pa.array([b"x"], pa.binary(1))}, "must hold num_bits"),
        ({"id": ["a"], "code": pa.array([[1, 0]], pa.list_(pa.int8(), 2))}, "codes must be -1 or \\+1"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "codes.parquet")
    with pytest.raises(ValueError, match=message) as caught:
        ScanIndex.load(tmp_path / "codes.parquet")
    assert "codes.parquet" in str(caught.value)


@pytest.mark.parametrize(
    ("bits", "message"), [("9", "codes of 1 bytes, expected 2 for 9 bits"), ("7", "bits beyond the 7"), ("0", "'0'")]
)
def test_codes_that_do_not_fit_the_named_bits_are_refused(tmp_path, bits, message):
    table = pa.table({"id": ["a"], "code": pa.array([b"\x01"], pa.binary(1))})
    pq.write_table(table.replace_schema_metadata({"num_bits": bits}), tmp_path / "codes.parquet")
    with pytest.raises(ValueError, match=message):
        ScanIndex.load(tmp_path / "codes.parquet")


def test_no_file_and_no_parquet_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.parquet: no readable Parquet file"):
        ScanIndex.load(tmp_path / "none.parquet")
    (tmp_path / "codes.parquet").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"codes\.parquet: no readable Parquet file"):
        ScanIndex.load(tmp_path / "codes.parquet")


@pytest.mark.parametrize(
    ("codes", "ids", "message"),
    [
        (torch.ones(2, 5), ["a", "b"], "codes have 5 bits, the index 4"),
        (torch.zeros(1, 4), ["a"], "must be -1 or"),
        (torch.ones(2, 4), ["a"], "1 ids for 2 codes"),
        (torch.ones(2, 4), ["a", "a"], "id 'a' is in the index already"),
    ],
)
def test_a_wrong_addition_adds_nothing(codes, ids, message):
    index = ScanIndex(4)
    with pytest.raises(ValueError, match=message):
        index.add(codes, ids)
    assert len(index) == 0


@pytest.mark.parametrize(("n", "total"), [(0, 2), (3, 2), (1, 0)])
def test_the_length_of_a_list_is_checked(n, total):
    index = ScanIndex(4)
    index.add(torch.ones(total, 4), names(total))
    with pytest.raises(ValueError, match=rf"n must be in 1\.\.{total}"):
        index.search(torch.ones(1, 4), n)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="num_bits=0"):
        ScanIndex(0)
    with pytest.raises(ValueError, match="chunk=0"):
        ScanIndex(4, chunk=0)


def test_no_queries_give_no_lists():
    index = ScanIndex(4)
    index.add(torch.ones(2, 4), names(2))
    hits = index.search(torch.from_numpy(np.empty((0, 4), np.int8)), 2)
    assert hits.ids == ()
    assert hits.distances.shape == (0, 2)
