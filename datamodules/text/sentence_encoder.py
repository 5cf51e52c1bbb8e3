"""SentenceEncoder: a pretrained transformer's vector of an item's captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from datamodules.source import DataError, ItemSource
from datamodules.text.base import Matrix, TextFeatures, texts_of


class SentenceEncoder(TextFeatures):
    """Captions through a Hugging Face transformer, dense; items without a text are zero.

    The last layer's token vectors, averaged or the first one (BERT: Devlin et al. 2019, arXiv:1810.04805). Texts
    in published feature files were encoded with choices that the papers leave out (layer, pooling, captions), so
    these features are not theirs.

    Args:
        model: Hub id or folder. Its own code is never run, and weights are read without pickle's code.
        revision: Hub revision; pin it for published numbers.
        pooling: ``mean`` averages all tokens but padding; ``cls`` takes the first token.
        max_length: tokens per item; longer texts are cut.
        batch_size: texts per batch.

    Raises:
        DataError: an impossible option.
    """

    def __init__(
        self,
        model: str = "bert-large-uncased",
        revision: str | None = None,
        pooling: Literal["mean", "cls"] = "mean",
        max_length: int = 128,
        batch_size: int = 32,
    ) -> None:
        if pooling not in ("mean", "cls"):
            raise DataError(f"SentenceEncoder pooling={pooling!r}: expected 'mean' or 'cls'")
        for option, value, least in (("max_length", max_length, 3), ("batch_size", batch_size, 1)):
            if value < least:
                raise DataError(f"SentenceEncoder {option}={value}: expected at least {least}")
        self.model, self.revision, self.pooling = model, revision, pooling
        self.max_length, self.batch_size = max_length, batch_size

    @property
    def title(self) -> str:
        """Model, revision and pooling."""
        return f"{self.model} ({self.revision or 'default revision'}, {self.pooling} of {self.max_length} tokens)"

    def depends_on(self, source: ItemSource) -> tuple[str, ...]:
        """Name the state of a local model's files."""
        del source
        folder = Path(self.model)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return tuple(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)

    @torch.inference_mode()
    def encode(self, source: ItemSource) -> Matrix:
        """Return float32 ``(n, d)``; on a GPU where there is one. See :meth:`TextFeatures.encode`.

        Raises:
            DataError: no item has a text, ``transformers`` is not installed, or the model cannot be loaded.
        """
        from tqdm.auto import tqdm

        texts = texts_of(source, self.title)
        tokenizer, model = self._load()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model.to(device)
        # By length: a batch is padded to its longest text. An item without a text is left out, hence zero.
        rows = sorted((row for row, text in enumerate(texts) if text), key=lambda row: len(texts[row]), reverse=True)
        found = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
        starts = range(0, len(rows), self.batch_size)
        for start in tqdm(starts, desc=self.model, unit="batch", disable=getattr(rank_zero_only, "rank", 0) != 0):
            batch = rows[start : start + self.batch_size]
            tokens = tokenizer(
                [texts[row] for row in batch],
                padding=True,
                truncation=True,
                max_length=self.max_length,
                return_tensors="pt",
            ).to(device)
            vectors = pool(model(**tokens).last_hidden_state, tokens["attention_mask"], self.pooling)
            found[batch] = vectors.cpu().numpy()
        return found

    def _load(self) -> tuple[Any, Any]:
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise DataError("SentenceEncoder needs transformers: pip install retpur[text]") from error
        options: dict[str, Any] = {"revision": self.revision or "main", "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.model, **options)
            model = AutoModel.from_pretrained(self.model, weights_only=True, **options)
        except Exception as error:  # a missing model, a damaged file, code that is refused: many types
            raise DataError(f"model {self.model!r} cannot be loaded ({type(error).__name__}: {error})") from error
        if model.config.is_encoder_decoder or not hasattr(model.config, "hidden_size") or tokenizer.pad_token is None:
            raise DataError(f"model {self.model!r} ({type(model).__name__}) is no encoder of sentences")
        tokenizer.padding_side = "right"  # "cls" is the first token
        positions = getattr(model.config, "max_position_embeddings", None) or self.max_length
        limit = min(tokenizer.model_max_length, positions)
        if self.max_length > limit:
            raise DataError(f"SentenceEncoder max_length={self.max_length}: {self.model} takes {limit} tokens at most")
        return tokenizer, model.float().eval()


def pool(tokens: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Return one vector per text.

    Args:
        tokens: ``(B, L, d)`` vectors of the last layer.
        mask: ``(B, L)``, 1 for a token and 0 for padding.
        pooling: ``mean`` over the tokens or ``cls``, the first.

    Returns:
        ``(B, d)``.
    """
    if pooling == "cls":
        return tokens[:, 0]
    weights = mask[..., None].to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1)
