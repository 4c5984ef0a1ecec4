"""Pairs of headings or questions and the section that they are of, out of the documentation that encoder/texts.py draws.

Its docs-<package>.txt have one text a line and an empty line between documents. The pairs of one package stay together, so that a batch's
other sections, which are no positives, are about the same things. No text of an evaluation set is in them: encoder/texts.py leaves those
out.
"""

import collections
import random
from collections.abc import Iterator
from pathlib import Path

MAX_HEADING_WORDS = 14
MIN_SECTION_WORDS = 15
MAX_SECTION_WORDS = 300
NEAREST_HEADINGS = 3  # a section's own one, the same as a question, and with its document's title
SAME_START = 200  # sections of one package that begin with the same so many characters are one
MAX_SECTIONS = 5000  # of one package: none may drown the others
MIN_SECTIONS = 150  # packages with fewer are put together
SMALL_PACKAGES = "small"


def pairs_of_packages(docs: Path, rng: random.Random) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The name of each package, and its pairs."""
    packages = collections.defaultdict(list)
    for file in sorted(docs.glob("docs-*.txt")):
        found = list(sections(file.read_text(encoding="utf-8").split("\n")))
        packages[file.stem.removeprefix("docs-") if len(found) >= MIN_SECTIONS else SMALL_PACKAGES] += found
    for package, found in packages.items():
        rng.shuffle(found)
        pairs = [pair for headings, section in found[:MAX_SECTIONS] for pair in pairs_of(headings, section, rng)]
        if len(pairs) > 1:  # one alone has no negatives
            yield package, pairs


def pairs_of(headings: list[str], section: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    """The section with one or two of its headings."""
    drawn = rng.sample(headings, len(headings))[:2]
    yield from ((heading, section) for heading in dict.fromkeys(drawn))


def sections(lines: list[str]) -> Iterator[tuple[list[str], str]]:
    """The nearest headings and the first words of each section that has a heading."""
    seen = set()
    headings: list[str] = []
    words: list[str] = []
    passage = ""
    for line in [*(line.strip() for line in lines), ""]:
        if line and line in passage:
            continue  # a sentence of the passage before it
        is_heading = len(line.split()) <= MAX_HEADING_WORDS and not line.endswith((".", ":", ",", ";"))
        if not line or (is_heading and words):
            section = " ".join(words[:MAX_SECTION_WORDS])
            if headings and len(words) >= MIN_SECTION_WORDS and section[:SAME_START] not in seen:
                seen.add(section[:SAME_START])
                yield headings[-NEAREST_HEADINGS:], section
            headings, words = [], []
        if not line:
            passage = ""
        elif is_heading:
            headings.append(" ".join(line.split()))
        else:
            words += line.split()
            passage = line

