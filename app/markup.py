"""What was found, as HTML: framed by line and by colour, and told in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app.found import Found, State
from lightning_modules.pictures import data_uri, enlarge

LONGEST_CAPTION = 120
TITLES = {"clean": "Clean", "attacked": "Attacked", "purified": "Purified"}
# Green, vermilion and grey differ in every kind of colour vision, and lines differ without colour: whole for a hit,
# dashed for the target, half and half for both, thin for a miss.
STYLE = """
.rp { --hit: #009e73; --target: #d55e00; --miss: #8b8f99; font-size: .9rem; line-height: 1.4; }
.rp h2 { margin: 0; font-size: 1.15rem; }
.rp p { margin: .15rem 0 .5rem; }
.rp ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)); gap: .8rem .5rem;
  margin: 0 !important; padding: 0 !important; list-style: none !important; }  /* Gradio numbers lists */
.rp li { min-width: 0; margin: 0; padding: 0; list-style: none !important;
  overflow-wrap: anywhere; font-size: .78rem; line-height: 1.3; }
.rp img { display: block; width: 100%; height: auto; margin: 0 0 .2rem; image-rendering: pixelated; }
.rp .hit img, .rp .key-hit { border: 4px solid var(--hit); }
.rp .target img, .rp .key-target { border: 4px dashed var(--target); }
.rp .both img, .rp .key-both { border: 4px solid var(--hit); border-right-color: var(--target);
  border-bottom-color: var(--target); }
.rp .miss img, .rp .key-miss { border: 1px solid var(--miss); padding: 3px; }
.rp .kind { font-weight: 600; }
.rp .texts { display: block; }
.rp .texts br:first-of-type { display: none; }
.rp .texts li { padding: .25rem 0 .25rem .6rem; margin: .3rem 0; }
.rp .texts .hit { border-left: 4px solid var(--hit); }
.rp .texts .target { border-left: 4px dashed var(--target); }
.rp .texts .both { border-left: 4px double var(--target); }
.rp .texts .miss { border-left: 1px solid var(--miss); padding-left: .8rem; }
.rp .key { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
.rp .key span { display: inline-flex; align-items: center; gap: .4rem; }
.rp .key i { display: inline-block; width: 1.1rem; height: 1.1rem; }
.rp h3 { margin: .9rem 0 .3rem; font-size: .95rem; }
"""


def head(title: str) -> str:
    """Return the head of the page: title, style, and what the frames mean."""
    kinds = (
        ("hit", "hit: shares the query's class"),
        ("target", "target: shares the class that the attacker wants"),
        ("both", "both"),
        ("miss", "miss: neither"),
    )
    key = "".join(f'<span><i class="key-{kind}"></i>{escape(text)}</span>' for kind, text in kinds)
    return f'<style>{STYLE}</style><div class="rp"><h1>{escape(title)}</h1><div class="key">{key}</div></div>'


def summary(state: State) -> str:
    """Return a state's title, and its figures in one line."""
    figures = [state.count]
    if state.name != "clean":
        figures += [f"{state.flipped} of {len(state.code)} bits flipped", f"{state.seconds:.1f} s"]
    else:
        wants = f", the attacker wants {state.target}" if state.target else ""
        figures.append(f"asked for {state.label or 'no known class'}{wants}")
    line = " · ".join(escape(figure) for figure in figures)
    return f'<div class="rp"><h2>{TITLES[state.name]}</h2><p>{line}</p></div>'


def lists(state: State) -> str:
    """Return the ranked images of a state, and its ranked texts where there are any."""
    parts = [
        f'<ol aria-label="Images found, {state.name}">{"".join(_image(*one) for one in _ranked(state.images))}</ol>'
    ]
    if state.texts:
        items = "".join(_text(*one) for one in _ranked(state.texts))
        parts.append(f'<h3>Texts</h3><ol class="texts" aria-label="Texts found, {state.name}">{items}</ol>')
    return f'<div class="rp">{"".join(parts)}</div>'


def nothing(state: str) -> str:
    """Return what stands where nothing was chosen."""
    verb = {"attacked": "attack", "purified": "defence"}[state]
    return f'<div class="rp"><h2>{TITLES[state]}</h2><p>No {verb} is chosen.</p></div>'


def _ranked(found: Sequence[Found]) -> list[tuple[int, Found]]:
    return list(enumerate(found, start=1))


def _image(rank: int, found: Found) -> str:
    told = f"rank {rank}, {found.kind}, distance {found.distance}: {found.classes or found.sample_id}"
    image = f'<img src="{data_uri(enlarge(found.picture))}" alt="{escape(told)}" title="{escape(found.sample_id)}">'
    caption = f"<br>{escape(_short(found.caption))}" if found.caption else ""
    return f'<li class="{found.kind}">{image}{_words(rank, found)}{caption}</li>'


def _text(rank: int, found: Found) -> str:
    return f'<li class="{found.kind}">{_words(rank, found)}<br>{escape(_short(found.caption or found.sample_id))}</li>'


def _words(rank: int, found: Found) -> str:
    figures = f'{rank}. <span class="kind">{found.kind}</span><br>distance {found.distance}'
    return f"{figures}<br>{escape(found.classes or 'no class')}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CAPTION else text[: LONGEST_CAPTION - 1] + "…"
