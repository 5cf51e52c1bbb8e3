"""The style sheet of the HTML report; a Python constant, so that every installation carries it."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fcfbf8; --raised: #f4f2ec; --ink: #1c2029; --soft: #565c6b; --rule: #dcd8cf; --link: #0a5c94;
  --s0: #b84500; --s1: #0067a6; --s2: #00785a; --s3: #a1427a; --s4: #836000; --s5: #4a4f5c;
  --hit: #009e73; --target: #d55e00; --miss: #8b8f99;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Source Serif 4", "Noto Serif", Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial,
    sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14161b; --raised: #1d2027; --ink: #e9e7e2; --soft: #a9aebb; --rule: #363b47; --link: #8cc6f2;
    --s0: #ff8f5e; --s1: #6cb8f0; --s2: #3fcf9e; --s3: #e59ac6; --s4: #edc04e; --s5: #b9bdc8;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0 auto; max-width: 1180px; padding: clamp(1.25rem, 4vw, 4rem) clamp(1rem, 4vw, 2.5rem) 5rem;
  background: var(--ground); color: var(--ink); font: 1rem/1.55 var(--sans);
}
h1, h2, .lead { font-family: var(--serif); text-wrap: balance; }
h1 { margin: 0; font-size: clamp(1.9rem, 5vw, 2.9rem); font-weight: 600; line-height: 1.12;
  letter-spacing: -.015em;
  overflow-wrap: anywhere; }
.lead { margin: 1.1rem 0 0; max-width: 46em; font-size: clamp(1.08rem, 2.2vw, 1.28rem); line-height: 1.5;
  text-wrap: pretty; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.5rem; margin-top: 1.75rem; padding-top: .9rem;
  border-top: 1px solid var(--rule); font-size: .92rem; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: .2em; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 3px; }
section { margin-top: clamp(2.75rem, 6vw, 4.25rem); }
h2 { margin: 0 0 .9rem; font-size: 1.6rem; font-weight: 600; line-height: 1.2; letter-spacing: -.008em; }
section > p { margin: 0 0 1.25rem; max-width: 52em; color: var(--soft); text-wrap: pretty; }
figure { margin: 0; min-width: 0; }
figcaption, caption { color: var(--soft); font-size: .88rem; line-height: 1.45; text-align: left; }
figcaption { margin-top: .55rem; overflow-wrap: anywhere; }
caption { padding-bottom: .6rem; }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 2rem); }
img, svg { display: block; max-width: 100%; height: auto; }
img { border-radius: 2px; }

.scroll { overflow-x: auto; }
.tall { max-height: 88vh; overflow: auto; }
.scroll + .scroll { margin-top: 2.5rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: .42rem .54rem; text-align: right; white-space: nowrap; }
th[scope=row], th:first-child { text-align: left; font-weight: 400; padding-left: 0; }
.results { width: 100%; border-bottom: 1.5px solid var(--ink); }
.results thead th { border-top: 1.5px solid var(--ink); border-bottom: 1px solid var(--ink);
  vertical-align: bottom;
  font-size: .8rem; font-weight: 600; line-height: 1.25; white-space: normal; }
.tall thead th { position: sticky; top: 0; z-index: 2; background: var(--ground);
  border-bottom: 0; box-shadow: inset 0 -1px var(--ink); }
.tall thead th:first-child { left: 0; z-index: 3; }
.results tbody + tbody .group th { border-top: 1px solid var(--rule); }
.results .group th { padding-top: .75rem; font-weight: 600; }
.results .group span { position: sticky; left: 0; }
.results th[scope=row] { position: sticky; left: 0; padding-left: .9rem; background: var(--ground); }
.results tbody tr:not(.group):hover > * { background: var(--raised); }
.bounds { margin-left: .2em; color: var(--soft); font-size: .92em; }
.facts { width: 100%; }
.facts th, .facts td { vertical-align: top; text-align: left; border-top: 1px solid var(--rule); }
.facts th { width: 12rem; padding-left: 0; color: var(--soft); }
.facts td { white-space: pre-wrap; overflow-wrap: anywhere; }

.reading { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: 1rem 2.25rem;
  margin: 1.75rem 0 0; font-size: .9rem; line-height: 1.5; }
.reading dt { font-weight: 600; }
.reading dd { margin: 0; color: var(--soft); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 2.25rem 2.75rem; }
.panels3 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: 2rem 1.75rem; }
.plot svg { width: 100%; max-width: 560px; }
.strip { max-width: 720px; }
.strip img { width: 100%; }
.panels { display: grid; grid-template-columns: repeat(5, 1fr); gap: 2px; margin-bottom: .35rem;
  align-items: end;
  color: var(--soft); font-size: .76rem; line-height: 1.2; }
.list + .list { margin-top: 2.4rem; }
.list figcaption + .state { margin-top: .5rem; }
.state { margin: .8rem 0 .3rem; font-size: .88rem; }
@media (prefers-color-scheme: dark) { .wide img { padding: 5px; background: #fff; } }
.legend { display: flex; flex-wrap: wrap; gap: .4rem 1.75rem; margin: -.35rem 0 1.5rem; padding: 0;
  list-style: none;
  font-size: .9rem; }
.legend li { display: flex; align-items: center; gap: .55rem; }
.frame { width: 1.15rem; height: 1.15rem; border: 3px solid var(--hit); }
.frame.target { border: 3px dashed var(--target); }
.frame.both { border-right-color: var(--target); border-bottom-color: var(--target); }
.frame.miss { border: 1px solid var(--miss); }

svg text { fill: var(--ink); font-family: var(--sans); font-size: 12.5px;
  font-variant-numeric: tabular-nums; }
svg .tick, svg .axis, svg .level { fill: var(--soft); }
svg .tick { font-size: 11.5px; }
svg .group, svg .panel { font-weight: 600; }
svg .panel { font-size: 13.5px; }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
svg line, svg polyline { fill: none; stroke: var(--ink); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .clean { stroke-dasharray: 5 3; stroke-width: 1.2; }
svg .chance { stroke: var(--soft); stroke-dasharray: 1.2 2.6; stroke-width: 1.4; }
svg .bar { stroke-width: 8; stroke-opacity: .45; }
svg .curve { stroke-width: 2.1; stroke-linejoin: round; }
svg .bits { stroke: none; }
svg .reference { stroke: var(--soft); stroke-width: 5.5; stroke-opacity: .4; }
svg .dot { stroke: var(--ground); stroke-width: 1; }
svg .s0 { stroke: var(--s0); } svg .dot.s0, svg .bits.s0 { fill: var(--s0); }
svg .s1 { stroke: var(--s1); } svg .dot.s1, svg .bits.s1 { fill: var(--s1); }
svg .s2 { stroke: var(--s2); } svg .dot.s2, svg .bits.s2 { fill: var(--s2); }
svg .s3 { stroke: var(--s3); } svg .dot.s3, svg .bits.s3 { fill: var(--s3); }
svg .s4 { stroke: var(--s4); } svg .dot.s4, svg .bits.s4 { fill: var(--s4); }
svg .s5 { stroke: var(--s5); } svg .dot.s5, svg .bits.s5 { fill: var(--s5); }
@media (max-width: 640px) {
  .panels { font-size: .68rem; }
  .facts th { width: 6.5rem; white-space: normal; }
  h2 { font-size: 1.4rem; }
  .wide img { max-width: 200%; }
}
@media print { body { max-width: none; padding: 0; } nav { display: none; } figure, tr {
  break-inside: avoid; } }
"""
