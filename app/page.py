"""The Gradio part of the search page: components, and what they call. It decides nothing that the desk could decide."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import markup
from app.desk import SearchDesk
from app.found import State
from app.query import Choice
from lightning_modules.pictures import Picture, enlarge

STATES = ("clean", "attacked", "purified")
PLANNED, UNKNOWN = "as the plan draws it", "unknown: what the clean search finds"
SHOWN_SIDE = 384  # pixels that a small picture is enlarged to, about
# Gradio's orange under white text is too light to read.
THEME = gr.themes.Default(primary_hue="blue").set(
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_600",
)


def build_page(desk: SearchDesk) -> gr.Blocks:
    """Lay the page out and wire it; the clean search for the first query runs when it is opened."""
    with gr.Blocks(title=desk.title, analytics_enabled=False) as page:
        gr.HTML(markup.head(desk.title))
        asked = _controls(desk)
        with gr.Row():
            search = gr.Button("Search", variant="primary")
            figure = gr.Button("Figure 3: clean, attacked, purified")
        shown = _columns()
        given = list(asked.values())

        def run(*values: Any) -> list[Any]:
            return _answer(desk, dict(zip(asked, values, strict=True)))

        search.click(run, given, shown, concurrency_id="search", api_name="search")
        figure.click(lambda: _figure_3(desk), None, [asked[name] for name in _FIGURE_3], api_name=False).then(
            run, given, shown, concurrency_id="search", api_name="figure_3"
        )
        _follow(desk, asked)
        page.load(run, given, shown, concurrency_id="search")
    return page


def _follow(desk: SearchDesk, asked: dict[str, Any]) -> None:
    """Let queries and classes follow the hasher, and T_p and s the defence."""
    of_hasher = [asked[name] for name in ("position", "own", "target")]
    asked["hasher"].change(
        lambda name: [gr.update(**one) for one in _of_hasher(desk, name)], asked["hasher"], of_hasher, api_name=False
    )
    of_defence = [asked[name] for name in ("steps", "scale")]
    asked["defence"].input(
        lambda name: [gr.update(**one) for one in _of_defence(desk, name)], asked["defence"], of_defence, api_name=False
    )


def _controls(desk: SearchDesk) -> dict[str, Any]:
    """Return what one chooses, by name, in the order in which the page reads it."""
    first = desk.hashers[0]
    position, own, target = _of_hasher(desk, first)
    steps, scale = _of_defence(desk, desk.defences[0])
    with gr.Row():
        with gr.Column(min_width=300):
            hasher = gr.Dropdown(desk.hashers, value=first, label="Hasher", visible=len(desk.hashers) > 1)
            query = gr.Dropdown(label="Query", **position)
            picture = gr.Image(label="or a picture of your own", type="numpy", image_mode="RGB", height=180)
            label = gr.Dropdown(label="Class of your picture", **own)
        with gr.Column(min_width=300):
            attack = gr.Dropdown(desk.attacks, value=desk.attacks[0], label="Attack")
            wanted = gr.Dropdown(label="Target", **target)
        with gr.Column(min_width=300):
            defence = gr.Dropdown(desk.defences, value=desk.defences[0], label="Defence")
            steps_box = gr.Number(label="T_p: steps to diffuse and denoise", precision=0, minimum=1, **steps)
            scale_box = gr.Number(label="s: scale of the guidance", minimum=0, **scale)
    return {
        "hasher": hasher,
        "position": query,
        "picture": picture,
        "own": label,
        "attack": attack,
        "target": wanted,
        "defence": defence,
        "steps": steps_box,
        "scale": scale_box,
    }


def _columns() -> list[Any]:
    """Return summary, picture and lists of each state."""
    shown: list[Any] = []
    with gr.Row():
        for state in STATES:
            with gr.Column(min_width=300):
                shown.append(gr.HTML(padding=False))
                if state == "clean":
                    shown.append(gr.Image(label="clean", interactive=False, buttons=[]))
                else:
                    slider = gr.ImageSlider(label=f"clean | {state}", interactive=False, max_height=640, buttons=[])
                    shown.append(slider)
                shown.append(gr.HTML(padding=False))
    return shown


def _of_hasher(desk: SearchDesk, hasher: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return choices and value of the queries, of a picture's class and of the target, for a hasher."""
    queries = desk.queries(hasher)
    return (
        {"choices": queries, "value": queries[0][1]},
        {"choices": [UNKNOWN, *desk.classes(hasher)], "value": UNKNOWN},
        {"choices": [PLANNED, *desk.targets(hasher)], "value": PLANNED},
    )


def _of_defence(desk: SearchDesk, defence: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the plan's T_p and s of a defence; hidden where it has none."""
    settings = desk.settings(defence)
    steps, scale = settings or (None, None)
    seen = settings is not None
    return {"value": steps, "visible": seen}, {"value": scale, "visible": seen}


_FIGURE_3 = ("picture", "attack", "target", "defence", "steps", "scale")


def _figure_3(desk: SearchDesk) -> tuple[Any, ...]:
    """Return the values of Figure 3 for the query that is picked."""
    choice = desk.figure_3()
    steps, scale = _of_defence(desk, choice.defence)
    return None, choice.attack, PLANNED, choice.defence, gr.update(**steps), gr.update(**scale)


def _answer(desk: SearchDesk, asked: dict[str, Any]) -> list[Any]:
    """Search as the page says; what is wrong with it is shown on the page."""
    try:
        if asked["picture"] is None:
            query = desk.query(asked["hasher"], asked["position"])
        else:
            own = None if asked["own"] == UNKNOWN else asked["own"]
            query = desk.outside(asked["hasher"], asked["picture"], own)
        choice = Choice(
            attack=asked["attack"],
            target=None if asked["target"] == PLANNED else asked["target"],
            defence=asked["defence"],
            purify_steps=asked["steps"],
            scale=asked["scale"],
        )
        states = {state.name: state for state in desk.search(asked["hasher"], query, choice)}
    except ValueError as error:
        raise gr.Error(str(error), duration=None, print_exception=False) from error
    clean = states["clean"]
    return [value for name in STATES for value in _shown(name, states.get(name), clean)]


def _shown(name: str, state: State | None, clean: State) -> tuple[Any, Any, str]:
    if state is None:
        return markup.nothing(name), gr.update(value=None, visible=False), ""
    picture = _large(state.picture)
    value = picture if name == "clean" else (_large(clean.picture), picture)
    return markup.summary(state), gr.update(value=value, visible=True), markup.lists(state)


def _large(picture: Picture) -> Picture:
    return enlarge(picture, max(1, round(SHOWN_SIDE / max(picture.shape[:2]))))
