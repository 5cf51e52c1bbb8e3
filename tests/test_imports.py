"""Who may import whom. Read from the source, so that nothing has to be run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The only files of lightning_modules that may use Lightning, each with its reason.
LIGHTNING_FILES = {
    "hashing.module": "a LightningModule",
    "hashing.network": "a LightningModule",
    "hashing.checkpoints": "loads a LightningModule",
    "hashing.pretraining": "a LightningModule",
    "hashing.convert.__main__": "writes a Lightning checkpoint",
    "attacks.training.base": "a LightningModule",
    "attacks.training.prototype": "a LightningModule",
    "attacks.training.pros_gan": "a LightningModule",
    "attacks.training.generative": "a LightningModule",
    "attacks.training.ta_dch": "LightningModules",
    "attacks.training.universal": "a LightningModule",
    "attacks.training.validated": "a LightningModule",
    "purification.module": "a LightningModule",
    "purification.folder": "a LightningModule",
    "purification.objectives.code_target": "loads its victim, a LightningModule",
    "purification.pairs.crafted": "loads its victim, a LightningModule",
    "purification.pairs.stored": "says from the first process what it reads",
    "evaluation.module": "a LightningModule",
    "evaluation.database": "a LightningModule",
    "evaluation.context": "runs a Trainer over the database",
    "evaluation.hashers": "loads LightningModules",
    "evaluation.preview": "asks an evaluation what is left",
    "evaluation.runner": "runs a Trainer per cell",
    "evaluation.arguments": "reads plans",
    "evaluation.leave_out": "reads plans",
    "evaluation.plan": "plans name LightningDataModules",
    "evaluation.results": "writes what LightningModules measured, from the first process",
    "evaluation.summary": "reports a finished evaluation, from the first process",
    "evaluation.report_pictures": "shows a finished evaluation",
    "evaluation.projector": "shows a finished evaluation",
    "evaluation.export.hasher": "runs an evaluation's Trainer over the database that it exports",
    "processes": "asks Lightning for the rank",
}
# Lower layers never import higher ones; packages of one layer never import each other.
LAYERS = (
    (
        "arguments",
        "atomic",
        "types",
        "checks",
        "randomness",
        "configurable",
        "digests",
        "errors",
        "hub",
        "augmentation",
        "pictures",
        "processes",
        "store_files",
    ),
    ("query_pictures", "retrieval"),
    ("hashing",),
    ("attacks", "defences"),
    ("purification", "adversarial_training"),
    ("evaluation",),
)
# What a part of a package may import beyond the package's own list, each with its reason.
EXTRA = {
    # A report gives the chance level of a data set, and shows its pictures; nothing that trains imports it.
    "datamodules.inspection": ("lightning_modules.retrieval", "lightning_modules.pictures"),
}
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}
OURS = {"lightning_modules", "datamodules", "callbacks", "app", "train", "evaluate"}


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """Yield every imported module; ``from a import b`` gives ``a`` and, if that is a module, ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module
            yield from (name for alias in node.names if (name := f"{node.module}.{alias.name}") in SOURCES)


FILES = [*ROOT.glob("*.py"), *(path for folder in OURS for path in (ROOT / folder).rglob("*.py"))]
SOURCES = {module_name(path): path for path in FILES}
IMPORTS = {name: set(imports(path)) for name, path in SOURCES.items()}


def inside(name, package):
    return name == package or name.startswith(f"{package}.")


def pairs(package):
    """List ``(file, imported)`` of all imports of our own modules and of Lightning below a package."""
    known = OURS | {"lightning", "pytorch_lightning"}
    files = [name for name in SOURCES if inside(name, package)]
    return [(name, other) for name in files for other in IMPORTS[name] if other.partition(".")[0] in known]


def test_the_scan_sees_the_tree():
    assert len(SOURCES) > 60
    assert "lightning_modules.types" in IMPORTS["lightning_modules.attacks.base"]
    assert {f"lightning_modules.{name}" for name in LIGHTNING_FILES} <= set(SOURCES)
    top = {name.split(".")[1] for name in SOURCES if name.startswith("lightning_modules.")}
    assert top == set(LAYER), "every part of lightning_modules has a layer"


def test_pure_files_never_import_lightning():
    allowed = {f"lightning_modules.{name}" for name in LIGHTNING_FILES}
    for name, other in pairs("lightning_modules"):
        if name not in allowed:
            assert other.partition(".")[0] not in {"lightning", "pytorch_lightning"}, name
            is_index = SOURCES[name].name == "__init__.py"
            assert is_index or other not in allowed, f"{name} is pure, {other} is not"


@pytest.mark.parametrize("package", ["attacks", "defences", "retrieval", "query_pictures", "types"])
def test_attacks_defences_and_metrics_work_without_lightning(package):
    """Follow all imports, those of parent packages included; what trains an attack may use Lightning."""
    apart = "lightning_modules.attacks.training"
    package = f"lightning_modules.{package}"
    seen, todo = set(), [name for name in SOURCES if inside(name, package) and not inside(name, apart)]
    while todo:
        name = todo.pop()
        if name not in seen and name in SOURCES:
            seen.add(name)
            todo += [*IMPORTS[name], name.rpartition(".")[0]]
    assert not {other for name in seen for other in IMPORTS[name] if inside(other, "lightning")}


def test_layers_import_downwards_only():
    for name, other in pairs("lightning_modules"):
        if name.count(".") and other.count(".") and inside(other, "lightning_modules"):
            own, theirs = name.split(".")[1], other.split(".")[1]
            foundations = LAYER[own] == LAYER[theirs] == 0
            assert own == theirs or LAYER[theirs] < LAYER[own] or foundations, f"{name} imports {other}"


def test_query_pictures_import_pictures_only():
    ours = {other for _, other in pairs("lightning_modules.query_pictures")}
    assert ours == {"lightning_modules.pictures"}


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("lightning_modules", ["lightning_modules", "lightning"]),
        (
            "datamodules",
            [
                "datamodules",
                "lightning",
                "lightning_modules.types",
                "lightning_modules.randomness",
                "lightning_modules.configurable",
            ],
        ),
        ("app", ["app", "lightning_modules", "datamodules", "lightning"]),
        (
            "callbacks",
            [
                "callbacks",
                "lightning",
                "lightning_modules.types",
                "lightning_modules.atomic",
                "lightning_modules.pictures",
                "lightning_modules.query_pictures",
            ],
        ),
    ],
)
def test_packages_import_what_they_may(package, allowed):
    for name, other in pairs(package):
        extra = [one for part, more in EXTRA.items() if inside(name, part) for one in more]
        assert any(inside(other, one) for one in [*allowed, *extra]), f"{name} imports {other}"


def test_only_the_command_line_imports_the_inspection():
    users = {name for name, others in IMPORTS.items() if any(inside(o, "datamodules.inspection") for o in others)}
    assert {name for name in users if not inside(name, "datamodules.inspection")} == {"datamodules.commands"}


def test_nothing_imports_the_entry_points():
    for name, others in IMPORTS.items():
        assert not others & {"train", "evaluate"}, name
        assert inside(name, "app") or not any(inside(other, "app") for other in others), name


def test_only_the_page_of_the_app_needs_gradio():
    users = {name for name, others in IMPORTS.items() if any(inside(other, "gradio") for other in others)}
    assert users == {"app.page"}
    assert {name for name, others in IMPORTS.items() if "app.page" in others} == {"app.__main__"}
