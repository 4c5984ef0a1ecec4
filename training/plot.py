"""Draws quality against speed, this model beside its peers, as an SVG for the README.

    python training/plot.py --scores scores.json --out model/quality-and-speed.svg

scores.json is what `training/evaluate.py --command ... --json scores.json` writes; the peers' numbers come from
training/peers.json. Needs nothing but Python's standard library.
"""

import argparse
import json
import math
from pathlib import Path
from xml.sax.saxutils import escape

PEERS_FILE = Path(__file__).with_name("peers.json")
PANELS = {
    "Sentence similarity: mean Spearman of 7 STS sets": ["stsb", "sickr", "sts12", "sts13", "sts14", "sts15", "sts16"],
    "Retrieval: mean nDCG@10 of 5 collections": ["scifact", "nfcorpus_approx", "cranfield", "cisi", "cacm"],
}
WIDTH, HEIGHT, MARGIN = 420, 300, 48
SCORE_STEP = 5
OWN_COLOUR, PEER_COLOUR = "#d9480f", "#4263eb"


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws quality against speed as an SVG.")
    parser.add_argument("--scores", type=Path, required=True, help="JSON of training/evaluate.py with --command")
    parser.add_argument("--out", type=Path, required=True, help="the SVG")
    options = parser.parse_args()
    own = json.loads(options.scores.read_text(encoding="utf-8"))
    models = {"this model": own, **json.loads(PEERS_FILE.read_text(encoding="utf-8"))["peers"]}
    if "texts_per_core_second" not in own:
        parser.error(f"--scores: {options.scores} has no texts_per_core_second; make it with --command")
    panels = [panel(title, sets, models, number * WIDTH) for number, (title, sets) in enumerate(PANELS.items())]
    options.out.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{"".join(panels)}</svg>\n',
        encoding="utf-8",
    )


def panel(title: str, sets: list[str], models: dict[str, dict], left: int) -> str:
    means = {name: mean(model["scores"], sets) for name, model in models.items()}
    means = {name: value for name, value in means.items() if value is not None}
    speeds = {name: models[name]["texts_per_core_second"] for name in means if "texts_per_core_second" in models[name]}
    low = SCORE_STEP * math.floor(min(means.values()) / SCORE_STEP)
    high = SCORE_STEP * math.ceil(max(means.values()) / SCORE_STEP)
    first, last = math.floor(math.log10(min(speeds.values()))), math.ceil(math.log10(max(speeds.values())))

    def x(speed: float) -> float:
        return left + MARGIN + (math.log10(speed) - first) / (last - first) * (WIDTH - 2 * MARGIN)

    def y(score: float) -> float:
        return HEIGHT - MARGIN - (score - low) / (high - low) * (HEIGHT - 2 * MARGIN)

    right = left + WIDTH - MARGIN
    parts = [text(left + WIDTH / 2, 20, title, "middle", "600")]
    for score in range(low, high + 1, SCORE_STEP):
        parts.append(line(left + MARGIN, y(score), right, y(score), "#dee2e6"))
        parts.append(text(left + MARGIN - 6, y(score) + 4, str(score), "end"))
    for power in range(first, last + 1):
        parts.append(text(x(10**power), HEIGHT - MARGIN + 18, f"{10**power:,}", "middle"))
    parts.append(text(left + WIDTH / 2, HEIGHT - 10, "texts a second on one core", "middle"))
    for name, value in means.items():
        colour = OWN_COLOUR if name == "this model" else PEER_COLOUR
        label = f"{name} {value:.1f}"
        if name in speeds:
            at = x(speeds[name])
            anchor = "end" if at > left + WIDTH / 2 else "start"
            parts.append(f'<circle cx="{at:.1f}" cy="{y(value):.1f}" r="5" fill="{colour}"/>\n')
            parts.append(text(at + (-9 if anchor == "end" else 9), y(value) - 6, label, anchor, "600", colour))
        else:  # a search engine's ranking has no vectors whose making could be timed
            parts.append(line(left + MARGIN, y(value), right, y(value), colour, "4 4"))
            parts.append(text(right, y(value) - 5, label, "end", "600", colour))
    return "".join(parts)


def mean(scores: dict[str, float], sets: list[str]) -> float | None:
    return sum(scores[one] for one in sets) / len(sets) if all(one in scores for one in sets) else None


def text(x: float, y: float, content: str, anchor: str, weight: str = "400", colour: str = "#343a40") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">'
        f"{escape(content)}</text>\n"
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "none") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-dasharray="{dashes}"/>\n'
    )


if __name__ == "__main__":
    main()
