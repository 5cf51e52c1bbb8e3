"""The style sheet of the inspection page; a Python constant, so that every installation carries it."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fcfbf8; --raised: #f4f2ec; --ink: #1c2029; --soft: #565c6b; --rule: #dcd8cf; --link: #0a5c94;
  --database: #b5d3e8; --train: #b4ddc9; --val: #e9d7a6; --query: #f3c4ac;
  --error: #a8201a; --warning: #8a4b00; --note: #3f5873;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Source Serif 4", "Noto Serif", Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial,
    sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14161b; --raised: #1d2027; --ink: #e9e7e2; --soft: #a9aebb; --rule: #363b47; --link: #8cc6f2;
    --database: #234a66; --train: #1f5440; --val: #5d4a16; --query: #6d3822;
    --error: #ff9d94; --warning: #f0b765; --note: #a9c4e2;
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
  letter-spacing: -.015em; overflow-wrap: anywhere; }
.lead { margin: 1.1rem 0 0; max-width: 46em; font-size: clamp(1.08rem, 2.2vw, 1.28rem); line-height: 1.5;
  text-wrap: pretty; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .35rem 1.5rem; margin-top: 1.75rem; padding-top: .9rem;
  border-top: 1px solid var(--rule); font-size: .92rem; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: .2em; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 3px; }
section { margin-top: clamp(2.75rem, 6vw, 4.25rem); }
h2 { margin: 0 0 .9rem; font-size: 1.6rem; font-weight: 600; line-height: 1.2; letter-spacing: -.008em; }
section > p { margin: 0 0 1.25rem; max-width: 52em; color: var(--soft); text-wrap: pretty; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: .42rem .7rem; text-align: right; font-weight: 400; }
th:first-child { padding-left: 0; text-align: left; }
thead th { border-bottom: 1px solid var(--ink); font-size: .8rem; font-weight: 600; line-height: 1.25; }
code, .hash { font-family: var(--mono); font-size: .92em; }

.facts { margin: 1.75rem 0 0; font-size: .92rem; }
.facts div { display: grid; grid-template-columns: 9.5rem 1fr; gap: 1rem; padding: .4rem 0;
  border-top: 1px solid var(--rule); }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; }

.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
  gap: 2.25rem 3.5rem; }
.pair > p { margin: 0; color: var(--soft); font-size: .92rem; }
.sizes { width: 100%; border-top: 1.5px solid var(--ink); border-bottom: 1.5px solid var(--ink); }
.sizes tbody tr + tr > * { border-top: 1px solid var(--rule); }
.differs { color: var(--warning); font-weight: 600; }
.scores { margin: 0; display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr));
  gap: 1.25rem 2rem; align-content: start; }
.scores dt { font-weight: 600; font-size: .9rem; }
.scores dd { margin: 0; color: var(--soft); font-size: .9rem; line-height: 1.45; }
.scores b { display: block; color: var(--ink); font: 600 1.9rem/1.3 var(--serif);
  font-variant-numeric: lining-nums; }

.findings { margin: 0; padding: 0; list-style: none; }
.findings li { display: grid; grid-template-columns: 5.5rem 1fr; gap: .25rem 1rem; padding: .7rem 0;
  border-top: 1px solid var(--rule); }
.findings li:last-child { border-bottom: 1px solid var(--rule); }
.findings strong { font-size: .88rem; line-height: 1.75; }
.findings div { min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.findings small { display: block; margin-top: .2rem; color: var(--soft); font-size: .84rem; line-height: 1.5; }
.error strong { color: var(--error); } .warning strong { color: var(--warning); } .note strong { color: var(--note); }

.legend { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; margin: 0 0 1.25rem; padding: 0; list-style: none;
  font-size: .88rem; color: var(--soft); }
.legend li { display: flex; align-items: center; gap: .5rem; }
.legend i { width: 1.5rem; height: .8rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
  gap: 1.5rem 2.25rem; align-items: start; }
.bars { width: calc(100% + .6rem); table-layout: fixed; border-collapse: separate; border-spacing: .3rem 0;
  margin: 0 -.3rem; font-size: .82rem; }
.bars thead th { font-size: .72rem; }
.bars th:first-child { width: 32%; overflow-wrap: anywhere; line-height: 1.25; }
.bars th, .bars td { padding: .18rem .2rem; }
.bars th:first-child { padding-left: 0; }
.bars tbody tr > * { border-bottom: 1px solid var(--rule); }
.bars td { background: linear-gradient(var(--tint), var(--tint)) left center / calc(var(--share) * 100%) 100%
  no-repeat; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.database { --tint: var(--database); } .train { --tint: var(--train); } .val { --tint: var(--val); }
.query { --tint: var(--query); }
.legend i { background: var(--tint); }

.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1.9rem 1.5rem; }
figure { margin: 0; min-width: 0; }
.frame { display: flex; align-items: flex-end; height: 160px; }
.frame img { display: block; border-radius: 2px; }
.tiny { image-rendering: pixelated; }
.frame p { display: flex; align-items: center; width: 100%; height: 160px; margin: 0; padding: .75rem; overflow: hidden;
  background: var(--raised); color: var(--error); font-size: .8rem; line-height: 1.4; overflow-wrap: anywhere; }
figcaption { margin-top: .55rem; font-size: .84rem; line-height: 1.4; overflow-wrap: anywhere; }
figcaption b { display: block; font-weight: 600; }
figcaption q { display: block; margin-top: .2rem; quotes: none; }
figcaption small { display: block; margin-top: .25rem; color: var(--soft); font-size: .92em; }
@media (max-width: 640px) {
  h2 { font-size: 1.4rem; }
  .facts div { grid-template-columns: 6.5rem 1fr; }
  .findings li { grid-template-columns: 1fr; }
  .samples { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem 1rem; }
  .frame img { max-width: 100%; height: auto; }
}
@media print { body { max-width: none; padding: 0; } nav { display: none; } figure, tr, li { break-inside: avoid; } }
"""
