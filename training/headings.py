"""Pairs of headings or questions and what stands below them, out of the documentation that encoder/texts.py draws.

Its docs-*.txt have one text a line and an empty line between documents; a heading or a question is a line of at most 14 words
without a stop at its end, and the next line of 20 words or more is what it is about, as far as its first words go. No text of
an evaluation set is in them: encoder/texts.py leaves those out.
"""

import random
from collections.abc import Iterator
from pathlib import Path

MAX_HEADING_WORDS = 14
MIN_PASSAGE_WORDS = 20
MAX_PASSAGE_WORDS = 120  # what stands further down is often about something else
NEAREST_HEADINGS = 3
MAX_PAIRS = 3000  # of one file: no package may drown the others


def pairs(folder: Path, rng: random.Random) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.glob("docs-*.txt")):
        found = pairs_of(file.read_text(encoding="utf-8").split("\n"), rng)
        rng.shuffle(found)
        yield from found[:MAX_PAIRS]


def pairs_of(lines: list[str], rng: random.Random) -> list[tuple[str, str]]:
    found = []
    headings: list[str] = []
    for line in lines:
        words = line.split()
        if not words or (len(words) < MIN_PASSAGE_WORDS and line.rstrip().endswith(".")):
            headings = []
        elif len(words) <= MAX_HEADING_WORDS and not line.rstrip().endswith((":", ",", ";")):
            headings.append(" ".join(words))
        elif len(words) >= MIN_PASSAGE_WORDS:
            if headings:
                found.append((rng.choice(headings[-NEAREST_HEADINGS:]), " ".join(words[:MAX_PASSAGE_WORDS])))
            headings = []
    return found
