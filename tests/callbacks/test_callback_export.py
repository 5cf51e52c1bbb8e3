"""Export: one call at the end of a fit."""

import pytest
import torch
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader

from callbacks import Export


class Exported(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.calls = torch.nn.Linear(1, 1), []

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def export(self, folder):
        self.calls.append((folder, self.layer.weight.item(), self.trainer.current_epoch))


@pytest.mark.parametrize("given", [True, False])
def test_the_trained_module_is_exported_once(given, tmp_path):
    module, folder = Exported(), str(tmp_path / "export")
    quiet = {
        "logger": False,
        "default_root_dir": tmp_path,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    trainer = Trainer(max_epochs=2, callbacks=[Export(folder if given else None)], enable_checkpointing=False, **quiet)
    trainer.fit(module, DataLoader(torch.ones(2, 1)))
    assert module.calls == [(folder, module.layer.weight.item(), 2)]
