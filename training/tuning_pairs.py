"""Makes sets of pairs out of public texts, to try `npm run tune` on.

    python training/tuning_pairs.py python --out python.tsv
    python training/tuning_pairs.py debian Translation-en.xz --rows 5000 --out debian.tsv

python: the functions and classes of this Python's standard library; the anchor is the qualified name with its
parameters, in words, the positive the first line of the docstring (Python's licence, PSF-2.0).
debian: packages; the anchor is the short description, the positive the long one. Translation-en.xz is Debian's index of
descriptions (dists/<release>/main/i18n/ on any of its mirrors); each has the licence of its package.

A set has a header, and its rows come in an order that the seed gives. Nothing but Python's standard library is needed.
"""

import argparse
import ast
import csv
import lzma
import random
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

MIN_WORDS = 3  # of a positive: "See RFC." says nothing
MAX_WORDS = 256  # of a long description
WITHOUT_DOCUMENTATION = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages", "dist-packages", "__pycache__"}

Pair = tuple[str, str]


def main() -> None:
    options = parse_options()
    pairs = list(python_pairs() if options.set == "python" else debian_pairs(options.file))
    random.Random(options.seed).shuffle(pairs)
    pairs = pairs[: options.rows]
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writerows([("anchor", "positive"), *pairs])
    print(f"{options.out}: {len(pairs):,} pairs")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Makes sets of pairs out of public texts.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, required=True)
    common.add_argument("--rows", type=int, help="at most so many; all by default")
    common.add_argument("--seed", type=int, default=1)
    sets = parser.add_subparsers(dest="set", required=True)
    sets.add_parser("python", parents=[common], help="names and docstrings of this Python's standard library")
    debian = sets.add_parser("debian", parents=[common], help="short and long descriptions of Debian's packages")
    debian.add_argument("file", type=Path, help="Translation-en.xz")
    return parser.parse_args()


def python_pairs() -> Iterator[Pair]:
    """A docstring comes once, with the first name that has it."""
    library = Path(sysconfig.get_path("stdlib"))
    seen = set()
    for file in sorted(library.rglob("*.py")):
        parts = file.relative_to(library).with_suffix("").parts
        if WITHOUT_DOCUMENTATION.intersection(parts):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old escape sequences in what is read here
            tree = ast.parse(file.read_bytes())
        for name, node in documented(tree, [part for part in parts if part != "__init__"]):
            summary = on_one_line(ast.get_docstring(node).strip().split("\n")[0])
            if len(summary.split()) < MIN_WORDS or "->" in summary or summary.lower() in seen:
                continue
            seen.add(summary.lower())
            yield in_words([*name, *parameters(node)]), summary


def documented(tree: ast.AST, name: list[str]) -> Iterator[tuple[list[str], ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if ast.get_docstring(node):
                yield [*name, node.name], node
            yield from documented(node, [*name, node.name])


def parameters(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ClassDef):
        return []
    arguments = node.args
    return [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs) if one.arg not in ("self", "cls")]


def in_words(names: list[str]) -> str:
    """`HTTPConnection`, `set_tunnel` -> "http connection set tunnel"."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_\W]+", " ", " ".join(names))
    return " ".join(split.lower().split())


def debian_pairs(file: Path) -> Iterator[Pair]:
    """One package of each long description."""
    seen = set()
    with lzma.open(file, "rt", encoding="utf-8") as text:
        for paragraph in text.read().split("\n\n"):
            _, _, description = paragraph.partition("\nDescription-en: ")
            short, _, long = description.partition("\n")
            # A line that holds a dot alone stands for an empty one.
            words = on_one_line(re.sub(r"^ \.$", "", long, flags=re.MULTILINE)).split()[:MAX_WORDS]
            start = " ".join(words)[:200]
            if short == "" or len(words) < MIN_WORDS or start in seen:
                continue
            seen.add(start)
            yield on_one_line(short), " ".join(words)


def on_one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
