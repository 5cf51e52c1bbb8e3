"""TA-DCH's two stages: prototypes of labels and texts, then the generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from lightning_modules.attacks.networks import FusionPrototypeNet, TADCHGenerator
from lightning_modules.attacks.networks.prototype import HIDDEN
from lightning_modules.attacks.training.generative import GenerativeTraining
from lightning_modules.attacks.training.objectives import PrototypeObjective, TADCHPrototype
from lightning_modules.attacks.training.prototype import PrototypeTraining, attack_adam
from lightning_modules.checks import check_positive
from lightning_modules.randomness import sample_generator


def labels_and_texts(data: Any) -> tuple[Tensor, Tensor]:
    """Return labels uint8 ``(N, C)`` and text features float ``(N, D)`` of the training items, without their pictures.

    Raises:
        ValueError: the data module makes no text features.
    """
    items = data.dataset("train")
    if items.text is None:
        raise ValueError("TA-DCH aims at texts, and the data has none: set data.init_args.text")
    return data.labels("train"), torch.stack([items.text[int(row)] for row in items.rows]).float()


class TADCHPrototypeTraining(PrototypeTraining):
    """Trains TA-DCH's prototype network on pairs of label and text of the same training item.

    An epoch sees every training item once, in an order of its own; items that do not fill a step are left out.

    Args:
        hasher: checkpoint of the hasher that is attacked; its image codes are what prototypes are drawn to.
        objective: TA-DCH's.
        labels_per_step: pairs per step.
        hidden: width of the layers that read label and text; published: 4,096.
        decay_at: shares of all steps at which the learning rate falls to a tenth; in the authors' code the second drop
            is left out for sizes whose three quarters are no whole number.
        seed: seed of the order.
        optimizer: called with the parameters.

    Raises:
        ValueError: fewer than two pairs per step, or fewer training items than that.
    """

    def __init__(
        self,
        hasher: str,
        objective: PrototypeObjective | None = None,
        labels_per_step: int = 64,
        hidden: int = HIDDEN,
        decay_at: tuple[float, ...] = (0.5, 0.75),
        seed: int = 0,
        optimizer: OptimizerCallable = attack_adam,
    ) -> None:
        if labels_per_step < 2:
            raise ValueError(f"labels_per_step={labels_per_step}: batch normalisation needs at least 2")
        check_positive(hidden=hidden)
        objective = TADCHPrototype() if objective is None else objective
        super().__init__(hasher, objective, labels_per_step, decay_at=decay_at, seed=seed, optimizer=optimizer)
        self.hidden = hidden

    def make_table(self) -> tuple[Tensor, ...]:
        """Return labels and texts of the training items."""
        table = labels_and_texts(self.data)
        if len(table[0]) < self.labels_per_step:
            raise ValueError(f"labels_per_step={self.labels_per_step}: there are {len(table[0])} training items")
        return table

    def steps_in_epoch(self) -> int:
        """Return how many full steps the training items make."""
        return len(self.table[0]) // self.labels_per_step

    def make_network(self) -> nn.Module:
        """Return the network, untrained."""
        return FusionPrototypeNet(self.data.num_classes, self.table[1].shape[1], self.victim.num_bits, self.hidden)

    def options(self) -> dict[str, Any]:
        """See :meth:`PrototypeTraining.options`."""
        return {"hidden": self.hidden}

    def rows(self, step: int) -> Tensor:
        """Take the next items in the order of the epoch."""
        epoch, place = divmod(step, self.steps_in_epoch())
        generator = sample_generator(self.seed, "prototype-order", str(epoch))
        order = torch.randperm(len(self.table[0]), generator=generator)
        return order[place * self.labels_per_step : (place + 1) * self.labels_per_step]


class TADCHTraining(GenerativeTraining):
    """Trains TA-DCH's generator, towards prototype codes of the labels and texts of random training items.

    Args:
        hasher: checkpoint of the hasher that is attacked.
        prototype: folder of the prototype network, exported by the first stage.
        w_rec: weight of the reconstruction; 150 in the authors' code, tuned from 1 to 5,000 in the papers.
        w_hash: weight of the hashing term.
        w_gan: weight of the adversarial term.
        d_every: the discriminator learns in every third step of an epoch, the generator in each.
        channels: channels of the first layer of generator and discriminator; published: 64.
        constant_epochs: epochs before the learning rate falls linearly to (almost) zero; None: half of all.
        binarize_prototype: aim at the signs of prototype codes, as ProS-GAN does, not at the codes themselves.
        pass_images: start from a generator that lets images through (:meth:`TADCHGenerator.pass_images`), not, as
            published, from one that returns noise: for schedules that are too short to learn that first.
        seed: seed of the target draws.
        optimizer: called with the parameters, once for each network.

    Raises:
        ValueError: a weight or count that is not positive.
    """

    product = TADCHPrototype.product
    attack = "TADCH"

    def __init__(
        self,
        hasher: str,
        prototype: str,
        w_rec: float = 150.0,
        w_hash: float = 5.0,
        w_gan: float = 1.0,
        d_every: int = 3,
        channels: int = 64,
        constant_epochs: int | None = None,
        binarize_prototype: bool = False,
        pass_images: bool = False,
        seed: int = 0,
        optimizer: OptimizerCallable = attack_adam,
    ) -> None:
        super().__init__(hasher, prototype, w_rec, w_hash, w_gan, d_every, channels, constant_epochs, seed, optimizer)
        self.binarize_prototype, self.pass_images = binarize_prototype, pass_images

    def make_networks(self, size: int, options: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
        """See :meth:`GenerativeTraining.make_networks`."""
        text_dim, self.hidden = labels_and_texts(self.data)[1].shape[1], int(options["hidden"])
        prototype = FusionPrototypeNet(self.data.num_classes, text_dim, self.victim.num_bits, self.hidden)
        generator = TADCHGenerator(size, self.channels)
        if self.pass_images:
            generator.pass_images()
        return prototype, generator

    def make_table(self) -> tuple[Tensor, ...]:
        """Return labels and texts of the training items."""
        return labels_and_texts(self.data)

    def wanted(self, code: Tensor) -> Tensor:
        """Return the codes, or their signs."""
        return torch.where(code >= 0, 1.0, -1.0) if self.binarize_prototype else code

    def options(self) -> dict[str, Any]:
        """See :meth:`GenerativeTraining.options`."""
        return {"channels": self.channels, "hidden": self.hidden}

    def extra(self) -> dict[str, Tensor]:
        """Return the labels and texts that targets are looked up in."""
        return dict(zip(("labels", "texts"), self.table, strict=True))
