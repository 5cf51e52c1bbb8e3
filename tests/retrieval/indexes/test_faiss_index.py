import pyarrow as pa
import pytest
import torch
from agreement import check_hits, problems
from hypothesis import given, settings

from lightning_modules.retrieval.indexes import FaissIndex
from lightning_modules.retrieval.indexes.files import write_table

faiss = pytest.importorskip("faiss", reason="needs the extra faiss")


def filled(codes):
    index = FaissIndex(codes.shape[1])
    index.add(codes, [str(row) for row in range(len(codes))])
    return index


@settings(deadline=None)
@given(problem=problems())
def test_finds_what_products_of_codes_find(problem):
    database, queries, n = problem
    check_hits(filled(database).search(queries, n), database, queries, n, in_order=False)


@pytest.mark.parametrize("bits", [8, 12])
def test_saved_and_loaded_it_finds_the_same(tmp_path, bits):
    codes = torch.randint(0, 2, (30, bits), generator=torch.Generator().manual_seed(bits)) * 2 - 1
    filled(codes).save(tmp_path / "index")
    loaded = FaissIndex.load(tmp_path / "index")
    assert (loaded.num_bits, len(loaded)) == (bits, 30)
    check_hits(loaded.search(codes[:3], 30), codes, codes[:3], 30, in_order=False)
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == ["ids.parquet", "index.faiss"]
    other = faiss.read_index_binary(str(tmp_path / "index" / "index.faiss"))  # as other programs read it
    assert (other.ntotal, other.d) == (30, 8 * -(-bits // 8))


def test_damaged_and_mixed_folders_are_refused(tmp_path):
    filled(torch.ones(3, 8)).save(tmp_path)
    write_table(tmp_path / "ids.parquet", pa.table({"id": ["a"]}), 8)
    with pytest.raises(ValueError, match=r"holds 3 codes of 8 bits, but ids\.parquet beside it has 1 ids"):
        FaissIndex.load(tmp_path)
    (tmp_path / "index.faiss").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"index\.faiss: no readable binary index"):
        FaissIndex.load(tmp_path)
    with pytest.raises(ValueError, match=r"ids\.parquet: no readable Parquet file"):
        FaissIndex.load(tmp_path / "none")


def test_a_repeated_id_is_refused():
    index = filled(torch.ones(2, 8))
    with pytest.raises(ValueError, match="id '1' is in the index already"):
        index.add(torch.ones(1, 8), ["1"])
    assert len(index) == 2
    assert index.search(torch.ones(1, 8), 2).distances.tolist() == [[0, 0]]
