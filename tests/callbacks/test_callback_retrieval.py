"""RetrievalLists: three ranked lists per query and modality, under its id."""

from types import SimpleNamespace

import numpy as np
import torch

from callbacks import RetrievalLists
from lightning_modules.pictures import retrieval_list
from tests.callbacks.stub import StubModule, as_array, images_of, make_outputs, run_test

KINDS = ["hit", "target", "both", "miss"]  # of the stub's database, for query class 0 and target class 1


def test_lists_of_the_first_queries(tmp_path):
    module, outputs = StubModule(), make_outputs("abc")
    found = images_of(run_test(tmp_path, RetrievalLists(count=2, depth=3), module), "retrieval/")
    assert set(found) == {"a", "b"}
    hits = [as_array(module.context.database_image(i)) for i in range(3)]
    for row, sample_id in enumerate("ab"):
        states = [outputs.original[row], outputs.attacked[row], outputs.defended[row]]
        lists = [retrieval_list(as_array(state), hits, KINDS[:3]) for state in states]
        assert np.array_equal(found[sample_id], np.concatenate(lists))
    assert len(module.asked) == 6


class CrossModalStub(StubModule):
    """Texts beside the pictures; the attacked query of class 0 finds those of class 1 first."""

    captions = ("a cat", "two | dogs\n*bark*", "<b>pets</b>", "x" * 100)

    def __init__(self):
        super().__init__()
        self.context.text = SimpleNamespace(database=self.context.database)
        self.context.database_text = self.captions.__getitem__
        self.original = make_outputs("abc").original

    def rank_texts(self, images, depth):
        clean = torch.equal(images[0], self.original[0])
        return torch.tensor([[0, 2, 1, 3] if clean else [1, 2, 3, 0]])[:, :depth]


def texts_of(events):
    """Return the texts of all tags."""
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith("retrieval/")]
    return {tag.split("/")[1]: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in tags}


def test_a_cross_modal_hasher_also_lists_texts(tmp_path):
    events = run_test(tmp_path, RetrievalLists(count=1, depth=4), CrossModalStub())
    assert set(images_of(events, "retrieval/")) == {"a"}
    header, line, *rows = texts_of(events)["a"].splitlines()
    assert (header, line) == ("| rank | original | attacked | defended |", "| --- | --- | --- | --- |")
    dogs, pets = r"two \| dogs \*bark\*", "&lt;b&gt;pets&lt;/b&gt;"
    assert rows[0] == rf"| 1 | **hit** a cat | **target** {dogs} | **target** {dogs} |"
    assert rows[1] == f"| 2 | **both** {pets} | **both** {pets} | **both** {pets} |"
    assert rows[2].startswith(rf"| 3 | **target** {dogs} | **miss** {'x' * 79}… |")
    assert len(rows) == 4


def test_a_hasher_of_images_lists_none(tmp_path):
    assert texts_of(run_test(tmp_path, RetrievalLists())) == {}


def test_only_the_first_step_is_shown(tmp_path):
    assert set(images_of(run_test(tmp_path, RetrievalLists(count=5)), "retrieval/")) == {"a", "b", "c"}


def test_nothing_is_ranked_without_a_board(tmp_path):
    module = StubModule()
    run_test(tmp_path, RetrievalLists(), module, logger=False)
    assert module.asked == []
