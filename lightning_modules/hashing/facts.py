"""What a checkpoint knows of the data that its network was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def facts_of(data: Any, with_text: bool) -> dict[str, Any]:
    """Sum up the training split of a data module that is set up.

    Args:
        data: the data module.
        with_text: name the text features too.

    Raises:
        ValueError: text is asked for, and the data have no text features.
    """
    labels = data.labels("train")
    facts = {
        "num_train": len(labels),
        "num_classes": labels.shape[1],
        "class_names": list(data.class_names),
        "dataset": data.dataset_name,
        "fingerprint": data.fingerprint,
    }
    if with_text:
        if data.text_width is None:
            raise ValueError(f"a text encoder needs text features of {data.dataset_name}: set the data's option text")
        facts |= {"text": data.text_title, "text_width": data.text_width}
    return facts


def check_facts(found: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Compare the facts of a checkpoint with those of the data; nothing known fits everything.

    Raises:
        ValueError: another class count, training size or split.
    """
    for key in ("num_classes", "num_train", "fingerprint"):
        if known and found[key] != known[key]:
            raise ValueError(f"the checkpoint was trained with {key}={found[key]}, the data has {known[key]}")
