"""Hypotheses of an utterance as a tree: what they begin with alike is there once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PrefixTree:
    """The distinct prefixes of an utterance's hypotheses, each a node; a node comes after the prefix it extends.

    Attributes:
        tokens: (nodes,) last token of each prefix; of the empty prefix, the first node, the start symbol.
        parents: (nodes,) node of the prefix without that token; the empty prefix has itself.
        depths: (nodes,) tokens of each prefix.
        path: (nodes, nodes), true where the prefix of a row begins with that of a column, or is it.
        ends: (hypotheses,) node of each whole hypothesis.
    """

    tokens: Tensor
    parents: Tensor
    depths: Tensor
    path: Tensor
    ends: Tensor


def build_prefix_tree(hypotheses: Iterable[Sequence[int]], start: int) -> PrefixTree:
    """The tree of some hypotheses, on the CPU.

    Args:
        hypotheses: tokens of each; they may be empty, or one the same as another.
        start: the start symbol.
    """
    tokens, parents, depths, ends = [start], [0], [0], []
    children: dict[tuple[int, int], int] = {}
    for hypothesis in hypotheses:
        node = 0
        for depth, token in enumerate(hypothesis, start=1):
            child = children.setdefault((node, token), len(tokens))
            if child == len(tokens):
                tokens.append(token)
                parents.append(node)
                depths.append(depth)
            node = child
        ends.append(node)
    path = torch.zeros(len(tokens), len(tokens), dtype=torch.bool)
    rows = path.numpy()
    for node, parent in enumerate(parents):
        rows[node] = rows[parent]
        rows[node, node] = True
    return PrefixTree(
        torch.tensor(tokens), torch.tensor(parents), torch.tensor(depths), path, torch.tensor(ends, dtype=torch.long)
    )
