"""A backbone, a data module and a Trainer that take milliseconds."""

import torch
from lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from lightning_modules.hashing import Backbone
from lightning_modules.types import Batch

SIZES = {"train": 13, "database": 21, "val": 5, "query": 7}


class Flat(Backbone):
    """All pixels of a 2 x 2 picture."""

    num_features = 12

    def forward(self, inputs):
        return inputs.flatten(1)


class RandomData(LightningDataModule):
    """Random pictures; the class of most is the brightest colour plane, some have two classes or none."""

    dataset_name = "random"

    def __init__(self, seed=0, num_train=SIZES["train"], num_classes=3, size=2):
        super().__init__()
        self.fingerprint = f"{seed}-{num_train}-{num_classes}"
        self.num_classes, self.class_names = num_classes, tuple(f"class {c}" for c in range(num_classes))
        generator = torch.Generator().manual_seed(seed)
        self.parts = {}
        for name, count in (SIZES | {"train": num_train}).items():
            images = torch.rand(count, 3, size, size, generator=generator)
            means = images.mean((2, 3))
            labels = torch.zeros(count, num_classes, dtype=torch.uint8)
            labels[:, :3] = (means > 0.97 * means.amax(1, keepdim=True)).to(torch.uint8)
            labels[-1] = 0
            ids = tuple(f"{name}-{i}" for i in range(count))
            self.parts[name] = Batch(images, labels, torch.arange(count), ids)

    def labels(self, split):
        return self.parts[split].label

    def _loader(self, split, shuffle=False):
        part = self.parts[split]

        def collate(rows):
            rows = torch.tensor(rows)
            ids = tuple(part.ids[row] for row in rows)
            return Batch(part.image[rows], part.label[rows], part.index[rows], ids)

        return DataLoader(range(len(part)), batch_size=4, shuffle=shuffle, collate_fn=collate)

    def train_dataloader(self):
        return self._loader("train", shuffle=True)

    def val_dataloader(self):
        return [self._loader("database"), self._loader("val")]

    def test_dataloader(self):
        return [self._loader("database"), self._loader("query")]

    def predict_dataloader(self):
        return self._loader("query")


def make_trainer(folder, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return Trainer(default_root_dir=folder, **(quiet | {"max_epochs": 1, "enable_checkpointing": False} | options))
