"""A description of data sets as plain text and as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

from wenet_lite.data.describe import DataDescription, SetDescription
from wenet_lite.data.describe_distribution import Distribution, Histogram
from wenet_lite.data.describe_text import CharacterCount

Row = tuple[str, ...]
_WIDTH, _HEIGHT = 560, 120
_RARE = 0.001  # of all characters
_MOST_RARE = 50
_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.5em 0 1.5em}td,th{padding:.15em .8em;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #ddd}svg{background:#f6f6f6}rect{fill:#47c}h2{border-top:2px solid #222;padding-top:.5em}"
)


def as_text(description: DataDescription) -> str:
    """The description for a terminal."""
    parts = [_text_table("", [("", *(s.name for s in description.sets)), *_summary(description.sets)])]
    parts += [_text_table(title, rows) for title, rows in _lists(description)]
    return "\n".join(parts)


def as_page(description: DataDescription) -> str:
    """The description as an HTML page, plots included."""
    names = ", ".join(s.name for s in description.sets)
    body = [f"<h1>{escape(names)}</h1>", _html_table([("", *(s.name for s in description.sets))], "th")]
    body[-1] = body[-1].removesuffix("</table>") + _html_rows(_summary(description.sets), "td") + "</table>"
    for title, pick in _PLOTS.items():
        plots = [(s.name, pick(s)) for s in description.sets]
        drawn = [f"<h3>{escape(name)}</h3>{_plot(spread.histogram)}" for name, spread in plots if spread is not None]
        if drawn:
            body += [f"<h2>{escape(title)}</h2>", *drawn]
    for title, rows in _lists(description):
        body += [f"<h2>{escape(title)}</h2>", _html_table(rows, "td")]
    head = f'<meta charset="utf-8"><title>{escape(names)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(body) + "\n</body></html>\n"


_PLOTS: dict[str, Callable[[SetDescription], Distribution | None]] = {
    "Length of the utterances, seconds": lambda s: s.durations,
    "Words a second": lambda s: s.text.words_per_second,
    "Characters a second": lambda s: s.text.characters_per_second,
    "Level, dBFS": lambda s: s.audio.level if s.audio else None,
    "Silent part of the utterance": lambda s: s.audio.silence if s.audio else None,
}


def _summary(sets: Sequence[SetDescription]) -> list[Row]:
    """One row a figure, one column a set."""
    figures: dict[str, Callable[[SetDescription], str]] = {
        "hours": lambda s: f"{s.hours:.2f}",
        "utterances": lambda s: str(s.num_utterances),
        "left out": lambda s: str(len(s.left_out)),
        "speakers": lambda s: str(s.num_speakers),
        "hours a speaker: min, median, max": lambda s: _numbers(s.hours_per_speaker, "min median max", 3),
        "seconds: min, median, mean, p95, max": lambda s: _numbers(s.durations, "min median mean p95 max", 1),
        "sampling rates": lambda s: ", ".join(f"{rate} Hz: {n}" for rate, n in sorted(s.sample_rates.items())) or "-",
        "words": lambda s: str(s.text.num_words),
        "vocabulary": lambda s: str(s.text.vocabulary),
        "words that occur once": lambda s: str(s.text.num_once),
        "words a second, median": lambda s: _numbers(s.text.words_per_second, "median", 2),
        "characters a second, median": lambda s: _numbers(s.text.characters_per_second, "median", 1),
        "distinct characters": lambda s: str(len(s.text.characters)),
        "empty transcripts": lambda s: str(s.text.num_empty),
        "repeated transcripts": lambda s: str(s.text.num_repeated),
        "likely wrong transcripts": lambda s: str(s.text.suspects.count),
        "running words not in the first set": lambda s: _percent(s.text.unseen.share) if s.text.unseen else "-",
        "unknown units": lambda s: _percent(s.text.unknown.share) if s.text.unknown else "-",
        "audio read": lambda s: str(s.audio.num_measured) if s.audio else "-",
        "level, dBFS, median": lambda s: _numbers(s.audio.level, "median", 1) if s.audio else "-",
        "silent part, median": lambda s: _numbers(s.audio.silence, "median", 2) if s.audio else "-",
        "silence before and after, s, median": _ends,
        "clipped utterances": lambda s: str(s.audio.num_clipped) if s.audio else "-",
        "unreadable": lambda s: str(len(s.audio.unreadable)) if s.audio else "-",
    }
    return [(name, *(figure(s) for s in sets)) for name, figure in figures.items()]


def _lists(description: DataDescription) -> list[tuple[str, list[Row]]]:
    """What is listed item by item, where there is any of it."""
    found: list[tuple[str, list[Row]]] = [
        (
            "In more than one set",
            [
                (
                    f"{o.first} and {o.second}",
                    f"{o.count} {o.kind}",
                    f"{_percent(o.share)} of {o.second}",
                    *o.examples[:3],
                )
                for o in description.overlaps
            ],
        )
    ]
    for s in description.sets:
        suspects = s.text.suspects
        bounds = f"outside of {suspects.slowest:.1f} to {suspects.fastest:.1f} characters a second"
        found += [
            (f"{s.name}: left out", [(p.key, p.reason) for p in s.left_out]),
            (
                f"{s.name}: likely wrong transcripts, {bounds}",
                [(w.key, f"{w.rate:.1f}", f"{w.duration:.2f} s", w.reason, w.txt) for w in suspects.worst],
            ),
            (f"{s.name}: transcripts of several utterances", [(str(r.count), r.item) for r in s.text.repeated]),
            (f"{s.name}: rare characters", [(repr(c.character), str(c.count), c.word) for c in _rare(s)]),
            (
                f"{s.name}: words that the first set lacks",
                [(str(w.count), w.item) for w in s.text.unseen.words] if s.text.unseen else [],
            ),
            (
                f"{s.name}: utterances with unknown units",
                [(p.key, p.reason) for p in s.text.unknown.utterances] if s.text.unknown else [],
            ),
            (f"{s.name}: audio to look at", [(p.key, p.reason) for p in s.audio.faulty] if s.audio else []),
            (f"{s.name}: unreadable audio", [(p.key, p.reason) for p in s.audio.unreadable] if s.audio else []),
        ]
    return [(title, rows) for title, rows in found if rows]


def _rare(s: SetDescription) -> Sequence[CharacterCount]:
    total = sum(c.count for c in s.text.characters)
    return [c for c in reversed(s.text.characters) if c.count < _RARE * total][:_MOST_RARE]


def _numbers(spread: Distribution | None, names: str, digits: int) -> str:
    if spread is None:
        return "-"
    return ", ".join(f"{getattr(spread, name):.{digits}f}" for name in names.split())


def _ends(s: SetDescription) -> str:
    if s.audio is None or s.audio.leading is None or s.audio.trailing is None:
        return "-"
    return f"{s.audio.leading.median:.2f}, {s.audio.trailing.median:.2f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _text_table(title: str, rows: Sequence[Row]) -> str:
    columns = max(map(len, rows))
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(columns)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([f"\n{title}" if title else "", *lines]).lstrip("\n") + "\n"


def _html_rows(rows: Iterable[Row], cell: str) -> str:
    return "\n".join("<tr>" + "".join(f"<{cell}>{escape(value)}</{cell}>" for value in row) + "</tr>" for row in rows)


def _html_table(rows: Iterable[Row], cell: str) -> str:
    return f"<table>{_html_rows(rows, cell)}</table>"


def _plot(histogram: Histogram) -> str:
    """A histogram as SVG; each bar tells its numbers when it is pointed at."""
    highest = max(histogram.counts, default=0) or 1
    bar = _WIDTH / len(histogram.counts)
    bars = []
    for i, count in enumerate(histogram.counts):
        height = _HEIGHT * count / highest
        span = f"{histogram.edges[i]:g} to {histogram.edges[i + 1]:g}: {count}"
        bars.append(
            f'<rect x="{i * bar:.1f}" y="{_HEIGHT - height:.1f}" width="{max(bar - 1, 0.5):.1f}" height="{height:.1f}">'
            f"<title>{span}</title></rect>"
        )
    labels = (
        f'<text x="0" y="{_HEIGHT + 15}" font-size="12">{histogram.edges[0]:g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 15}" font-size="12" text-anchor="end">{histogram.edges[-1]:g}</text>'
    )
    outside = f"<p>{histogram.below} below, {histogram.above} above</p>" if histogram.below + histogram.above else ""
    return f'<svg width="{_WIDTH}" height="{_HEIGHT + 20}" role="img">{"".join(bars)}{labels}</svg>{outside}'
