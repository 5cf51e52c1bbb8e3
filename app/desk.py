"""SearchDesk: attacks, purifies, hashes and ranks one query at a time, with the parts of an evaluation plan."""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from app.found import State, class_names, find
from app.query import Choice, Query
from app.targets import Targets
from datamodules.images import Resize
from lightning_modules.configurable import build
from lightning_modules.defences import Defence
from lightning_modules.evaluation.context import HasherContext
from lightning_modules.evaluation.plan import CLEAN
from lightning_modules.evaluation.runner import Evaluation
from lightning_modules.evaluation.treatment import attacked_encoder, craft, defend, hash_paths
from lightning_modules.query_pictures import as_picture
from lightning_modules.randomness import content_ids
from lightning_modules.retrieval.metrics import top_n

MOST_QUERIES = 500  # in a list to pick from
MOST_SETTINGS = 8  # of purifiers that are kept loaded
Settings = tuple[int, float]
T = TypeVar("T")


class SearchDesk:
    """Searches with the hashers, attacks and defences of a plan.

    A query of the plan, attacked with the plan's target and defended as the plan says, gets the images and codes that
    the evaluation stores.

    Args:
        evaluation: prepared, its databases are hashed.
        device: where networks run.
    """

    def __init__(self, evaluation: Evaluation, device: torch.device | str = "cpu") -> None:
        self._plan, self._contexts = evaluation.plan, evaluation.contexts
        self._device = torch.device(device)
        for context in self._contexts.values():
            context.encoder.to(self._device).eval()
        self._targets = {name: Targets(context) for name, context in self._contexts.items()}
        self._defence = lru_cache(MOST_SETTINGS)(self._load_defence)

    @property
    def title(self) -> str:
        """Name of the plan."""
        return self._plan.name

    @property
    def hashers(self) -> list[str]:
        """Names of the hashers."""
        return list(self._contexts)

    @property
    def attacks(self) -> list[str]:
        """Names of the attacks, ``none`` first, those through a defence last."""
        return [CLEAN, *self._plan.attack_names, *self._plan.adaptive]

    @property
    def defences(self) -> list[str]:
        """Names of the defences, ``none`` first."""
        return [CLEAN, *self._plan.defences]

    def classes(self, hasher: str) -> list[str]:
        """Return the class names of a hasher's data."""
        return list(self._context(hasher).data.class_names)

    def targets(self, hasher: str) -> list[str]:
        """Return the label sets that an attacker may aim at, the most frequent first."""
        return _entry(self._targets, hasher, "hasher").names

    def queries(self, hasher: str) -> list[tuple[str, int]]:
        """Return name and position of the first queries of the plan."""
        context = self._context(hasher)
        ids = context.data.ids(self._plan.split)[: min(MOST_QUERIES, context.queries.total)]
        return [(f"{one}: {class_names(context, context.query_labels[row])}", row) for row, one in enumerate(ids)]

    def settings(self, defence: str) -> Settings | None:
        """Return T_p and s of a defence of the plan; None for one that has none to choose."""
        found = self._plan.defences.get(defence)
        if found is None or "purify_steps" not in inspect.signature(type(found).__init__).parameters:
            return None
        options = found.spec["init_args"]
        return int(options["purify_steps"]), float(options["scale"])

    def query(self, hasher: str, position: int) -> Query:
        """Return a query of the plan, with its target."""
        context, row = self._context(hasher), torch.tensor([position])
        item = context.queries.items[position]
        return Query(item.sample_id, item.image, item.label, context.target_rows(row)[0], context.target_text(row))

    def outside(self, hasher: str, picture: Any, label: str | None = None) -> Query:
        """Bring a picture from outside to the size of the data.

        Args:
            hasher: that will search.
            picture: uint8 ``(H, W, 3)``.
            label: its class; None if it is unknown: what the clean search finds most often then makes a hit.

        Raises:
            ValueError: no picture of three colours, or an unknown class.
        """
        pixels = torch.as_tensor(picture)
        if pixels.dtype != torch.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.numel() == 0:
            raise ValueError(f"a picture must be uint8 (H, W, 3), got {pixels.dtype} {tuple(pixels.shape)}")
        context = self._context(hasher)
        image = Resize(context.data.pixels)(pixels.permute(2, 0, 1).contiguous())
        known = None if label is None else self._label(context, label)
        return Query(content_ids(image[None].float() / 255)[0], image, known)

    def figure_3(self) -> Choice:
        """Return what the paper's Figure 3 shows of a query: the first targeted attack, behind the first defence."""
        known = dict(self._plan.attacks)
        for hasher in self._plan.hashers.values():
            known |= hasher.attacks
        targeted = [name for name, attack in known.items() if attack.targeted]
        attack = next(iter(targeted or known), CLEAN)
        return Choice(attack, defence=next(iter(self._plan.defences), CLEAN))

    def search(self, hasher: str, query: Query, choice: Choice) -> list[State]:
        """Search for the clean picture and, where that is chosen, for the attacked and for the purified one.

        Raises:
            ValueError: a name that the plan does not have, a targeted attack without target, or an option that the
                purifier refuses.
        """
        context = self._context(hasher)
        if choice.attack not in self.attacks:
            raise ValueError(f"attack {choice.attack!r}: expected one of {', '.join(self.attacks)}")
        if choice.attack != CLEAN and self._plan.attack(choice.attack, hasher) is None:
            raise ValueError(f"attack {choice.attack!r} was trained against other hashers than {hasher!r}")
        defence = self._chosen_defence(choice)
        if query.label is None:
            query = replace(query, label=self._guess(context, query.image, choice.depth))
        query = self._targets[hasher].aim(query, choice, self._plan.attack(choice.attack, hasher))
        images = self._floats(query.image[None])
        states = [self._state("clean", context, images[None], query, choice.depth)]
        if choice.attack != CLEAN:
            start = time.perf_counter()
            images = self._attacked(context, query, choice, images)
            states.append(self._state("attacked", context, images[None], query, choice.depth, start))
        if defence is not None:
            start = time.perf_counter()
            paths = self._floats(defend(defence, images, (query.sample_id,)))
            states.append(self._state("purified", context, paths, query, choice.depth, start))
        return [replace(state, flipped=int((state.code != states[0].code).sum())) for state in states]

    def _context(self, hasher: str) -> HasherContext:
        return _entry(self._contexts, hasher, "hasher")

    def _floats(self, images: Tensor) -> Tensor:
        return images.to(self._device).float() / 255

    def _chosen_defence(self, choice: Choice) -> Defence | None:
        if choice.defence == CLEAN:
            return None
        _entry(self._plan.defences, choice.defence, "defence")
        planned = self.settings(choice.defence)
        if planned is None:
            return self._defence(choice.defence, None)
        steps = planned[0] if choice.purify_steps is None else choice.purify_steps
        scale = planned[1] if choice.scale is None else choice.scale
        return self._defence(choice.defence, None if (steps, scale) == planned else (steps, scale))

    def _load_defence(self, name: str, settings: Settings | None) -> Defence:
        """Return a defence of the plan, built anew for settings that are not the plan's."""
        defence = self._plan.defences[name]
        if settings is not None:
            options = {"purify_steps": settings[0], "scale": settings[1]}
            defence = build(defence.spec | {"init_args": defence.spec["init_args"] | options}, Defence)  # type: ignore[type-abstract]
        return defence.to(self._device)

    def _label(self, context: HasherContext, name: str) -> Tensor:
        names = list(context.data.class_names)
        if name not in names:
            raise ValueError(f"class {name!r}: expected one of {', '.join(names)}")
        return (torch.arange(len(names)) == names.index(name)).to(torch.uint8)

    def _attacked(self, context: HasherContext, query: Query, choice: Choice, images: Tensor) -> Tensor:
        attack, through = self._plan.attack(choice.attack, context.name), self._plan.through(choice.attack)
        label = query.target if attack is not None and attack.targeted else query.label
        if attack is None or label is None:
            raise RuntimeError("an attack and a label were chosen before")
        if through is not None:
            through = through[0].to(self._device), through[1]
        ids, known = (query.sample_id,), context.known(attack.knowledge)
        victim = attacked_encoder(context.encoder, through, ids)
        attack = attack.to(self._device)
        crafted, _ = craft(attack, victim, images, label[None], query.target_text, ids, known, self._plan.seed)
        return self._floats(crafted)

    def _guess(self, context: HasherContext, image: Tensor, depth: int) -> Tensor:
        """Return the class that the clean picture finds most often, the one found first among equals."""
        code, book = hash_paths(context.encoder, self._floats(image[None, None])), context.database
        positions = top_n(code, book.codes, min(depth, len(book)))[0][0]
        found = Counter(place for row in positions for place in book.labels[row].nonzero().flatten().tolist())
        label = torch.zeros_like(book.labels[0])
        label[[place for place, _ in found.most_common(1)]] = 1
        return label

    def _state(
        self, name: str, context: HasherContext, paths: Tensor, query: Query, depth: int, start: float | None = None
    ) -> State:
        """Hash a picture, given in every path of a defence, and search for it."""
        if query.label is None or query.target is None:
            raise RuntimeError("label and target were settled before")
        code = hash_paths(context.encoder, paths)[0]
        seconds = 0.0 if start is None else time.perf_counter() - start
        texts = (
            () if context.text is None else find(context, context.text.database, code, query.label, query.target, depth)
        )
        return State(
            name=name,
            picture=as_picture((paths[0, 0] * 255).round().to(torch.uint8)),
            code=code,
            flipped=0,
            images=find(context, context.database, code, query.label, query.target, depth),
            texts=texts,
            label=class_names(context, query.label),
            target=class_names(context, query.target),
            seconds=seconds,
        )


def _entry(entries: Mapping[str, T], name: str, kind: str) -> T:
    if name not in entries:
        raise ValueError(f"{kind} {name!r}: expected one of {', '.join(entries)}")
    return entries[name]
