"""The report: every number given is printed, nothing given is interpreted, nothing outside is loaded."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lightning_modules.evaluation.report import Report, render_html, render_markdown, row_key, write_report
from lightning_modules.evaluation.report.style import STYLE

VOID = {"meta", "img", "link", "br", "hr", "input"}
HOSTILE = "<script>alert('x')</script>|`&\"](http://evil.example)"


class Page(HTMLParser):
    """Collects what the tests ask about, and checks that every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.rows, self.headings = [], [], {}, [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def make_row(attack, defence, place, **more):
    row = {
        "dataset": "CIFAR-10",
        "hasher": "DPSH",
        "attack": attack,
        "defence": defence,
        "map": 0.5004 + place / 97,
        "map_low": 0.4004,
        "map_high": 0.7006,
        "t_map": 0.1 + place / 89,
        "t_map_low": 0.05,
        "t_map_high": 0.301,
        "anchor_map": None if attack == "none" else 0.4567,
        "anchor_t_map": None if attack == "none" else 0.8765,
        "chance_map": 0.1,
        "chance_t_map": 0.101,
        "bits_flipped": None if attack == defence == "none" else 7.25,
        "num_queries": 1234,
        "seed": 7,
        "seconds": 12.34,
        "seconds_attack": None if attack == "none" else 0.25,
        "seconds_defence": None if defence == "none" else 1.75,
        "linf": None if attack == "none" else 8.0,
        "rmse": None if attack == "none" else 0.01234,
        "mean_rmse": None if attack == "none" else 0.01123,
        "ssim": None if attack == "none" else 0.9876,
        "psnr": None if attack == "none" else 38.17,
    }
    return row | more


@pytest.fixture
def rows():
    pairs = [(attack, defence) for attack in ("none", "P2P", "DHTA") for defence in ("none", "DDPM", "blur")]
    return [make_row(attack, defence, place) for place, (attack, defence) in enumerate(pairs)]


@pytest.fixture
def report(rows):
    picture = np.random.default_rng(0).integers(0, 256, (8, 40, 3), np.uint8)
    recall = np.linspace(0, 1, 1000)
    return Report(
        title="Attacks & purification",
        rows=rows,
        curves={row_key(row): (recall, 1 - recall * row["map"]) for row in rows},
        strips=[("A ship", "Five panels of a ship", picture), ("A cat", "Five panels of a cat", picture)],
        flips={row_key(row): np.array([0.0, 0.25, 1.0]) for row in rows[1:]},
        retrieval=[("A ship", [("Before: 1 hit", "Ranked before", picture), ("After", "Ranked after", picture)])],
        trajectory=picture,
        facts={"Command": "python evaluate.py --config a.yaml", "Seeds": "7"},
    )


def assert_sound(text):
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}]
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(page.headings, page.headings[1:], strict=False))
    assert all(image["alt"].strip() and image["src"].startswith("data:image/png") for image in page.all("img"))
    assert all(picture["aria-label"].strip() for picture in page.all("svg"))
    assert not page.all("script")
    assert not page.all("link")
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "style"):
            assert "//" not in re.sub(r"^data:image/png;base64,.*", "", attributes.get(name) or "")
        assert not any(name.startswith("on") for name in attributes)
    assert all(head.get("scope") in {"row", "col", "rowgroup"} for head in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in page.all("a")} == {f"#{name}" for name in ids}
    return page


def show(row, name, digits=3):
    return "–" if row[name] is None else f"{row[name]:,.{digits}f}"  # noqa: RUF001


def expected_cells(row):
    return [
        row["defence"],
        f"{row['map']:.3f} [{row['map_low']:.3f}, {row['map_high']:.3f}]",
        f"{row['t_map']:.3f} [{row['t_map_low']:.3f}, {row['t_map_high']:.3f}]",
        *(show(row, name) for name in ("anchor_map", "anchor_t_map", "chance_map", "chance_t_map")),
        show(row, "bits_flipped", 1),
        show(row, "num_queries", 0),
        show(row, "seconds_attack"),
        show(row, "seconds_defence"),
        str(row["seed"]),
    ]


def expected_distortions(attack):
    return [attack, "8.0", "0.0123", "0.0112", "0.9876", "38.2", "7"]


def test_the_page_is_sound_and_prints_the_numbers_given(report):
    page = assert_sound(render_html(report))
    assert page.texts["h1"] == page.texts["title"] == report.title
    assert [cells for cells in page.rows if len(cells) == 12][1:] == [expected_cells(row) for row in report.rows]
    assert [cells for cells in page.rows if len(cells) == 7][1:] == [expected_distortions(a) for a in ("P2P", "DHTA")]
    groups = [cells[0] for cells in page.rows if len(cells) == 1]
    assert groups == ["Attack: none", "Attack: P2P", "Attack: DHTA"]
    assert len(page.all("img")) == 5
    assert len(page.all("svg")) == 2 + 3 + 1
    assert [cells for cells in page.rows if len(cells) == 2] == [list(fact) for fact in report.facts.items()]


def test_a_dot_stands_where_its_number_says(report):
    page = Page(render_html(report))
    dots = [float(dot["cx"]) for dot in page.all("circle")]
    values = [row[metric] for metric in ("map", "t_map") for row in report.rows]
    assert len(dots) == len(values)
    slope, offset = np.polyfit(values, dots, 1)
    np.testing.assert_allclose(dots, slope * np.array(values) + offset, atol=0.1)
    ticks = {"0": offset, "1": offset + slope}
    for text, x in ticks.items():
        assert re.search(rf'<text x="{x:.0f}\.\d" [^>]*class="tick middle">{text}</text>', render_html(report))


def test_curves_are_thinned_but_keep_their_ends(report):
    page = Page(render_html(report))
    lines = [line["points"].split() for line in page.all("polyline")]
    assert len(lines) == 9 + 2, "nine rows, and the clean reference in both attacked panels"
    assert all(len(line) <= 160 for line in lines)
    assert {line[0].split(",")[0] for line in lines} == {"46.0"}
    assert {line[-1].split(",")[0] for line in lines} == {"332.0"}


def test_a_bar_is_as_high_as_its_bit_is_often_flipped(report):
    page = Page(render_html(report))
    bars = [path["d"] for path in page.all("path")]
    assert len(bars) == len(report.flips)
    heights = [[-float(up) for up in re.findall(r"v(-[\d.]+)h", bar)] for bar in bars]
    full = heights[0][2]
    assert full > 0
    assert all(one == pytest.approx([0, full / 4, full]) for one in heights)
    assert [path["class"] for path in page.all("path")] == [
        "bits s1",
        "bits s2",
        *["bits s0", "bits s1", "bits s2"] * 2,
    ]
    label = next(svg["aria-label"] for svg in page.all("svg") if "Bits flipped" in svg["aria-label"])
    assert label.startswith("Bits flipped of 3. none, defence DDPM: 1.2; ")


def test_a_long_table_keeps_its_header_in_sight(report):
    page = Page(render_html(report))
    tall = [div for div in page.all("div") if "tall" in div.get("class", "").split()]
    assert len(tall) == 1
    assert tall[0]["tabindex"] == "0", "a region that scrolls is reached by keyboard"
    rules = re.search(r"\.tall thead th \{([^}]*)\}", STYLE)
    assert "position: sticky; top: 0" in rules.group(1)


def test_lists_are_told_in_words_and_in_order(report):
    text = render_html(report)
    assert re.findall(r'<p class="state">([^<]*)</p>', text) == ["Before: 1 hit", "After"]
    assert [image["alt"] for image in Page(text).all("img")[2:4]] == ["Ranked before", "Ranked after"]


def test_every_defence_keeps_its_colour_and_dash(report):
    page = Page(render_html(report))
    seen = {line["class"]: line.get("stroke-dasharray") for line in page.all("polyline")}
    assert set(seen) == {"curve s0", "curve s1", "curve s2", "curve reference"}
    assert len(set(seen.values())) == len(seen)


def test_files_are_written_whole_and_replaced(report, tmp_path):
    folder = tmp_path / "new" / "report"
    markdown, page = write_report(report, folder)
    write_report(report, folder)
    assert page.read_text(encoding="utf-8") == render_html(report)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    referenced = re.findall(r"\]\((pictures/[^)]+)\)", markdown.read_text(encoding="utf-8"))
    assert names == sorted(["report.md", "report.html", *referenced])
    assert len(referenced) == 5


def test_a_failed_write_leaves_the_former_report(report, tmp_path, monkeypatch):
    write_report(report, tmp_path)
    former = (tmp_path / "report.html").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_report(Report("Other", report.rows), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == former
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in {".html", ".md", ".png"}]


def test_the_markdown_table_prints_the_same_numbers(report):
    text = render_markdown(report)
    for row in report.rows:
        assert "| " + " | ".join([row["attack"], *expected_cells(row)]) + " |" in text
    for attack in ("P2P", "DHTA"):
        assert "| " + " | ".join(expected_distortions(attack)) + " |" in text
    assert "python evaluate.py --config a.yaml" in text


def test_a_transferred_attack_names_its_source():
    rows = [make_row("none", "none", 0, source_hasher="DPSH")]
    rows += [make_row("P2P", "none", 1, source_hasher=source) for source in ("DPSH", "CSQ")]
    line = np.array([0.0, 1.0])
    report = Report("Transfer", rows, curves={row_key(row): (line, line) for row in rows})
    page = assert_sound(render_html(report))
    assert [cells[0] for cells in page.rows if len(cells) == 1] == [
        "Attack: none",
        "Attack: P2P",
        "Attack: P2P from CSQ",
    ]
    lines = render_markdown(report).splitlines()
    assert [len([one for one in lines if one.startswith(f"| {name} |")]) for name in ("P2P", "P2P from CSQ")] == [2, 2]


def test_without_an_attack_there_is_no_table_of_distortions():
    page = assert_sound(render_html(Report("Clean", [make_row("none", "none", 0)])))
    assert "what the attacks changed" not in page.texts["span"]


def test_hostile_names_stay_text():
    names = {"dataset": HOSTILE, "hasher": HOSTILE}
    rows = [make_row("none", "none", 0, **names), make_row(HOSTILE, "none", 1, **names)]
    rows.append(make_row(HOSTILE, HOSTILE, 2, **names))
    picture = np.zeros((4, 20, 3), np.uint8)
    line = np.array([0.0, 1.0])
    report = Report(
        HOSTILE,
        rows,
        curves={row_key(row): (line, line) for row in rows},
        strips=[(HOSTILE, HOSTILE, picture)],
        flips={row_key(row): np.array([0.5]) for row in rows[1:]},
        retrieval=[(HOSTILE, [(HOSTILE, HOSTILE, picture)])],
        facts={HOSTILE: HOSTILE},
    )
    page = assert_sound(render_html(report))
    assert page.texts["h1"] == HOSTILE
    assert page.all("img")[0]["alt"] == HOSTILE
    text = render_markdown(report)
    assert "<" not in text
    assert not re.search(r"(?<!\\)\]\(http", text)
    assert "://" not in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {14, 8, 3}


def test_little_is_enough():
    bare = {"dataset": "D", "hasher": "H", "attack": "none", "defence": "none", "map": 0.25, "seed": 0}
    report = Report("Bare", [bare | {"num_queries": 3}])
    page = assert_sound(render_html(report))
    assert page.headings == [1, 2, 2]
    assert not page.all("img")
    assert page.rows[-1][:3] == ["none", "0.250", "–"]  # noqa: RUF001
    assert "0.250" in render_markdown(report)
    assert "## Facts" not in render_markdown(report)


def test_the_summary_names_the_strongest_attack_and_what_is_left_of_it(report):
    text = render_html(report)
    assert "DHTA moves T-MAP from 0.100 to 0.167 and MAP from 0.500 to 0.562" in text
    assert "behind blur the system stands at T-MAP 0.190 and MAP 0.583" in text
    assert "My own sentence." in render_html(Report("T", report.rows, summary="My own sentence."))


def test_settings_and_seeds_are_told_apart():
    rows = [make_row("none", "none", 0, dataset=name, seed=seed) for name in ("A", "B") for seed in (0, 1)]
    page = assert_sound(render_html(Report("Many", rows)))
    assert len(page.all("table")) == 2
    assert "none (seed 1)" in page.texts["text"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"map": None}, "lacks map"),
        ({"map": 78.1}, r"map of row .* must lie in \[0, 1\]"),
        ({"t_map": float("nan")}, "t_map"),
        ({"linf": -1.0}, "linf"),
        ({"ssim": -1.1}, r"ssim of row .* must lie in \[-1, 1\]"),
        ({"psnr": float("inf")}, r"psnr of row .* must lie in \[0, inf\]"),
        ({"map_low": None}, "one end"),
        ({"map_low": 0.9}, "exceeds"),
    ],
)
def test_wrong_rows_are_named(change, says):
    with pytest.raises(ValueError, match=says):
        Report("T", [make_row("none", "none", 0, **change)])


def test_wrong_reports_are_named():
    row, line = make_row("none", "none", 0), np.array([0.0, 1.0])
    with pytest.raises(ValueError, match="at least one row"):
        Report("T", [])
    with pytest.raises(ValueError, match="twice"):
        Report("T", [row, dict(row)])
    with pytest.raises(ValueError, match="no row has the key"):
        Report("T", [row], curves={("a", "b", "c", "d", "0"): (line, line)})
    with pytest.raises(ValueError, match=r"\(2,\) and \(1,\)"):
        Report("T", [row], curves={row_key(row): (line, line[:1])})
    with pytest.raises(ValueError, match="of flipped bits"):
        Report("T", [row], flips={("a", "b", "c", "d", "0"): line})
    for wrong in (line * 2, line[None], line[:0], line * np.nan):
        with pytest.raises(ValueError, match="share in"):
            Report("T", [row], flips={row_key(row): wrong})
    with pytest.raises(ValueError, match="lie in"):
        Report("T", [row], curves={row_key(row): (line, line * 2)})


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_curves_contrast_with_the_ground(theme):
    blocks = STYLE.split("prefers-color-scheme: dark")
    colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", blocks[theme]))
    for ground in ("ground", "raised"):
        for name in ("ink", "soft", "link", *(f"s{place}" for place in range(6))):
            light, dark = sorted([luminance(colours[ground]), luminance(colours[name])], reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ground, name)
