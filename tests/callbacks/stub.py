"""A module with the outputs of an evaluation, and what TensorBoard keeps of its test."""

import io
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.utils.data import DataLoader

SIDE = 8


@dataclass(frozen=True)
class StubCell:
    dataset: str = "scenes"
    hasher: str = "DPSH"
    source_hasher: str = "DPSH"
    attack: str = "P2P"
    defence: str = "RetPur"


def pictures(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def make_outputs(ids, seed=0):
    """Return outputs of one test step for these ids; attacked and defended are off by 3 and by 1."""
    original = pictures(len(ids), seed) // 2
    generator = torch.Generator().manual_seed(seed)
    label = torch.zeros(len(ids), 3, dtype=torch.uint8)
    label[:, 0] = 1
    return SimpleNamespace(
        ids=tuple(ids),
        original=original,
        attacked=original + 3,
        defended=original + 1,
        codes=torch.randint(2, (len(ids), 6), generator=generator, dtype=torch.int8) * 2 - 1,
        label=label,
        target=label.roll(1, dims=1),
    )


class WatchedDefence(nn.Module):
    """A chain of five states from black to white; the images themselves are left alone."""

    def forward(self, images, ids=None, draw=0, observe=None):
        for t in range(5):
            observe(t, torch.full_like(images, t / 2 - 1))
        self.seen = ids
        return images


class StubModule(LightningModule):
    """Two test steps of three queries, and a database of four pictures: one per kind of frame."""

    def __init__(self, defence=None):
        super().__init__()
        self.defence, self.cell = defence, StubCell()
        labels = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.uint8)
        images = pictures(4, seed=9)
        database = SimpleNamespace(labels=labels)
        self.context = SimpleNamespace(database=database, database_image=images.__getitem__, text=None)
        self.asked = []

    def rank(self, images, depth):
        self.asked.append(images)
        return torch.arange(4)[None, :depth].expand(len(images), -1)

    def test_step(self, batch, batch_idx):
        return make_outputs(batch, seed=batch_idx)

    def on_test_epoch_end(self):
        curve = torch.tensor([[0.5, 0.25, 0.0], [1.0, 0.75, 0.5]])
        self.results = {"map": torch.tensor([0.25, 0.75]), "t_map": torch.tensor([0.0, 0.5])}
        self.results |= {"precision": curve, "recall": 1 - curve}
        self.results["retrieved"] = torch.tensor([[2.0, 4.0, 8.0], [1.0, 4.0, 8.0]])


def run_test(folder, callback, module=None, logger=True):
    """Test a stub with a callback; returns what TensorBoard holds."""
    module = module or StubModule()
    board = TensorBoardLogger(str(folder), name="", version="") if logger else False
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(logger=board, callbacks=[callback], accelerator="cpu", **quiet)
    steps = [["a", "b", "c"], ["d", "e", "f"]]
    trainer.test(module, DataLoader(steps, batch_size=None), verbose=False)
    if not logger:
        return None
    board.experiment.flush()
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "histograms": 0})
    events.Reload()
    return events


def images_of(events, prefix):
    """Return the pictures of all tags with a prefix, as uint8 arrays by the rest of their tag."""
    return {
        tag.removeprefix(prefix): np.asarray(Image.open(io.BytesIO(events.Images(tag)[0].encoded_image_string)))
        for tag in events.Tags()["images"]
        if tag.startswith(prefix)
    }


def as_array(image: Tensor):
    return image.permute(1, 2, 0).numpy()
