"""The utterances of a page, worst first: alignment, n-best list and a link to the audio."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from itertools import groupby

from wenet_lite.data.describe_layout import printable
from wenet_lite.scoring.evaluation import Evaluation
from wenet_lite.scoring.nbest import ScoredNbest
from wenet_lite.scoring.wer import Utterance, pair_kind

_NUM_ALTERNATIVES = 3
_HIGHEST_RATE = 1e6  # in place of infinity, which a script could not sort by


def utterance_items(evaluation: Evaluation, links: Mapping[str, str]) -> Iterator[str]:
    """One `<article>` an utterance, that with the most errors first, then by error rate and id.

    Args:
        evaluation: what is shown.
        links: utterance -> link to its audio.
    """
    gap = " " if evaluation.unit == "word" else ""
    ranked = sorted(evaluation.scores.utterances, key=lambda u: (-u.counts.errors, -u.counts.rate, u.key))
    for utterance in ranked:
        counts, key = utterance.counts, utterance.key
        speaker = evaluation.utt2spk[key] if evaluation.utt2spk is not None else ""
        attributes = (
            f'data-key="{text(key)}" data-errors={counts.errors} data-rate={min(counts.rate, _HIGHEST_RATE):.2f}'
        )
        told = f"{text(speaker)} · {_told(utterance)}" if speaker else _told(utterance)
        play = f' <a class=play href="{text(links[key])}">play</a>' if key in links else ""
        nbest = _nbest(evaluation.nbest, key) if evaluation.nbest and key in evaluation.nbest.hyps else ""
        yield (
            f"<article {attributes}><h3>{text(key)} <small>{told}</small>{play}</h3>"
            f"<p dir=auto>{_alignment(utterance, gap)}</p>{nbest}</article>"
        )


def text(raw: str) -> str:
    """Text as it may stand in HTML, in attributes too; what no reader would see is shown as an escape."""
    return html.escape(printable(raw))


def _told(utterance: Utterance) -> str:
    counts = utterance.counts
    kinds = ((counts.subs, "sub"), (counts.dels, "del"), (counts.ins, "ins"))
    told = ", ".join(f"{count} {name}" for count, name in kinds if count)
    return f"{counts.rate:.1f} % of {counts.ref_words}{f': {told}' if told else ''}"


def _alignment(utterance: Utterance, gap: str) -> str:
    """Reference above hypothesis where they differ; units that are right stand once."""
    parts = []
    for kind, pairs in groupby(utterance.pairs, lambda pair: pair_kind(*pair)):
        if kind == "hit":
            parts.append(text(gap.join(ref for ref, _ in pairs)))
        else:
            parts += [f"<i class={kind}>{text(ref) or '∅'} <b>{text(hyp) or '∅'}</b></i>" for ref, hyp in pairs]
    return gap.join(parts)


def _nbest(nbest: ScoredNbest, key: str) -> str:
    """How good the list is, and the next hypotheses after the first, which the alignment shows."""
    hyps, errors = nbest.hyps[key], nbest.errors[key]
    best = errors.index(min(errors))
    listed = "".join(
        f"<li>{text(hyp.text)} <small>{count} errors, score {hyp.score:.1f}</small>"
        for hyp, count in list(zip(hyps, errors))[1 : 1 + _NUM_ALTERNATIVES]
    )
    summary = f"{len(hyps)} hypotheses, the best is number {best + 1} with {errors[best]} errors"
    return f"<details><summary>{summary}</summary><ol start=2>{listed}</ol></details>"
