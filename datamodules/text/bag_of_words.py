"""BagOfWords: how often the frequent words, characters or n-grams of a data set occur in an item's captions."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from datamodules.source import DataError, ItemSource
from datamodules.text.base import Matrix, TextFeatures, pool_digest, texts_of


class BagOfWords(TextFeatures):
    """Counts of the most frequent words over all captions of an item, sparse.

    scikit-learn's ``CountVectorizer``: lower case, by default words of two letters and more. The vocabulary is fitted
    on the rows of ``source.database_pool`` only, so that published queries add no word; where a data set publishes no
    split, the source cannot tell queries apart and all rows are fitted on. Words of equal frequency are taken
    alphabetically, and features stand in alphabetical order. Items without a known word are zero.

    Args:
        max_features: how many words at most.
        stop_words: ``english`` leaves out scikit-learn's list of function words; None keeps them.
        binary: 1 for a word that occurs, in place of its count.
        longest: take sequences of up to that many words.
        characters: take characters in place of words, for texts that do not separate their words, as Chinese. Blanks
            and line breaks count as one blank.
        tf_idf: scikit-learn's weights of frequencies against how many items a word occurs in, rows of length 1.

    Raises:
        DataError: an impossible option.
    """

    def __init__(
        self,
        max_features: int = 2000,
        stop_words: Literal["english"] | None = None,
        binary: bool = False,
        longest: int = 1,
        characters: bool = False,
        tf_idf: bool = False,
    ) -> None:
        for name, value in (("max_features", max_features), ("longest", longest)):
            if value < 1:
                raise DataError(f"BagOfWords {name}={value}: expected at least 1")
        if stop_words not in (None, "english"):
            raise DataError(f"BagOfWords stop_words={stop_words!r}: expected 'english' or None")
        if characters and stop_words is not None:
            raise DataError(f"BagOfWords stop_words={stop_words!r}: characters are no words, leave it out")
        self.max_features, self.stop_words, self.binary = max_features, stop_words, binary
        self.longest, self.characters, self.tf_idf = longest, characters, tf_idf

    @property
    def title(self) -> str:
        """Kind and size."""
        kind = "binary bag" if self.binary else "tf-idf bag" if self.tf_idf else "bag"
        unit = "characters" if self.characters else "words"
        unit = unit if self.longest == 1 else f"sequences of up to {self.longest} {unit}"
        return f"{kind} of the {self.max_features} most frequent {unit}"

    def depends_on(self, source: ItemSource) -> tuple[str, ...]:
        """Name the rows that the vocabulary is fitted on."""
        return (pool_digest(source),)

    def encode(self, source: ItemSource) -> Matrix:
        """Return float32 ``(n, d)`` counts, CSR; see :meth:`TextFeatures.encode`.

        Raises:
            DataError: no item has a text, or no database item has a word.
        """
        return self.fit(source)[0]

    def fit(self, source: ItemSource) -> tuple[Matrix, list[str]]:
        """Return the features of :meth:`encode` and the ``d`` words that they count."""
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer  # takes a second to import

        texts = texts_of(source, self.title)
        counter: Any = CountVectorizer(
            stop_words=self.stop_words,
            binary=self.binary,
            dtype=np.float32,
            ngram_range=(1, self.longest),
            analyzer="char" if self.characters else "word",
        )
        try:
            fitted = counter.fit_transform([texts[row] for row in source.database_pool])
        except ValueError as error:  # "empty vocabulary"
            raise DataError(f"{source.name}: no database item has a word for the {self.title}") from error
        # max_features of scikit-learn breaks ties by an unstable sort, which differs between machines.
        frequency = np.asarray(fitted.sum(axis=0)).ravel()
        chosen = np.sort(np.argsort(-frequency, kind="stable")[: self.max_features])
        counts, words = counter.transform(texts)[:, chosen], counter.get_feature_names_out()[chosen].tolist()
        if self.tf_idf:
            counts = TfidfTransformer().fit(fitted[:, chosen]).transform(counts).astype(np.float32)
        return counts, words
