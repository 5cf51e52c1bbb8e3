"""GenerativeTraining: generator against discriminator, the second stage of ProS-GAN and TA-DCH."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from lightning_modules.attacks.folder import AttackFacts, load_folder, load_prefixed, prefixed, save_folder
from lightning_modules.attacks.networks import ClassDiscriminator
from lightning_modules.attacks.training.losses import FAKE, REAL, class_lsgan, code_disagreement, reconstruction
from lightning_modules.attacks.training.validated import ValidatedTraining
from lightning_modules.checks import check_positive
from lightning_modules.types import Batch


class GenerativeTraining(ValidatedTraining):
    """Trains a generator against a hasher and a discriminator (Wang et al., CVPR 2021).

    ``L_G = w_rec MSE + w_hash (1 - mean u h) + w_gan LSGAN`` with pictures in [-1, 1]. Every image is given a target,
    each row of the table with the same chance; a draw depends on seed, epoch and sample only.

    Args:
        hasher: checkpoint of the hasher that is attacked.
        prototype: folder of the prototype network, exported by the first stage.
        w_rec: weight of the reconstruction.
        w_hash: weight of the hashing term.
        w_gan: weight of the adversarial term.
        d_every: the discriminator learns in every so-many-th step of an epoch, the generator in each.
        channels: channels of the first layer of generator and discriminator.
        constant_epochs: epochs before the learning rate falls linearly to (almost) zero; None: half of all.
        seed: seed of the target draws.
        optimizer: called with the parameters, once for each network.

    Attributes:
        product: what the folder of the first stage must hold.
        attack: name of the attack that is exported.

    Raises:
        ValueError: a weight or count that is not positive.
    """

    product: ClassVar[str]
    attack: ClassVar[str]
    prototype: nn.Module

    def __init__(
        self,
        hasher: str,
        prototype: str,
        w_rec: float,
        w_hash: float,
        w_gan: float,
        d_every: int,
        channels: int,
        constant_epochs: int | None,
        seed: int,
        optimizer: OptimizerCallable,
    ) -> None:
        super().__init__(hasher, seed)
        check_positive(w_rec=w_rec, w_hash=w_hash, d_every=d_every, channels=channels)
        self.automatic_optimization = False
        self.prototype_folder = prototype
        self.weights = {"reconstruction": w_rec, "hashing": w_hash, "adversarial": w_gan}
        self.d_every, self.channels = d_every, channels
        self.constant_epochs, self._optimizer = constant_epochs, optimizer

    @abstractmethod
    def make_networks(self, size: int, options: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
        """Return prototype network, of these options, and generator, for pictures of this side; both untrained."""

    @abstractmethod
    def make_table(self) -> tuple[Tensor, ...]:
        """Return what targets are drawn from, see :class:`ValidatedTraining`."""

    @abstractmethod
    def wanted(self, code: Tensor) -> Tensor:
        """Return what codes of adversarial images should be, given prototype codes ``(B, K)``."""

    def configure_model(self) -> None:
        """Make the networks, once the data is known, and read the prototype network."""
        if hasattr(self, "generator"):
            return
        facts, tensors = load_folder(self.prototype_folder, self.product)
        self._check_prototype(facts)
        size = self.data.pixels.size
        self.prototype, self.generator = self.make_networks(size, facts.options or {})
        load_prefixed({"prototype": self.prototype}, tensors, self.prototype_folder)
        self.prototype.requires_grad_(False)
        self.discriminator = ClassDiscriminator(self.data.num_classes, size, self.channels)
        self.table = self.make_table()

    def on_train_epoch_start(self) -> None:
        """Put the prototype network in eval mode; earlier, Lightning would take it for a mistake."""
        self.prototype.eval()

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
            prototype = self.prototype(*target)
        made = self.generator(images, prototype.semantic)
        generator, discriminator = self.optimizers()  # type: ignore[attr-defined]
        if batch_idx % self.d_every == 0:
            self._step(discriminator, self.discriminator_loss(images, batch.label, made.detach(), target[0]))
        self.discriminator.requires_grad_(False)  # it judges now, and is not to learn from it
        self._step(generator, self.generator_loss(images, made, target[0], self.wanted(prototype.code)))
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

    def craft(self, images: Tensor, target: tuple[Tensor, ...]) -> Tensor:
        """See :meth:`ValidatedTraining.craft`."""
        return (self.generator(2 * images - 1, self.prototype(*target).semantic).float() + 1) / 2

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
        facts = self.facts(self.attack, self.data.pixels.size, **self.options())
        save_folder(folder, facts, prefixed({"prototype": self.prototype, "generator": self.generator}) | self.extra())

    def options(self) -> dict[str, Any]:
        """Return the arguments that the networks of the attack are made with."""
        return {"channels": self.channels}

    def extra(self) -> dict[str, Tensor]:
        """Return further tensors that the attack needs."""
        return {}


def linear_decay(epoch: int, constant: int, decay: int) -> float:
    """Factor of the learning rate in a 0-based epoch: ``1 - max(0, e + 1 - constant) / (decay + 1)``."""
    return 1 - max(0, epoch + 1 - constant) / (decay + 1)
