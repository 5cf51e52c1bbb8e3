"""SentenceEncoder with a tiny random BERT, against the same model called text by text without padding."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from datamodules.source import DataError
from datamodules.text import SentenceEncoder
from datamodules.text.sentence_encoder import pool

CAPTIONS = [
    ["a dog"],
    [],
    ["the red car on the beach", "a dog"],
    ["dog"],
    ["the the the the the the the the the the the the the the"],
    [" \n"],
]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "dog", "red", "car", "on", "beach"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    transformers = pytest.importorskip("transformers", reason="sentence encoders need transformers")
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    transformers.BertTokenizer(str(folder / "vocab.txt"), model_max_length=20).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=20, **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_agrees_with_single_texts(texts, bert, pooling):
    import transformers

    found = SentenceEncoder(str(bert), pooling=pooling, max_length=9, batch_size=3).encode(texts(CAPTIONS))
    model = transformers.BertModel.from_pretrained(bert).eval()
    assert found.shape == (6, 8)
    assert found.dtype == np.float32
    for row, sentences in enumerate(CAPTIONS):
        words = " ".join(sentences).split()
        ids = [WORDS.index(word) for word in ("[CLS]", *words[:7], "[SEP]")]
        with torch.no_grad():
            tokens = model(torch.tensor([ids])).last_hidden_state[0]
        expected = (tokens.mean(0) if pooling == "mean" else tokens[0]) if words else torch.zeros(8)
        assert np.allclose(found[row], expected.numpy(), atol=1e-5), row


def test_padding_has_no_weight():
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [99.0, 99.0]], [[5.0, 0.0], [5.0, 0.0], [5.0, 9.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert pool(tokens, mask, "mean").tolist() == [[2, 4], [5, 3]]
    assert pool(tokens, mask, "cls").tolist() == [[1, 2], [5, 0]]


def test_the_cache_holds_it(texts, bert, tmp_path, monkeypatch):
    features = SentenceEncoder(str(bert), max_length=9)
    table = features.table(texts(CAPTIONS), tmp_path)
    assert (table.width, table.zero_rows) == (8, 2)
    monkeypatch.setattr(SentenceEncoder, "encode", lambda *_: pytest.fail("encoded again"))
    assert features.table(texts(CAPTIONS), tmp_path)[3].tolist() == table[3].tolist()


def test_the_title_names_model_and_revision():
    assert SentenceEncoder().title == "bert-large-uncased (default revision, mean of 128 tokens)"
    assert "x (abc, cls of 9 tokens)" in SentenceEncoder("x", "abc", "cls", 9).title


def test_errors(texts, bert, tmp_path):
    source = texts(CAPTIONS)
    with pytest.raises(DataError, match=r"max_length=21: .* takes 20 tokens at most"):
        SentenceEncoder(str(bert), max_length=21).encode(source)
    with pytest.raises(DataError, match=r"nowhere' cannot be loaded"):
        SentenceEncoder(str(tmp_path / "nowhere")).encode(source)
    with pytest.raises(DataError, match="neither captions nor tags"):
        SentenceEncoder(str(bert)).encode(texts([[], []]))


def test_impossible_options():
    with pytest.raises(DataError, match="pooling='max'"):
        SentenceEncoder(pooling="max")
    with pytest.raises(DataError, match="max_length=2: expected at least 3"):
        SentenceEncoder(max_length=2)
    with pytest.raises(DataError, match="batch_size=0: expected at least 1"):
        SentenceEncoder(batch_size=0)


def test_the_missing_package_is_named(texts, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DataError, match=r"pip install retpur\[text\]"):
        SentenceEncoder().encode(texts(CAPTIONS))
