"""ProSGANTraining: the second stage of ProS-GAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from lightning_modules.attacks.networks import ProSGANGenerator, PrototypeNet
from lightning_modules.attacks.training.generative import GenerativeTraining
from lightning_modules.attacks.training.objectives import ProSGANPrototype
from lightning_modules.attacks.training.prototype import attack_adam
from lightning_modules.retrieval.targets import target_pool
from lightning_modules.types import binarize


class ProSGANTraining(GenerativeTraining):
    """Trains ProS-GAN's generator, towards the signs of prototype codes of the label combinations of the database.

    Args:
        hasher: checkpoint of the hasher that is attacked.
        prototype: folder of the prototype network, exported by the first stage.
        w_rec: weight of the reconstruction; 100 on FLICKR-25K, 50 on NUS-WIDE and MS-COCO.
        w_hash: weight of the hashing term; 5 in the authors' code, which no paper mentions.
        w_gan: weight of the adversarial term.
        d_every: the discriminator learns in every third step of an epoch, the generator in each.
        channels: channels of the first layer of generator and discriminator; published: 64.
        constant_epochs: epochs before the learning rate falls linearly to (almost) zero; None: half of all.
        drop_empty: leave out the all-zero label, which nothing can retrieve; the authors' code keeps it.
        seed: seed of the target draws.
        optimizer: called with the parameters, once for each network.

    Raises:
        ValueError: a weight or count that is not positive.
    """

    product = ProSGANPrototype.product
    attack = "ProSGAN"

    def __init__(
        self,
        hasher: str,
        prototype: str,
        w_rec: float = 100.0,
        w_hash: float = 5.0,
        w_gan: float = 1.0,
        d_every: int = 3,
        channels: int = 64,
        constant_epochs: int | None = None,
        drop_empty: bool = True,
        seed: int = 0,
        optimizer: OptimizerCallable = attack_adam,
    ) -> None:
        super().__init__(hasher, prototype, w_rec, w_hash, w_gan, d_every, channels, constant_epochs, seed, optimizer)
        self.drop_empty = drop_empty

    def make_networks(self, size: int, options: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
        """See :meth:`GenerativeTraining.make_networks`."""
        del options
        prototype = PrototypeNet(self.data.num_classes, self.victim.num_bits)
        return prototype, ProSGANGenerator(size, self.channels)

    def make_table(self) -> tuple[Tensor, ...]:
        """List the label combinations of the database."""
        return (target_pool(self.data.labels("database"), "unique", drop_empty=self.drop_empty),)

    def wanted(self, code: Tensor) -> Tensor:
        """Return the signs."""
        return binarize(code)
