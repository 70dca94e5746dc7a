"""An evaluation as one HTML page that loads nothing: summary, tables, curves, and every utterance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from wenet_lite.data.kaldi import PathLike, write_lines
from wenet_lite.scoring.breakdown import SPEAKER_COLUMNS, frequent_errors, scores_by_speaker
from wenet_lite.scoring.evaluation import Evaluation
from wenet_lite.scoring.page_curves import cumulative_share, length_curve, share_curve
from wenet_lite.scoring.page_style import SCRIPT, STYLE
from wenet_lite.scoring.page_utterances import text, utterance_items
from wenet_lite.scoring.wer import ErrorCounts, Scores

_NUM_FREQUENT = 15
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src 'self' file:"

Row = tuple[str, ...]


def write_page(evaluation: Evaluation, title: PathLike, links: Mapping[str, str], path: PathLike) -> None:
    """Write the page, by rename; all text in it is escaped.

    Args:
        evaluation: what is shown.
        title: what was scored.
        links: utterance -> link to its audio, relative to the page; an utterance without one gets no player.
        path: the HTML file.
    Raises:
        DataError: if there is no such folder.
    """
    write_lines(path, (line.encode() for line in page_lines(evaluation, str(title), links)))


def page_lines(evaluation: Evaluation, title: str, links: Mapping[str, str]) -> Iterator[str]:
    """The lines of the page, without line feeds."""
    yield '<!doctype html>\n<html lang=en><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{text(title)}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>{text(title)}</h1>"
    yield _summary(evaluation)
    yield _curves(evaluation.scores)
    yield "<div class=side>"
    if evaluation.utt2spk is not None:
        rows = [speaker.row() for speaker in scores_by_speaker(evaluation.scores, evaluation.utt2spk)]
        yield f"<section><h2>Speakers</h2>{_table('', SPEAKER_COLUMNS, rows)}</section>"
    yield f"<section><h2>Most frequent errors</h2>{_frequent(evaluation.scores)}</section></div>"
    yield (
        '<h2>Utterances</h2><form><input id=filter type=search placeholder="filter by id, speaker, words" '
        'aria-label="filter utterances"><label>first: <select id=order><option value=errors>most errors'
        "<option value=rate>highest rate<option value=key>id</select></label><span id=shown class=note></span>"
        "<span><i class=sub>reference <b>hypothesis</b></i> <i class=del>deleted <b>∅</b></i> "
        "<i class=ins>∅ <b>inserted</b></i></span></form><div id=utterances>"
    )
    yield from utterance_items(evaluation, links)
    yield f"</div><script>{SCRIPT}</script></body></html>"


def _summary(evaluation: Evaluation) -> str:
    scores, name = evaluation.scores, "WER" if evaluation.unit == "word" else "CER"
    sentences = len(scores.utterances)
    entries = [
        _entry(name, _percent(scores.counts), str(evaluation.interval)),
        _entry("errors", str(scores.counts.errors), _kinds(scores.counts)),
        _entry(
            "sentences with an error",
            f"{scores.wrong_sentences} of {sentences}",
            f"{len(scores.missing)} hypotheses missing",
        ),
    ]
    if evaluation.hotwords:
        for label, counts in (("B-WER", evaluation.hotwords.biased), ("U-WER", evaluation.hotwords.unbiased)):
            entries.append(_entry(label, _percent(counts), _kinds(counts)))
    if evaluation.comparison:
        entries.append(_entry("second system", _percent(evaluation.comparison.second), str(evaluation.comparison)))
    if evaluation.nbest:
        entries.append(
            _entry("best of each n-best list", _percent(evaluation.nbest.oracle), _kinds(evaluation.nbest.oracle))
        )
    return f"<dl>{''.join(entries)}</dl>"


def _entry(name: str, figure: str, note: str) -> str:
    return f"<div><dt>{text(name)}</dt><dd>{text(figure)} <small>{text(note)}</small></dd></div>"


def _percent(counts: ErrorCounts) -> str:
    return f"{counts.rate:.2f} %"


def _kinds(counts: ErrorCounts) -> str:
    return f"{counts.subs} sub, {counts.dels} del, {counts.ins} ins in {counts.ref_words}"


def _curves(scores: Scores) -> str:
    figures = []
    if by_length := length_curve(scores):
        caption = "From the shortest utterances to the longest, with 95 % intervals."
        figures.append(f"<figure>{by_length}<figcaption>{caption}</figcaption></figure>")
    if shares := share_curve(scores):
        half = int(np.searchsorted(cumulative_share(scores), 50.0))
        caption = f"Half of the errors are in the worst {100 * half / len(scores.utterances):.0f} % of the utterances."
        figures.append(f"<figure>{shares}<figcaption>{caption}</figcaption></figure>")
    return f"<h2>Where the errors are</h2><div class=side>{''.join(figures)}</div>"


def _frequent(scores: Scores) -> str:
    frequent = frequent_errors(scores, _NUM_FREQUENT)
    tables = (
        ("substitutions", [(f"{ref} → {hyp}", str(times)) for (ref, hyp), times in frequent.substitutions]),
        ("deletions", [(ref, str(times)) for ref, times in frequent.deletions]),
        ("insertions", [(hyp, str(times)) for hyp, times in frequent.insertions]),
    )
    listed = (_table(title, (), rows) for title, rows in tables if rows)
    return f"<div class=side>{''.join(listed)}</div>"


def _table(caption: str, header: Row, rows: Sequence[Row]) -> str:
    titled = f"<caption>{text(caption)}</caption>" if caption else ""
    head = f"<thead>{_row(header, 'th')}</thead>" if header else ""
    body = "".join(_row(row, "td") for row in rows)
    return f'<div class="wide tall"><table>{titled}{head}<tbody>{body}</tbody></table></div>'


def _row(cells: Row, tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{text(cell)}</{tag}>' for cell in cells)}</tr>"
