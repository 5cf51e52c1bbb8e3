"""ProSGANTraining: the second stage of ProS-GAN, generator against discriminator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from lightning_modules.attacks.folder import AttackFacts, load_folder, load_prefixed, prefixed, save_folder
from lightning_modules.attacks.networks import ClassDiscriminator, ProSGANGenerator, PrototypeNet
from lightning_modules.attacks.training.losses import FAKE, REAL, class_lsgan, code_disagreement, reconstruction
from lightning_modules.attacks.training.objectives import ProSGANPrototype
from lightning_modules.attacks.training.prototype import attack_adam
from lightning_modules.attacks.training.validated import ValidatedTraining
from lightning_modules.checks import check_positive
from lightning_modules.retrieval.targets import target_pool
from lightning_modules.types import Batch, binarize


class ProSGANTraining(ValidatedTraining):
    """Trains ProS-GAN's generator against a hasher and a discriminator (Wang et al., CVPR 2021, section 3.4).

    ``L_G = w_rec MSE + w_hash (1 - mean u h) + w_gan LSGAN`` with pictures in [-1, 1]. Every image is given
    a target label, each label combination of the database with the same chance; a draw depends on seed, epoch
    and sample only.

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

    prototype: PrototypeNet

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
        super().__init__(hasher, seed)
        check_positive(w_rec=w_rec, w_hash=w_hash, d_every=d_every, channels=channels)
        self.automatic_optimization = False
        self.prototype_folder = prototype
        self.weights = {"reconstruction": w_rec, "hashing": w_hash, "adversarial": w_gan}
        self.d_every, self.channels, self.drop_empty = d_every, channels, drop_empty
        self.constant_epochs, self._optimizer = constant_epochs, optimizer

    def configure_model(self) -> None:
        """Make the networks, once the data is known, and read the prototype network."""
        if hasattr(self, "generator"):
            return
        data, size = self.data, self.data.pixels.size
        facts, tensors = load_folder(self.prototype_folder, ProSGANPrototype.product)
        self._check_prototype(facts)
        self.prototype = PrototypeNet(data.num_classes, self.victim.num_bits)
        load_prefixed({"prototype": self.prototype}, tensors, self.prototype_folder)
        self.prototype.requires_grad_(False)
        self.generator = ProSGANGenerator(size, self.channels)
        self.discriminator = ClassDiscriminator(data.num_classes, size, self.channels)
        self.pool = target_pool(data.labels("database"), "unique", drop_empty=self.drop_empty)

    def _check_prototype(self, facts: AttackFacts) -> None:
        if facts.victim != self.victim_digest:
            raise ValueError(
                f"prototype network {self.prototype_folder!r} was trained against another hasher than {self.hasher!r}; "
                "repeat the first stage"
            )

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Let the discriminator learn, every third time, then the generator."""
        images, target = 2 * batch.image - 1, self.targets(batch, f"epoch-{self.current_epoch}")
        with torch.no_grad():
            prototype = self.prototype(target)
        made = self.generator(images, prototype.semantic)
        generator, discriminator = self.optimizers()  # type: ignore[attr-defined]
        if batch_idx % self.d_every == 0:
            self._step(discriminator, self.discriminator_loss(images, batch.label, made.detach(), target))
        self.discriminator.requires_grad_(False)  # it judges now, and is not to learn from it
        self._step(generator, self.generator_loss(images, made, target, binarize(prototype.code)))
        self.discriminator.requires_grad_(True)

    def discriminator_loss(self, images: Tensor, labels: Tensor, made: Tensor, target: Tensor) -> Tensor:
        """Half of: ``[y, real]`` for images, ``[y_t, fake]`` for what the generator made of them."""
        real = class_lsgan(self.discriminator(images).float(), labels, REAL)
        fake = class_lsgan(self.discriminator(made).float(), target, FAKE)
        loss = (real.mean() + fake.mean()) / 2
        self.log("train/discriminator", loss, batch_size=len(images))
        return loss

    def generator_loss(self, images: Tensor, made: Tensor, target: Tensor, code: Tensor) -> Tensor:
        """Near the image, of the target's code, and real to the discriminator."""
        scores = self.discriminator(made).float()
        terms = {
            "reconstruction": reconstruction(made.float(), images),
            "hashing": code_disagreement(self.victim((made + 1) / 2).float(), code),
            "adversarial": class_lsgan(scores, target, REAL),
        }
        means = {name: term.mean() for name, term in terms.items()}
        loss = torch.stack([self.weights[name] * mean for name, mean in means.items()]).sum()
        for name, mean in means.items():
            self.log(f"train/{name}", mean, prog_bar=name == "hashing", batch_size=len(images))
        self.log("train/loss", loss, prog_bar=True, batch_size=len(images))
        return loss

    def _step(self, optimizer: Any, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def on_train_epoch_end(self) -> None:
        """Lower the learning rates."""
        for schedule in self.lr_schedulers():  # type: ignore[union-attr]
            schedule.step()

    def craft(self, images: Tensor, target: Tensor) -> Tensor:
        """See :meth:`ValidatedTraining.craft`."""
        return (self.generator(2 * images - 1, self.prototype(target).semantic).float() + 1) / 2

    def configure_optimizers(self) -> Any:
        """Build both optimisers and their linear decay."""
        optimizers = [self._optimizer(net.parameters()) for net in (self.generator, self.discriminator)]
        epochs = self.trainer.max_epochs or 0
        constant = epochs // 2 if self.constant_epochs is None else self.constant_epochs

        def factor(epoch: int) -> float:
            return linear_decay(epoch, constant, epochs - constant)

        return optimizers, [torch.optim.lr_scheduler.LambdaLR(one, factor) for one in optimizers]

    def export(self, folder: str | Path) -> None:
        """Write the attack: prototype network and generator."""
        facts = self.facts("ProSGAN", self.data.pixels.size, channels=self.channels)
        save_folder(folder, facts, prefixed({"prototype": self.prototype, "generator": self.generator}))


def linear_decay(epoch: int, constant: int, decay: int) -> float:
    """Factor of the learning rate in a 0-based epoch: ``1 - max(0, e + 1 - constant) / (decay + 1)``."""
    return 1 - max(0, epoch + 1 - constant) / (decay + 1)
