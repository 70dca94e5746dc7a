"""Style and script of the page of an evaluation: all of it, so that the page loads nothing."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --faint: #626c78; --line: #d8dde3; --page: #fff; --panel: #f5f7f9;
  --accent: #2f66b0; --sub: #fdecc4; --del: #fbd9d6; --ins: #d6e6fb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --faint: #98a2ad; --line: #3a424b; --page: #15191e; --panel: #1d232a;
    --accent: #7fb0f0; --sub: #54431a; --del: #5b2a2a; --ins: #23406b; }
}
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76em; margin: 0 auto; padding: 1.2em; color: var(--ink);
  background: var(--page); }
h1 { font-size: 1.25em; overflow-wrap: anywhere; margin: 0 0 .8em; }
h2 { font-size: 1.1em; margin: 2em 0 .6em; border-top: 1px solid var(--line); padding-top: .8em; }
h3 { font-size: 1em; margin: 0; overflow-wrap: anywhere; }
small, .note { color: var(--faint); font-weight: normal; }
dl { display: flex; flex-wrap: wrap; gap: .7em; margin: 0; }
dl div { background: var(--panel); border-radius: 8px; padding: .6em 1em; max-width: 100%; }
dt { color: var(--faint); font-size: .85em; }
dd { margin: 0; font-size: 1.3em; font-variant-numeric: tabular-nums; }
dd small { display: block; font-size: .62em; max-width: 36em; }
.side { display: flex; flex-wrap: wrap; gap: .5em 2.5em; align-items: flex-start; }
.wide { overflow-x: auto; max-width: 100%; }
.tall { max-height: 29em; overflow-y: auto; }
section { flex: 1 1 auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); }
th, td { padding: .15em 1.1em .15em 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--faint); font-weight: 600; position: sticky; top: 0; background: var(--page); }
figure { margin: 0; flex: 1 1 300px; max-width: 34em; }
figcaption { color: var(--faint); font-size: .9em; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--faint); }
svg polyline { fill: none; stroke: var(--accent); stroke-width: 2; }
svg circle { fill: var(--accent); }
svg .whisker { stroke: var(--accent); stroke-opacity: .5; stroke-width: 2; }
svg .grid { stroke: var(--line); }
svg .even { stroke: var(--faint); stroke-dasharray: 4 4; }
form { display: flex; flex-wrap: wrap; gap: .6em 1em; align-items: center; position: sticky; top: 0; z-index: 1;
  background: var(--page); padding: .6em 0; border-bottom: 1px solid var(--line); }
@media (max-width: 40em) { form { position: static; } }
input, select { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line);
  border-radius: 6px; padding: .25em .6em; max-width: 100%; }
input { flex: 1 1 12em; }
article { padding: .7em 0; border-bottom: 1px solid var(--line); content-visibility: auto;
  contain-intrinsic-size: auto 6em; }
article p { margin: .3em 0 0; overflow-wrap: anywhere; }
i { display: inline-block; vertical-align: top; font-style: normal; text-align: center; border-radius: 4px;
  padding: 0 .3em; margin: 0 1px 3px; max-width: 100%; }
i b { display: block; font-weight: 600; }
.sub { background: var(--sub); }
.del { background: var(--del); }
.ins { background: var(--ins); }
a { color: var(--accent); }
a.play { font-weight: normal; margin-left: .5em; }
audio { vertical-align: middle; height: 2em; max-width: 100%; }
details { color: var(--faint); margin-top: .2em; }
ol { margin: .2em 0; padding-left: 2em; color: var(--ink); }
"""

SCRIPT = """
const list = document.getElementById("utterances"), items = [...list.children];
const filter = document.getElementById("filter"), order = document.getElementById("order");
filter.oninput = () => {
  const terms = filter.value.toLowerCase().split(" ").filter(Boolean);
  let count = 0;
  for (const item of items) {
    item.words ??= (item.children[0].textContent + " " + item.children[1].textContent).toLowerCase();
    item.hidden = !terms.every(term => item.words.includes(term));
    count += !item.hidden;
  }
  document.getElementById("shown").textContent = count + " of " + items.length;
};
order.onchange = () => {
  const by = order.value;
  items.sort((a, b) => by == "key" ? (a.dataset.key < b.dataset.key ? -1 : 1) : b.dataset[by] - a.dataset[by]);
  list.append(...items);
};
list.onclick = event => {
  const link = event.target.closest("a.play");
  if (!link) return;
  event.preventDefault();
  const player = new Audio(link.href);
  player.controls = true;
  player.onerror = () => player.replaceWith(" cannot be played: " + decodeURI(link.getAttribute("href")));
  link.replaceWith(player);
  player.play();
};
document.querySelector("form").onsubmit = () => false;
filter.oninput();
"""
