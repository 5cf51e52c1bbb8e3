"""LatentTopics: the mixture of topics that an item's captions are about."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from datamodules.source import DataError, ItemSource
from datamodules.text.bag_of_words import BagOfWords
from datamodules.text.base import Matrix, TextFeatures, pool_digest


class LatentTopics(TextFeatures):
    """Topic proportions by latent Dirichlet allocation (Blei, Ng, Jordan 2003), dense, rows sum to one.

    scikit-learn's ``LatentDirichletAllocation`` over a :class:`BagOfWords`, fitted on the same rows as that. For
    the Wikipedia articles this is *not* identical to the published 10-d features, whose model and vocabulary are
    unknown: use :class:`~datamodules.text.FileFeatures` with ``raw_features.mat`` for those. Items without a known
    word are zero, not an even mixture.

    Args:
        topics: ``d``.
        max_features: words of the bag.
        stop_words: see :class:`BagOfWords`.
        seed: seed of the initial topics.
        characters: see :class:`BagOfWords`; then ``stop_words`` must be null.
        longest: see :class:`BagOfWords`.

    Raises:
        DataError: an impossible option.
    """

    def __init__(
        self,
        topics: int = 10,
        max_features: int = 2000,
        stop_words: Literal["english"] | None = "english",
        seed: int = 0,
        characters: bool = False,
        longest: int = 1,
    ) -> None:
        if topics < 1:
            raise DataError(f"LatentTopics topics={topics}: expected at least 1")
        self.topics, self.seed = topics, seed
        self._words = BagOfWords(max_features, stop_words, longest=longest, characters=characters)

    @property
    def title(self) -> str:
        """Kind and size."""
        return f"{self.topics} latent topics over the {self._words.title}"

    def depends_on(self, source: ItemSource) -> tuple[str, ...]:
        """Name the rows that topics are fitted on."""
        return (pool_digest(source),)

    def encode(self, source: ItemSource) -> Matrix:
        """Return float32 ``(n, topics)`` in [0, 1]; see :meth:`TextFeatures.encode`.

        Raises:
            DataError: no item has a text, or no database item has a word.
        """
        from sklearn.decomposition import LatentDirichletAllocation  # takes a second to import

        counts = self._words.encode(source)
        model: Any = LatentDirichletAllocation(self.topics, random_state=self.seed)
        model.fit(counts[np.sort(source.database_pool)])
        topics: np.ndarray = model.transform(counts).astype(np.float32)
        topics[np.diff(counts.indptr) == 0] = 0
        return topics
