"""What an evaluation would do: cells, stored and missing shards, time, disk and memory. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from torch import nn

from lightning_modules.evaluation.estimate import StageEstimate, StageSize, estimate
from lightning_modules.evaluation.hashers import LoadedHasher
from lightning_modules.evaluation.part import Part
from lightning_modules.evaluation.plan import Cell
from lightning_modules.evaluation.runner import Evaluation

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def print_preview(evaluation: Evaluation, part: Part) -> None:
    """Print what is stored of every hasher and every cell of a part, and what the rest will take.

    A stage that several cells share counts where it comes first. Seconds are those of one process.
    """
    cells = part.of(evaluation.plan.cells())
    evaluation.load()
    seen: dict[str, StageEstimate] = {}
    for name, hasher in evaluation.hashers.items():
        _print_line(name, _new(evaluation, _shared_sizes(hasher), seen))
    for cell in cells:
        _print_line(cell.slug, _new(evaluation, _cell_sizes(evaluation, cell), seen))
    print(_summary(list(seen.values()), len(cells)))
    print(f"memory: {_amount(_memory(evaluation))} a process for weights, codes and a shard; activations come on top")


def _new(
    evaluation: Evaluation, sizes: Iterable[StageSize], seen: dict[str, StageEstimate]
) -> list[tuple[StageEstimate, bool]]:
    """Estimate stages, and tell which of them did not come before."""
    found = []
    for size in sizes:
        first = size.stage.key not in seen
        if first:
            seen[size.stage.key] = estimate(evaluation.store, size)
        found.append((seen[size.stage.key], first))
    return found


def _shared_sizes(hasher: LoadedHasher) -> Iterator[StageSize]:
    data = hasher.data
    asked = len(hasher.queries.items)
    yield StageSize(hasher.targets_stage, asked, asked, data.num_classes)
    items = hasher.database_items.total
    yield StageSize(hasher.database_stage, items, hasher.database_items.size, hasher.encoder.num_bits)


def _cell_sizes(evaluation: Evaluation, cell: Cell) -> Iterator[StageSize]:
    hasher, source = evaluation.hashers[cell.hasher], evaluation.hashers[cell.source_hasher]
    queries, side = hasher.queries, hasher.data.pixels.size
    defence = evaluation.plan.defences.get(cell.defence)
    stages = evaluation.stages(cell)
    picture = 3 * side**2
    if stages.attack is not None:
        yield StageSize(stages.attack, queries.total, queries.size, picture + source.encoder.num_bits, side)
    if stages.defence is not None and defence is not None:
        yield StageSize(stages.defence, queries.total, queries.size, defence.n_paths * picture, side)
    yield StageSize(stages.codes, queries.total, queries.size, hasher.encoder.num_bits)


def _print_line(name: str, estimates: list[tuple[StageEstimate, bool]]) -> None:
    parts = []
    for one, first in estimates:
        took = f" ({_time(one.seconds)}, from {one.source})" if first and one.seconds else ""
        parts.append(f"{one.name} {one.stored}/{one.count}" + (" (time unknown)" if one.seconds is None else took))
    print(f"{name:60s} {', '.join(parts)}")


def _summary(estimates: list[StageEstimate], cells: int) -> str:
    stored, count = sum(one.stored for one in estimates), sum(one.count for one in estimates)
    unknown = sum(one.seconds is None for one in estimates)
    known = sum(one.seconds or 0.0 for one in estimates)
    time = f"{_time(known)} of one process" if stored < count else "none"
    if unknown:
        time = "unknown" if unknown == sum(one.stored < one.count for one in estimates) else f"at least {time}"
        time += f" ({unknown} stages were never measured: run a few shards, and ask again)"
    disk = sum(one.bytes for one in estimates)
    return f"{cells} cells; {stored} of {count} shards stored; time: {time}; disk: {_amount(disk)} to be written"


def _time(seconds: float | None) -> str:
    value = seconds or 0.0
    size, unit = next((pair for pair in UNITS if value >= pair[0]), UNITS[-1])
    return f"{value / size:.3g} {unit}"


def _amount(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} GiB"


def _memory(evaluation: Evaluation) -> int:
    """Count weights, code books (codes, labels and their packed forms) and a shard of pictures in float32."""
    plan, hashers = evaluation.plan, list(evaluation.hashers.values())
    networks: list[nn.Module] = [hasher.module for hasher in hashers]
    trained = [attack for hasher in plan.hashers.values() for attack in hasher.attacks.values()]
    networks += [*plan.attacks.values(), *trained, *plan.defences.values(), *plan.surrogates.values()]
    tensors = chain.from_iterable(chain(network.parameters(), network.buffers()) for network in networks)
    weights = {id(tensor): tensor.numel() * tensor.element_size() for tensor in tensors}
    books = sum(9 * (h.encoder.num_bits + h.data.num_classes) * h.database_items.total // 8 for h in hashers)
    paths = max((defence.n_paths for defence in plan.defences.values()), default=1)
    shard = max(3 * 4 * h.data.pixels.size**2 * h.queries.size for h in hashers)
    return sum(weights.values()) + books + (2 + paths) * shard
