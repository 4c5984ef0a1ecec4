"""A retrieval set of text as it is written: names against docstrings of Python's standard library, misspelt docstrings, and
numbers with units joined and apart. Made by the Python that runs it, so scores compare only within one version.

    python training/docstrings.py            prints the set, a query and its document in each line
"""

import importlib
import inspect
import pkgutil
import random
import re
import sys
import warnings

import prepare

MIN_WORDS = 5
MAX_PER_MODULE = 40
SEED = 1
SKIPPED = re.compile(r"^(_|idlelib|lib2to3|test|turtledemo|antigravity|this$|tkinter|ensurepip|distutils|msilib)|__main__")
THINGS = "cable tablet battery disk engine screen rope tank bag monitor pump lens".split()
UNITS = "mg kg g km m cm mm GB MB TB kW W V A Hz MHz ml l mph psi".split()
UNITS_COUNT = 600


def queries_and_documents() -> dict[str, list[tuple[str, str]]]:
    """Pairs by kind; no two of a kind have the same document."""
    rng = random.Random(SEED)
    named = list(names_and_docstrings())
    misspelt = [(misspell(text, rng), text) for _, text in named]
    misspelt = [(other, text) for other, text in misspelt if other != text]
    return {"names": named, "misspelt": misspelt, "units": list(numbers_with_units(rng))}


def names_and_docstrings():
    seen = set()
    for module in sorted(info.name for info in pkgutil.iter_modules() if info.name in sys.stdlib_module_names):
        if SKIPPED.search(module):
            continue
        kept = 0
        for name, text in members_of(module):
            if kept < MAX_PER_MODULE and text not in seen:
                seen.add(text)
                kept += 1
                yield name, text


def members_of(module: str):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            members = inspect.getmembers(importlib.import_module(module))
    except Exception:  # modules of other systems
        return
    found = []
    for name, member in members:
        if inspect.isclass(member) and getattr(member, "__module__", "") == module:
            found += [(name, member), *inspect.getmembers(member, inspect.isroutine)]
        elif inspect.isroutine(member):
            found.append((name, member))
    for name, member in found:
        text = first_sentence(member)
        # A name of one word is a word like others.
        if not name.startswith("_") and re.search(r"[a-z][A-Z0-9_]", name) and len(text.split()) >= MIN_WORDS:
            yield name, text


def first_sentence(member) -> str:
    docstring = member.__doc__ if isinstance(member.__doc__, str) else ""
    paragraph = docstring.strip().split("\n\n")[0]
    text = " ".join(paragraph.split())
    # C functions begin with their signature.
    text = text.split("-> ", 1)[-1] if "(" in text.split(" ")[0] else text
    parts = prepare.sentences(text)
    return parts[0] if parts and ">>>" not in paragraph else ""


def misspell(text: str, rng: random.Random) -> str:
    """One letter left out, doubled, exchanged with the next or replaced in each word of five letters or more."""

    def change(match: re.Match) -> str:
        word = match[0]
        at = rng.randrange(1, len(word) - 1)
        return rng.choice(
            [
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + rng.choice("aeiourstn") + word[at + 1 :],
            ]
        )

    return re.sub(r"[A-Za-z]{5,}", change, text)


def numbers_with_units(rng: random.Random):
    seen = set()
    while len(seen) < UNITS_COUNT:
        thing, number, unit = rng.choice(THINGS), rng.choice([rng.randrange(1, 100), 5 * rng.randrange(1, 400)]), rng.choice(UNITS)
        if (thing, number, unit) not in seen:
            seen.add((thing, number, unit))
            yield f"{number}{unit} {thing}", f"{thing} of {number} {unit}"


if __name__ == "__main__":
    for kind, pairs in queries_and_documents().items():
        for query, document in pairs:
            print(kind, query, document, sep="\t")
