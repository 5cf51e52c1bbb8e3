"""One store, several processes: each shard is computed once, and the dead hold nobody up."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from lightning_modules.evaluation import claims, store
from lightning_modules.evaluation.claims import Claims
from lightning_modules.evaluation.shards import ShardSampler, busy_shards
from lightning_modules.evaluation.store import ArtifactStore
from lightning_modules.store_files import StoreFiles

SHARDS = 8
FORK = multiprocessing.get_context("fork")


@pytest.fixture(params=["folder", "memory"])
def address(request, tmp_path):
    return str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}"


def stage_of(address, count=SHARDS, **facts):
    return ArtifactStore(address).stage("codes", facts, count)


def tensors(shard=0):
    return {"codes": torch.full((2, 4), shard, dtype=torch.int8), "empty": torch.zeros(0, 3)}


def fill_all(address, log, start):
    """Fill a stage as a process of an evaluation does; note who computed what."""
    stage = stage_of(address)
    start.wait()
    for shard in ShardSampler(SHARDS, busy=busy_shards([stage])):

        def compute(shard=shard):
            with Path(log).open("a") as file:
                file.write(f"{os.getpid()} {shard}\n")
            time.sleep(0.1)
            return tensors(shard)

        stage.shard(shard, compute)
    assert not stage.missing()


def test_two_processes_compute_each_shard_once(tmp_path):
    start, log = FORK.Barrier(2), tmp_path / "log"
    processes = [FORK.Process(target=fill_all, args=(str(tmp_path / "store"), log, start)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    lines = [line.split() for line in log.read_text().splitlines()]
    assert sorted(int(shard) for _, shard in lines) == list(range(SHARDS))
    assert {int(pid) for pid, _ in lines} == {process.pid for process in processes}  # both had something to do
    assert all("claim" not in path.name for path in (tmp_path / "store").rglob("*"))


def never_end(address, started):
    stage_of(address).shard(3, lambda: (started.set(), time.sleep(600)))


def test_a_killed_process_is_replaced(tmp_path):
    started = FORK.Event()
    process = FORK.Process(target=never_end, args=(str(tmp_path), started))
    process.start()
    assert started.wait(60)
    stage = stage_of(str(tmp_path))
    assert stage.busy() == {3}
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert stage.busy() == set()
    began = time.monotonic()
    assert torch.equal(stage.shard(3, lambda: tensors(3))["codes"], tensors(3)["codes"])
    assert time.monotonic() - began < claims.EXPIRY / 2  # a process of this machine is known to be dead at once
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["shard-00003.safetensors"]


def foreign(beats):
    return json.dumps({"host": "elsewhere", "pid": 1, "process": "other", "beats": beats}).encode()


def test_a_silent_machine_is_replaced_after_a_while(address):
    files = StoreFiles(address)
    mine = Claims(files, expiry=0.2)
    assert files.create("codes/key/a.claim-0", foreign(0))
    with mine.claim("codes/key/a") as ours:
        assert not ours
    assert mine.held("codes/key") == {"codes/key/a"}
    time.sleep(0.15)
    files.write("codes/key/a.claim-0", foreign(1))  # a sign of life
    assert mine.held("codes/key") == {"codes/key/a"}
    time.sleep(0.15)
    assert mine.held("codes/key") == {"codes/key/a"}
    time.sleep(0.15)
    assert mine.held("codes/key") == set()
    with mine.claim("codes/key/a") as ours:
        assert ours
        assert files.names("codes/key") == {"a.claim-0", "a.claim-1"}
        with Claims(files).claim("codes/key/a") as also:  # an onlooker who has not waited so long
            assert not also
    assert files.names("codes/key") == set()


def test_a_claim_gives_signs_of_life(address):
    files = StoreFiles(address)
    with Claims(files, beat=0.02).claim("a") as ours:
        assert ours
        first = files.read("a.claim-0")
        deadline = time.monotonic() + 10
        while files.read("a.claim-0") == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_of_many_that_try_one_gets_the_claim(address):
    files, barrier, won = StoreFiles(address), threading.Barrier(8), []

    def attempt():
        other = Claims(StoreFiles(address))
        barrier.wait()
        with other.claim("a") as ours:
            won.append(ours)
            barrier.wait()  # nobody lets go before all have tried

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]
    assert not files.exists("a.claim-0")


def test_who_waits_gets_what_the_other_computed(address, monkeypatch):
    monkeypatch.setattr(store, "POLLS", (0.01, 0.05))
    inside, release, results = threading.Event(), threading.Event(), {}

    def slow():
        inside.set()
        assert release.wait(30)
        return tensors(7)

    first = threading.Thread(target=lambda: results.update(a=stage_of(address).shard(0, slow)))
    second = threading.Thread(
        target=lambda: results.update(b=stage_of(address).shard(0, lambda: pytest.fail("computed twice")))
    )
    first.start()
    assert inside.wait(30)
    second.start()
    time.sleep(0.1)
    assert not results
    release.set()
    first.join()
    second.join()
    assert torch.equal(results["a"]["codes"], results["b"]["codes"])


def test_a_failure_releases_the_shard(address):
    stage = stage_of(address)
    with pytest.raises(ZeroDivisionError):
        stage.shard(0, lambda: {"codes": torch.zeros(1 // 0)})
    assert stage.missing() == list(range(SHARDS))
    assert stage.shard(0, tensors).keys() == tensors().keys()


def test_what_was_stored_is_read_again(address):
    stage = stage_of(address, count=2, data="x")
    made = [stage.shard(shard, lambda shard=shard: tensors(shard)) for shard in range(2)]
    stage.finish()
    again = stage_of(address, count=2, data="x")
    for shard, values in enumerate(made):
        assert all(torch.equal(values[name], read) for name, read in again.load(shard).items())
    assert again.record() == stage.record()
    assert again.record().items == 4
    assert again.record().seconds > 0
    assert next(ArtifactStore(address).finished("codes")) == ({"stage": "codes", "data": "x"}, stage.record())
    assert stage_of(address, count=2, data="y").missing() == [0, 1]


def test_finished_stages_are_listed_in_one_read_each(address, monkeypatch):
    for data in "xy":
        stage = stage_of(address, count=1, data=data)
        stage.shard(0, tensors)
        stage.finish()
    stage_of(address, count=1, data="unfinished").shard(0, tensors)
    reads, read = [], StoreFiles.read
    monkeypatch.setattr(StoreFiles, "read", lambda self, path, end=None: (reads.append(path), read(self, path, end))[1])
    assert sorted(facts["data"] for facts, _ in ArtifactStore(address).finished("codes")) == ["x", "y"]
    assert len(reads) == len(set(reads)) == 3


def test_half_a_file_is_never_seen(tmp_path, monkeypatch):
    files = StoreFiles(str(tmp_path))
    files.write("a/b", b"old")

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        files.write("a/b", b"new")
    assert files.read("a/b") == b"old"
    assert files.names("a") == {"b"}


def test_busy_shards_come_last():
    busy = iter([{0, 1}, {0}, {0}, {0}])
    assert list(ShardSampler(4, busy=lambda: next(busy))) == [2, 1, 3, 0]
    assert list(ShardSampler(7, rank=1, world=3)) == [1, 4]
    assert list(ShardSampler(7, rank=1, world=3, done={4})) == [1]


def test_an_unknown_address_is_refused():
    with pytest.raises(ValueError, match=r"artefact store nowhere://x: .*nowhere"):
        ArtifactStore("nowhere://x")
