"""HubModel: save, load and push a model with its card, in the manner of the Hugging Face Hub, safetensors only."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelCard, ModelCardData, PyTorchModelHubMixin, snapshot_download
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hub_mixin import ModelHubMixin

HUB_OPTIONS = frozenset({"revision", "token", "cache_dir", "force_download", "local_files_only"})
DOWNLOADED = ["*.json", "*.safetensors", "README.md"]  # nothing that would have to be unpickled
CARD = """# {title}

{summary}

| | |
|---|---|
{rows}
"""


class HubModel(PyTorchModelHubMixin):
    """Mixin: ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``, as PyTorchModelHubMixin has them.

    A class says what it writes (``_save_pretrained``), how that is read (:meth:`load_pretrained`), and what its card
    should tell (:meth:`card_facts`). What the class cannot know comes with the call, as ``model_card_kwargs``; see
    :meth:`generate_model_card`.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an object without recording its arguments, which the mixin would copy, networks and all."""
        del args, kwargs
        made: Self = super(ModelHubMixin, cls).__new__(cls)
        return made

    @abstractmethod
    def _save_pretrained(self, save_directory: Path) -> None:
        """Write what :meth:`load_pretrained` reads to a folder that is there."""

    @classmethod
    @abstractmethod
    def load_pretrained(cls, folder: Path, **options: Any) -> Self:
        """Read a folder; ``options`` are arguments of the constructor."""

    @abstractmethod
    def card_facts(self) -> dict[str, Any]:
        """Return what the model knows of itself, by the name of a row of the card."""

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the mixin types it by a bound method
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        **options: Any,
    ) -> Self:
        """Load a model.

        Args:
            pretrained_model_name_or_path: folder that ``save_pretrained`` wrote, or a Hub id.
            revision: branch, tag or commit on the Hub.
            token: of the Hub; None takes that of ``hf auth login``.
            cache_dir: where downloads are kept.
            force_download: download what is there already.
            local_files_only: download nothing.
            **options: arguments of the constructor.

        Raises:
            ValueError: neither folder nor Hub id; the folder lacks a file, or holds another model.
        """
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            name = str(pretrained_model_name_or_path)
            try:
                found = snapshot_download(
                    name,
                    revision=revision,
                    token=token,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    local_files_only=local_files_only,
                    allow_patterns=DOWNLOADED,
                )
            except HFValidationError as error:  # which speaks of the form of a Hub id alone
                raise ValueError(f"{name!r}: no such folder, and no Hub id, which is user/name") from error
            folder = Path(found)
        return cls.load_pretrained(folder, **options)

    def generate_model_card(
        self,
        *,
        method: str = "",
        dataset: str = "",
        figures: Mapping[str, float] | None = None,
        license: str = "apache-2.0",
        summary: str = "",
    ) -> ModelCard:
        """Write the model card; the arguments are the ``model_card_kwargs`` of ``save_pretrained`` and ``push_to_hub``.

        Args:
            method: how it was trained, where the model does not know.
            dataset: what it was trained on, where the model does not know.
            figures: measured figures by name, as they should be shown.
            license: identifier of the licence of the weights, which is yours to choose; default: that of the suite.
            summary: a sentence or more for the head of the card.
        """
        given = {"method": method, "data set": dataset}
        facts = {**self.card_facts(), **{name: value for name, value in given.items() if value}}
        facts |= {**(figures or {}), "license": license}
        name = type(self).__name__
        data = ModelCardData(license=license, library_name="retpur", tags=["image-retrieval", "deep-hashing", name])
        rows = "\n".join(f"| {_cell(key)} | {_cell(value)} |" for key, value in facts.items())
        text = summary or f"Load it with `{name}.from_pretrained`, of the RetPur suite."
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{CARD.format(title=name, summary=text, rows=rows)}")


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
