import itertools

import pytest
import torch
from agreement import check_hits, problems
from hypothesis import HealthCheck, given, settings

from lightning_modules.retrieval.indexes import PgVectorIndex, ScanIndex


@pytest.fixture(scope="module")
def server(postgres):
    return postgres.get_uri()


TABLES = (f"table_{number}" for number in itertools.count())


def filled(codes, server):
    index = PgVectorIndex(codes.shape[1], server, next(TABLES))
    index.add(codes, [str(row) for row in range(len(codes))])
    return index


# Few problems: each makes a table, and starting the server takes seconds already.
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(problem=problems())
def test_finds_what_products_of_codes_find(server, problem):
    database, queries, n = problem
    with filled(database, server) as index:
        assert len(index) == len(database)
        check_hits(index.search(queries, n), database, queries, n, in_order=True)


def test_saved_it_is_a_scan_and_loaded_a_table_again(server, tmp_path):
    codes = torch.randint(0, 2, (30, 12), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with filled(codes, server) as index:
        index.save(tmp_path / "codes.parquet")
    scan = ScanIndex.load(tmp_path / "codes.parquet")
    check_hits(scan.search(codes[:3], 30), codes, codes[:3], 30, in_order=True)
    with PgVectorIndex.load(tmp_path / "codes.parquet", server, next(TABLES)) as again:
        check_hits(again.search(codes[:3], 30), codes, codes[:3], 30, in_order=True)


def test_a_table_stays_and_a_wrong_addition_adds_nothing(server):
    name = next(TABLES)
    with PgVectorIndex(8, server, name) as index:
        index.add(torch.ones(2, 8), ["a", "b"])
        with pytest.raises(ValueError, match=r"ids must be unique.*\(b\)"):
            index.add(torch.ones(2, 8), ["c", "b"])
        with pytest.raises(ValueError, match="1 ids for 2 codes"):
            index.add(torch.ones(2, 8), ["d"])
    with PgVectorIndex(8, server, name) as index:
        assert len(index) == 2
        assert index.search(torch.ones(1, 8), 2).ids == (("a", "b"),)
        with pytest.raises(ValueError, match=r"n must be in 1\.\.2"):
            index.search(torch.ones(1, 8), 3)
    with pytest.raises(ValueError, match=f"table '{name}' has codes of 8 bits, expected codes of 9 bits"):
        PgVectorIndex(9, server, name)


def test_table_names_are_checked():
    pytest.importorskip("pgvector.psycopg", reason="needs the extra pgvector")
    with pytest.raises(ValueError, match="expected letters, digits and underscores"):
        PgVectorIndex(8, "", 'codes"; DROP TABLE codes')
