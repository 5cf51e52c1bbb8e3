"""The state that Hamming metrics share: codes, labels and indices of queries and database."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from lightning_modules.retrieval.metrics.packing import check_codes, check_labels, check_same_length

Role = Literal["query", "database"]

_DTYPES = {"codes": torch.int8, "labels": torch.uint8, "index": torch.int64}


class HammingMetric(Metric):
    """Collects codes, labels and indices of both roles; subclasses turn them into a score.

    Items are sorted by their index, and repeated indices count once, since distributed samplers pad with
    repetitions. The score is therefore the same, to the last digit, for any number of processes, order of
    batches and batch size. The state takes ``K + C + 8`` bytes per item, in flat tensors: a process without
    items of a role does not know K and C.

    ``compute`` gives a float64 scalar (float32 on devices without float64).
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for role in get_args(Role):
            for part in _DTYPES:
                self.add_state(f"{role}_{part}", default=[], dist_reduce_fx="cat")

    def update(self, codes: Tensor, labels: Tensor, index: Tensor, role: Role) -> None:
        """Add a batch of items.

        Args:
            codes: ``(B, K)`` in {-1, +1}.
            labels: ``(B, C)`` multi-hot in {0, 1}.
            index: int64 ``(B,)``, position of each item in its split.
            role: whether the items are queries or database items.

        Raises:
            ValueError: on values or shapes out of range, an unknown role, or another code length or number of
                classes than before.
        """
        if role not in get_args(Role):
            raise ValueError(f"role must be query or database, got {role!r}")
        batch = {
            "codes": check_codes(codes, f"{role} codes"),
            "labels": check_labels(labels, f"{role} labels"),
        }
        check_same_length(codes, labels, f"the {role} batch")
        if index.shape != (len(codes),) or index.is_floating_point() or index.is_complex():
            raise ValueError(
                f"{role} index must be {len(codes)} integers, got {index.dtype} of shape {tuple(index.shape)}"
            )
        batch["index"] = index.to(torch.int64)
        for part, unit in (("codes", "bits"), ("labels", "classes")):
            self._check_width(role, part, batch[part].shape[1], unit)
        for part, values in batch.items():
            getattr(self, f"{role}_{part}").append(values.flatten())

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the items of all processes; those without items of a role take part with empty tensors.

        Without this, torchmetrics gathers a float tensor in their place, which other processes do not expect.
        """
        for role in get_args(Role):
            for part, dtype in _DTYPES.items():
                if isinstance(state := getattr(self, f"{role}_{part}"), list) and not state:
                    state.append(torch.empty(0, dtype=dtype, device=self.device))
        super().sync(*args, **kwargs)

    def items(self, role: Role) -> tuple[Tensor, Tensor, Tensor]:
        """Return codes int8 ``(N, K)``, labels uint8 ``(N, C)`` and index int64 ``(N,)``, by ascending index.

        Of items with equal index the first one counts.

        Raises:
            ValueError: if there are no such items, or two of equal index differ in their labels.
        """
        codes, labels, index = (self._state(role, part) for part in _DTYPES)
        if len(index) == 0:
            raise ValueError(f"no {role} items: call update(..., role={role!r}) before compute()")
        codes, labels = codes.view(len(index), -1), labels.view(len(index), -1)
        order = index.argsort(stable=True)
        index, labels = index[order], labels[order]
        again = index[1:] == index[:-1]
        conflict = again & (labels[1:] != labels[:-1]).any(1)
        if bool(conflict.any()):
            number = int(index[1:][conflict][0])
            raise ValueError(f"{role} index {number} came with two different labels: indices must be unique")
        first = torch.cat([again.new_ones(1), ~again])
        return codes[order[first]], labels[first], index[first]

    def data(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return codes and labels of the queries, then of the database; errors as in `items`."""
        return *self.items("query")[:2], *self.items("database")[:2]

    def _scalar(self, value: float) -> Tensor:
        """Return a score as a tensor on the metric's device."""
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.tensor(value, dtype=dtype, device=self.device)

    def _state(self, role: str, part: str) -> Tensor:
        state = getattr(self, f"{role}_{part}")
        return dim_zero_cat(
            [torch.empty(0, dtype=_DTYPES[part], device=self.device), *state] if isinstance(state, list) else state
        )

    def _check_width(self, role: str, part: str, width: int, unit: str) -> None:
        """Compare a batch with the last one of either role."""
        for known in get_args(Role):
            values, index = getattr(self, f"{known}_{part}"), getattr(self, f"{known}_index")
            if len(index) and len(index[-1]) and (before := len(values[-1]) // len(index[-1])) != width:
                raise ValueError(f"the {role} batch has {width} {unit} but the {known} has {before}")
