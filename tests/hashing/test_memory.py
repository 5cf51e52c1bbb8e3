"""The code memory: what is written is there, after a restart and on every process."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lightning_modules.hashing.memory import CodeMemory

LABELS = torch.eye(7, dtype=torch.uint8)


def test_rows_are_written_where_the_index_says():
    memory = CodeMemory(LABELS, 4)
    assert torch.equal(memory.codes, torch.zeros(7, 4))
    codes = torch.rand(3, 4)
    memory.write(torch.tensor([5, 0, 2]), codes)
    assert torch.equal(memory.codes[[5, 0, 2]], codes)
    assert torch.equal(memory.codes[[1, 3, 4, 6]], torch.zeros(4, 4))
    memory.write(torch.tensor([0]), -codes[:1])
    assert torch.equal(memory.codes[0], -codes[0])


def test_the_memory_keeps_no_graph_and_no_alias():
    labels = LABELS.clone()
    memory = CodeMemory(labels, 4)
    codes = torch.rand(7, 4, dtype=torch.bfloat16, requires_grad=True)
    memory.write(torch.arange(7), codes * 1)
    assert memory.codes.dtype == torch.float32
    assert not memory.codes.requires_grad
    before = memory.codes.clone()
    with torch.no_grad():
        codes.zero_()
    labels.zero_()
    assert torch.equal(memory.codes, before)
    assert torch.equal(memory.labels, LABELS)


def test_codes_and_labels_survive_a_restart():
    memory = CodeMemory(LABELS, 4)
    memory.write(torch.arange(7), torch.rand(7, 4))
    state = memory.state_dict()
    assert set(state) == {"codes", "labels"}
    fresh = CodeMemory(torch.zeros_like(LABELS), 4)
    fresh.load_state_dict(state)
    assert torch.equal(fresh.codes, memory.codes)
    assert torch.equal(fresh.labels, LABELS)
    assert not list(memory.parameters())


def steps():
    """Return ``(index, codes)`` per step: 3 and 1 items, then 1 and 2, in every process."""
    codes = torch.rand(2, 7, 4, generator=torch.Generator().manual_seed(0))
    rows = [[torch.tensor([6, 1, 3]), torch.tensor([0])], [torch.tensor([2]), torch.tensor([5, 1])]]
    return [[(index, codes[step][index]) for index in parts] for step, parts in enumerate(rows)]


def write_as(rank, folder):
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    memory = CodeMemory(LABELS, 4)
    for parts in steps():
        memory.write(*parts[rank])
    torch.save(memory.codes, f"{folder}/codes{rank}")
    dist.destroy_process_group()


@pytest.mark.ddp
def test_two_processes_hold_the_memory_of_one(tmp_path):
    other = mp.get_context("spawn").Process(target=write_as, args=(1, str(tmp_path)))
    other.start()
    try:
        write_as(0, str(tmp_path))
    finally:
        other.join()
    assert other.exitcode == 0
    single = CodeMemory(LABELS, 4)
    for parts in steps():
        single.write(torch.cat([index for index, _ in parts]), torch.cat([codes for _, codes in parts]))
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"codes{rank}"), single.codes)
