"""Texts as a tree, against the texts themselves."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model_store.predictors.prefixes import PrefixTree

SOS, EOS = 8, 9
TEXTS = st.lists(st.lists(st.integers(1, 3), max_size=6), min_size=1, max_size=8)


def read_back(arrays: dict[str, np.ndarray], step: int) -> tuple[list[int], int]:
    """What was said before a step, by the tokens that its node sees in the order of their depths; and what follows."""
    node, token = arrays["steps"][step]
    before = np.flatnonzero(arrays["seen"][node])
    before = before[np.argsort(arrays["depths"][before])]
    assert arrays["depths"][before].tolist() == list(range(len(before)))
    return arrays["tokens"][before].tolist(), int(token)


@given(TEXTS)
def test_prefix_tree_steps_of_a_text_say_the_text(texts):
    tree = PrefixTree(SOS, EOS)
    steps = [tree.add(text) for text in texts]
    arrays = tree.arrays()
    for text, of in zip(texts, steps, strict=True):
        assert [read_back(arrays, step) for step in of] == [
            ([SOS, *text[:at]], token) for at, token in enumerate([*text, EOS])
        ]


@given(TEXTS)
def test_prefix_tree_has_a_node_for_each_beginning_and_no_other(texts):
    tree = PrefixTree(SOS, EOS)
    for text in texts:
        tree.add(text)
    assert len(tree) == len({tuple(text[:at]) for text in texts for at in range(len(text) + 1)})


def test_prefix_tree_padding_sees_itself_alone_and_is_seen_by_nobody():
    tree = PrefixTree(SOS, EOS)
    tree.add([1, 2])
    arrays = tree.arrays()
    assert {name: array.shape for name, array in arrays.items()} == {
        "tokens": (16,), "depths": (16,), "seen": (16, 16), "steps": (16, 2)
    }  # fmt: skip
    np.testing.assert_array_equal(arrays["seen"][3:], np.eye(16)[3:])
    assert not arrays["seen"][:3, 3:].any()
