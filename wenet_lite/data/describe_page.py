"""A description of data sets as one HTML page that loads nothing and runs nothing."""

from __future__ import annotations

import html

from wenet_lite.data.describe import DataDescription
from wenet_lite.data.describe_findings import findings_of
from wenet_lite.data.describe_layout import Plot, Row, Section, Table, outside, printable
from wenet_lite.data.describe_plot import histogram_svg
from wenet_lite.data.describe_sections import sections_of

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --faint: #6b7480; --line: #d8dde3; --bar: #3b6fb6; --page: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --faint: #98a2ad; --line: #3a424b; --bar: #6c9fe0; --page: #15191e; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1.2em; color: var(--ink);
  background: var(--page); }
h2 { margin-top: 2.2em; border-top: 1px solid var(--line); padding-top: .8em; }
h3 { margin: 1.4em 0 .3em; font-size: 1em; }
p.note { color: var(--faint); max-width: 52em; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .4em 0 1em; font-variant-numeric: tabular-nums; }
th, td { padding: .2em 1.2em .2em 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
td:last-child { white-space: normal; overflow-wrap: anywhere; min-width: 16em; }
th { color: var(--faint); font-weight: 600; }
div.plots { display: flex; flex-wrap: wrap; gap: .5em 1.5em; }
figure { margin: 0; }
figcaption { font-size: 13px; color: var(--faint); max-width: 340px; }
svg rect { fill: var(--bar); }
svg text { font: 11px system-ui, sans-serif; fill: var(--faint); }
svg line.axis { stroke: var(--line); }
svg line.median { stroke: var(--ink); stroke-dasharray: 3 3; }
"""


def as_page(description: DataDescription) -> str:
    """The description as an HTML page; all text is escaped, plots are SVG in the page itself."""
    names = _text(", ".join(s.name for s in description.sets))
    sections = sections_of(description)
    paths = "".join(f"<li>{_text(s.name)}: {_text(s.path)}</li>" for s in description.sets)
    links = " · ".join(f'<a href="#section-{i}">{_text(section.title)}</a>' for i, section in enumerate(sections))
    findings = findings_of(description)
    listed = "".join(f"<li>{_text(finding)}</li>" for finding in findings) or "<li>Nothing.</li>"
    body = "\n".join(_section(f"section-{i}", section) for i, section in enumerate(sections))
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Data sets: {names}</title><style>{_STYLE}</style></head>\n<body>\n<h1>Data sets: {names}</h1>\n"
        f"<ul>{paths}</ul>\n<p>{links}</p>\n<h2>What stands out</h2>\n<ul>{listed}</ul>\n{body}\n</body>\n</html>\n"
    )


def _section(anchor: str, section: Section) -> str:
    parts = [f'<h2 id="{anchor}">{_text(section.title)}</h2>']
    if section.note:
        parts.append(f'<p class="note">{_text(section.note)}</p>')
    parts += [_table(table) for table in section.tables]
    parts += [_plot(plot) for plot in section.plots]
    return "\n".join(parts)


def _table(table: Table) -> str:
    title = f"<h3>{_text(table.title)}</h3>" if table.title else ""
    rows = "\n".join(_row(row, "td") for row in table.rows)
    header = f"<thead>{_row(table.header, 'th')}</thead>"
    return f'{title}<div class="wide"><table>{header}<tbody>{rows}</tbody></table></div>'


def _row(row: Row, cell: str) -> str:
    return "<tr>" + "".join(f"<{cell}>{_text(text)}</{cell}>" for text in row) + "</tr>"


def _plot(plot: Plot) -> str:
    figures = []
    for name, spread in plot.panels:
        summary = f"{name}: {spread.min:.3g} to {spread.max:.3g}, median {spread.median:.3g}{outside(spread.histogram)}"
        drawing = histogram_svg(spread, label=_text(f"{plot.title}; {summary}"))
        figures.append(f"<figure>{drawing}<figcaption>{_text(summary)}</figcaption></figure>")
    return f'<h3>{_text(plot.title)}</h3><div class="plots">{"".join(figures)}</div>'


def _text(text: str) -> str:
    return html.escape(printable(text))
