"""What every index must find, worked out from products of codes."""

import torch
from hypothesis import strategies as st


def found_by_products(query, database):
    """Hamming distances (K - q.d) / 2, int64 ``(Q, N)``."""
    return (query.shape[1] - query.long() @ database.long().T) // 2


@st.composite
def problems(draw, most_bits=70):
    """Draw ``(database, queries, n)``; few distinct codes make many ties."""
    bits, items = draw(st.integers(1, most_bits)), draw(st.integers(1, 40))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    distinct = torch.randint(0, 2, (draw(st.integers(1, 8)), bits), generator=generator) * 2 - 1
    database = distinct[torch.randint(0, len(distinct), (items,), generator=generator)]
    queries = torch.randint(0, 2, (draw(st.integers(1, 3)), bits), generator=generator) * 2 - 1
    return database, queries, draw(st.integers(1, items))


def check_hits(hits, database, queries, n, in_order):
    """Compare hits of items named by their position: distances, and ids as sets within a tie."""
    expected = found_by_products(queries, database)
    for query, names in enumerate(hits.ids):
        every = sorted((int(distance), row) for row, distance in enumerate(expected[query]))
        rows, distances = [int(name) for name in names], hits.distances[query].tolist()
        assert distances == [distance for distance, _ in every[:n]]
        assert len(set(rows)) == n
        assert all(int(expected[query, row]) == distance for row, distance in zip(rows, distances, strict=True))
        if in_order:
            assert rows == [row for _, row in every[:n]]
        whole = [distance for distance in set(distances) if distance < distances[-1] or n == len(database)]
        for distance in whole:
            tied = {row for row, other in zip(rows, distances, strict=True) if other == distance}
            assert tied == {row for other, row in every if other == distance}
