"""Second pass: the attention decoder chooses among the CTC search's n-best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from wenet_lite.decoding.acoustic_model import AcousticModel, TreeDecoder
from wenet_lite.decoding.options import Hypothesis
from wenet_lite.decoding.prefix_tree import PrefixTree, build_prefix_tree
from wenet_lite.errors import ConfigError

_MAX_NODES = 1024
"""Nodes of padded trees that the decoder reads at once: it bounds the memory, and trees of one size need no padding."""


class AttentionRescoring:
    """Adds the attention decoder's score to the CTC score of each hypothesis (U2, section 3.3).

    The decoder reads the prefix tree of an utterance's n-best, not its list: a node looks at its path from the root,
    its position is its depth, and what hypotheses begin with alike is scored once, as is their encoder output.

    Args:
        model: its decoders score.
        ctc_weight: weight of the CTC score.
        reverse_weight: share of the right-to-left decoder (U2++, section 3.3); as in training where not given.
    Raises:
        ConfigError: if `reverse_weight` is above 0 and the model has no such decoder.
    """

    def __init__(self, model: AcousticModel, ctc_weight: float, reverse_weight: float | None = None) -> None:
        if reverse_weight is None:
            reverse_weight = model.config.reverse_weight
        if reverse_weight > 0 and model.right_decoder is None:
            raise ConfigError("reverse_weight needs a model with a right-to-left decoder", cure="set it to 0")
        self.model = model
        self.ctc_weight, self.reverse_weight = ctc_weight, reverse_weight

    def __call__(self, encoder_out: Tensor, lens: Tensor, nbest: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
        """Rescore the n-best of all utterances of a batch.

        Args:
            encoder_out: (batch, frames, dim).
            lens: (batch,) valid frames, at least 1 each.
            nbest: hypotheses of each utterance, scored by CTC.
        Returns:
            the same, best first, with `score` = log p(tokens, end | x) + ctc_weight * CTC score + `extra`, where the
            first term is a mean of both directions by `reverse_weight`.
        """
        scores = self._scores(self.model.left_decoder, encoder_out, lens, [[h.tokens for h in hyps] for hyps in nbest])
        if self.reverse_weight > 0 and self.model.right_decoder is not None:
            mirrored = [[hyp.tokens[::-1] for hyp in hyps] for hyps in nbest]
            reverse = self._scores(self.model.right_decoder, encoder_out, lens, mirrored)
            scores = (1 - self.reverse_weight) * scores + self.reverse_weight * reverse
        attention = iter(scores.tolist())
        rescored = [
            [
                replace(hyp, score=next(attention) + self.ctc_weight * (hyp.score - hyp.extra) + hyp.extra)
                for hyp in hyps
            ]
            for hyps in nbest
        ]
        return [sorted(hyps, key=lambda hyp: hyp.score, reverse=True) for hyps in rescored]

    def _scores(
        self, decoder: TreeDecoder, memory: Tensor, memory_lens: Tensor, nbest: list[list[tuple[int, ...]]]
    ) -> Tensor:
        """(hypotheses of all utterances,) log p(tokens, end | x)."""
        trees = [build_prefix_tree(hyps, self.model.sos_id) for hyps in nbest]
        scores: dict[int, Tensor] = {}
        for group in _of_like_size([len(tree.tokens) for tree in trees]):
            index = torch.tensor(group, device=memory.device)
            logits = self._logits(decoder, memory[index], memory_lens[index], [trees[i] for i in group])
            scores.update({i: self._of_hypotheses(rows, trees[i]) for i, rows in zip(group, logits)})
        return torch.cat([scores[i] for i in range(len(trees))])

    def _logits(self, decoder: TreeDecoder, memory: Tensor, memory_lens: Tensor, trees: list[PrefixTree]) -> Tensor:
        """(trees, nodes, vocab) of what follows each node."""
        tokens = pad_sequence([tree.tokens for tree in trees], batch_first=True, padding_value=self.model.eos_id)
        depths = pad_sequence([tree.depths for tree in trees], batch_first=True)
        paths = torch.zeros(*tokens.shape, tokens.shape[1], dtype=torch.bool)
        for path, tree in zip(paths, trees):
            path[: len(tree.path), : len(tree.path)] = tree.path
        device = memory.device
        return decoder.tree_logits(memory, memory_lens, tokens.to(device), depths.to(device), paths.to(device))

    def _of_hypotheses(self, logits: Tensor, tree: PrefixTree) -> Tensor:
        """(hypotheses,) log p(tokens, end | x) of an utterance, from (nodes, vocab) logits."""
        device = logits.device
        parents, ends = tree.parents.to(device), tree.ends.to(device)
        log_probs = logits[: len(parents)].float().log_softmax(dim=1)
        of_token = log_probs[parents, tree.tokens.to(device)]
        of_token[0] = 0.0  # the start symbol is given
        return torch.where(tree.path.to(device)[ends], of_token, 0.0).sum(dim=1) + log_probs[ends, self.model.eos_id]


def _of_like_size(sizes: list[int]) -> Iterator[list[int]]:
    """Indices of `sizes` in groups that have at most _MAX_NODES nodes when padded, or a single tree."""
    group: list[int] = []
    for index in sorted(range(len(sizes)), key=sizes.__getitem__):
        if group and sizes[index] * (len(group) + 1) > _MAX_NODES:
            yield group
            group = []
        group.append(index)
    yield group
