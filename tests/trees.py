"""Hypotheses as a decoder takes them."""

from collections.abc import Sequence

from model_store.predictors.prefixes import Array, PrefixTree


def tree_of(texts: Sequence[Sequence[int]], sos: int, eos: int) -> tuple[dict[str, Array], list[list[int]]]:
    """What the graph is told, and the steps of each text."""
    tree = PrefixTree(sos, eos)
    steps = [tree.add(text) for text in texts]
    return tree.arrays(), steps
