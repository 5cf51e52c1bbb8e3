"""The evaluation plan: which data, hashers, attacks and defences are combined to which cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Literal

from lightning import LightningDataModule

from lightning_modules.attacks import Attack
from lightning_modules.defences import Defence
from lightning_modules.evaluation.paper import PaperReference
from lightning_modules.retrieval.targets import Exclusion, TargetPool

CLEAN = "none"


@dataclass(frozen=True)
class Cell:
    """One row of a table.

    Attributes:
        dataset: name of the data set.
        hasher: hasher that is evaluated.
        source_hasher: hasher that the attack was crafted on; the same one unless the attack is transferred.
        attack: name of the attack, or ``none``.
        defence: name of the defence, or ``none``.
    """

    dataset: str
    hasher: str
    source_hasher: str
    attack: str
    defence: str

    @property
    def slug(self) -> str:
        """A file name for the cell."""
        parts = [self.dataset, self.hasher, self.attack, self.defence]
        if self.source_hasher != self.hasher:
            parts.insert(2, f"from-{self.source_hasher}")
        return "_".join("".join(c if c.isalnum() else "-" for c in part).strip("-") for part in parts)


@dataclass(frozen=True)
class HasherEntry:
    """A trained hasher.

    Attributes:
        dataset: name of the data set that it was trained on.
        checkpoint: checkpoint written by ``train.py fit``, or folder or Hub id (``user/name``) of a ``HashEncoder``.
        attacks: attacks that were trained against this hasher, by name; hashers may share names, and with them rows.
    """

    dataset: str
    checkpoint: str
    attacks: dict[str, Attack] = field(default_factory=dict)


@dataclass(frozen=True)
class AdaptiveEntry:
    """An attack by somebody who knows the defence: its gradients run through one.

    Attributes:
        attack: name of one of the plan's ``attacks``; not one that was trained against a hasher.
        through: what its gradients run through: a name among ``surrogates`` or, exactly, ``defences``.
        draws: repetitions per gradient, over which codes are averaged (expectation over transformation).
    """

    attack: str
    through: str
    draws: int = 1


@dataclass(frozen=True)
class TargetOptions:
    """How target labels are drawn; see :func:`~lightning_modules.retrieval.targets.draw_targets`."""

    pool: TargetPool = "counted"
    min_count: int = 9
    exclude: Exclusion = "none"
    drop_empty: bool = True
    seed: int = 0


@dataclass
class EvaluationPlan:
    """Everything that an evaluation computes.

    Attributes:
        name: title of the report.
        output: folder of results, report and TensorBoard logs.
        store: where stages are stored: a folder, or an address that fsspec knows (``s3://...``), which several machines
            may share; None is ``store`` below ``output``.
        datasets: data modules by name.
        hashers: trained hashers by name.
        attacks: attacks by name; the row without attack is always there.
        defences: defences by name; the row without defence is always there.
        surrogates: defences that only an attacker uses, e.g. with fewer network calls, by name.
        adaptive: attacks through a defence, by the name of their row; each meets every defence, as ``attacks`` do.
        exclude: ``attack/defence`` pairs that are left out.
        transfer: ``source/hasher`` pairs: every attack is crafted on the source and scored on the hasher as well; or
            ``all`` pairs of hashers of one data set. Bits and backbones may differ.
        targets: how target labels are drawn.
        seed: seed of every random choice of the attacks.
        num_queries: evaluate on the first queries of the split only; None takes all.
        split: split that queries are taken from; ``val`` to choose a setting, ``query`` to report it, ``train`` to
            store attacked training items for the fine-tuning of a purifier (its figures are no results: the items are
            in the database that is ranked).
        shard_size: queries per stored shard and test step.
        cutoff: k of two more forms of MAP and T-MAP: of the first k ranks (``map_top50``), and of the first k hits
            wherever they rank (``map_hits50``; 50 is TA-DCH's "MAP"). None scores whole rankings only.
        summary: one sentence for the head of the report.
        paper: which printed figures the rows stand for; they are set beside ours.
        notes: what a reader must know of the plan's choices, by title: facts of the report.
        training: what makes the files that the plan names: path to the arguments of the Python interpreter, in order.
        files: where the files come from that nothing makes, by path.
    """

    name: str
    output: str
    datasets: dict[str, LightningDataModule]
    hashers: dict[str, HasherEntry]
    attacks: dict[str, Attack] = field(default_factory=dict)
    defences: dict[str, Defence] = field(default_factory=dict)
    surrogates: dict[str, Defence] = field(default_factory=dict)
    adaptive: dict[str, AdaptiveEntry] = field(default_factory=dict)
    exclude: list[str] = field(default_factory=list)
    transfer: Literal["all"] | list[str] = field(default_factory=list)
    targets: TargetOptions = field(default_factory=TargetOptions)
    seed: int = 0
    num_queries: int | None = None
    split: str = "query"
    shard_size: int = 50
    cutoff: int | None = None
    summary: str = ""
    store: str | None = None
    paper: PaperReference | None = None
    notes: dict[str, str] = field(default_factory=dict)
    training: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for axis in (self.attack_names, self.defences, self.adaptive):
            if CLEAN in axis:
                raise ValueError(f"{CLEAN!r} is reserved for the row without attack or defence; rename the entry")
        self._check_names()
        for name, hasher in self.hashers.items():
            if hasher.dataset not in self.datasets:
                raise ValueError(f"hasher {name!r} names data set {hasher.dataset!r}, found {sorted(self.datasets)}")
        rows = (CLEAN, *self.attack_names, *self.adaptive)
        pairs = {f"{attack}/{defence}" for attack in rows for defence in (CLEAN, *self.defences)}
        for pair in self.exclude:
            if pair not in pairs:
                raise ValueError(f"exclude {pair!r}: expected attack/defence, by the names given in the plan")
        self.sources()  # refuses a wrong pair now
        if self.split not in ("query", "val", "train"):
            raise ValueError(f"split={self.split!r}: expected 'query', 'val' or 'train'")
        for option in ("shard_size", "num_queries", "cutoff"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise ValueError(f"{option}={value}: expected at least 1")

    def _check_names(self) -> None:
        twice = sorted(set(self.defences) & set(self.surrogates)) or sorted(set(self.attack_names) & set(self.adaptive))
        if twice:
            raise ValueError(f"{twice[0]!r} names two things: a surrogate is no defence, an adaptive row no attack")
        for name, hasher in self.hashers.items():
            if both := sorted(set(hasher.attacks) & set(self.attacks)):
                raise ValueError(f"attack {both[0]!r} stands in attacks and again for hasher {name!r}: rename one")
        for name, entry in self.adaptive.items():
            if entry.attack not in self.attacks:
                raise ValueError(
                    f"adaptive {name!r} names attack {entry.attack!r}, found {sorted(self.attacks)}; "
                    "it may not stand on an attack that was trained against a hasher"
                )
            known = {**self.defences, **self.surrogates}
            if entry.through not in known:
                raise ValueError(f"adaptive {name!r} goes through {entry.through!r}, found {sorted(known)}")
            if entry.draws < 1:
                raise ValueError(f"adaptive {name!r}: draws={entry.draws}, expected at least 1")

    @property
    def attack_names(self) -> list[str]:
        """Names of all attacks: those on every hasher, then those that were trained against one."""
        trained = (name for hasher in self.hashers.values() for name in hasher.attacks)
        return list(dict.fromkeys((*self.attacks, *trained)))

    def attack(self, name: str, hasher: str) -> Attack | None:
        """Return the attack of a row on a hasher, None for clean queries."""
        every = {**self.attacks, **self.hashers[hasher].attacks}
        return every.get(self.adaptive[name].attack if name in self.adaptive else name)

    def through(self, name: str) -> tuple[Defence, int] | None:
        """Return what the gradients of a row's attack run through, and how often; None for an oblivious attack."""
        if name not in self.adaptive:
            return None
        entry = self.adaptive[name]
        return {**self.defences, **self.surrogates}[entry.through], entry.draws

    @property
    def database_split(self) -> str:
        """The split that queries are ranked against."""
        return "val_database" if self.split == "val" else "database"

    def sources(self) -> dict[str, list[str]]:
        """Return for every hasher the others that attacks on it are crafted on as well, in the order of the plan."""
        if self.transfer == "all":
            return {
                name: [other for other, entry in self.hashers.items() if other != name and entry.dataset == one.dataset]
                for name, one in self.hashers.items()
            }
        found: dict[str, list[str]] = {name: [] for name in self.hashers}
        pairs = {f"{source}/{name}": (source, name) for source, name in permutations(self.hashers, 2)}
        for pair in dict.fromkeys(self.transfer):
            if pair not in pairs:
                raise ValueError(f"transfer {pair!r}: expected source/hasher, two of {sorted(self.hashers)}")
            source, name = pairs[pair]
            if self.hashers[source].dataset != self.hashers[name].dataset:
                raise ValueError(f"transfer {pair!r}: the two hashers belong to different data sets")
            found[name].append(source)
        return found

    def cells(self) -> list[Cell]:
        """Expand the plan, clean rows first."""
        sources = self.sources()
        return [
            Cell(hasher.dataset, name, source, attack, defence)
            for name, hasher in self.hashers.items()
            for attack in (CLEAN, *self.attack_names, *self.adaptive)
            for source in ([name] if attack == CLEAN else [name, *sources[name]])
            if attack == CLEAN or self.attack(attack, source) is not None
            for defence in (CLEAN, *self.defences)
            if f"{attack}/{defence}" not in self.exclude
        ]


def as_row(cell: Cell) -> dict[str, Any]:
    """Return the identifying columns of a cell in ``results.json``."""
    return {
        "dataset": cell.dataset,
        "hasher": cell.hasher,
        "source_hasher": cell.source_hasher,
        "attack": cell.attack,
        "defence": cell.defence,
    }
