"""Compares the vectors of imported models with those of sentence-transformers in f32, text by text.

    npm run check:parity -- MODEL... --data FOLDER [--weights FILE] [--texts 2000] [--seed 1]

A MODEL is a folder of a sentence transformer. It is imported first, or FILE, made of it before, is taken. The embedder is
the native program `embed`, which gives the same bits as the wasm (tests of both see to it). Fails where the mean cosine
is below 0.9995 or one below 0.999.

The texts, of 3 tokens to all that the model reads: a tenth are one or two words, in which rounding errors cancel out
least, a twentieth up to seven; the others are lines of the .gz files below FOLDER, long and short ones.
"""

import argparse
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
from sentence_transformers import SentenceTransformer

PROJECT = pathlib.Path(__file__).resolve().parents[1]
EMBED = PROJECT / "target/release/embed"
LEAST_MEAN, LEAST = 0.9995, 0.999
LONGEST = 4000
WORST = 5


def texts_of(path):
    """The columns of a .tsv.gz and the strings of a .jsonl.gz that have more than one word."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            values = json.loads(line).values() if ".jsonl" in path.name else line.rstrip("\n").split("\t")
            for value in values:
                text = " ".join(value.split()) if isinstance(value, str) else ""
                if " " in text and any(character.isalpha() for character in text):
                    yield text[:LONGEST]


def chosen_texts(folder, count, source):
    files = sorted(pathlib.Path(folder).rglob("*.gz"))
    if not files:
        sys.exit(f"check_parity: --data {folder}: expected .gz files below it, found none")
    lines = set()
    for path in files:
        texts = sorted(set(texts_of(path)))
        lines.update(source.sample(texts, min(len(texts), 4 * count // len(files) + 1)))
    lines = sorted(lines)
    words = sorted({word for line in lines for word in line.split()[:20] if len(word) < 20})
    short = [" ".join(source.choices(words, k=source.randint(1, 2))) for _ in range(count // 10)]
    phrases = [" ".join(source.choice(lines).split()[: source.randint(3, 7)]) for _ in range(count // 20)]
    longest = sorted(lines, key=len, reverse=True)[: count // 2]
    longest = source.sample(longest, min(len(longest), count // 4))
    others = sorted(set(lines) - set(longest))
    others = source.sample(others, min(len(others), count - len(short) - len(phrases) - len(longest)))
    return short + phrases + longest + others


def imported(model, folder):
    path = pathlib.Path(folder) / "model.bin"
    command = ["npm", "run", "--silent", "import", "--", model, "--no-lexical", "--out", str(path)]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    return path


def embedded(weights, texts, dimensions):
    command = [EMBED, weights, "--dimensions", str(dimensions), "--format", "f32"]
    lines = "".join(f"{text}\n" for text in texts).encode()
    output = subprocess.run(command, input=lines, check=True, stdout=subprocess.PIPE).stdout
    return np.frombuffer(output, "<f4").reshape(len(texts), dimensions)


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def check(model, weights, texts):
    name = pathlib.Path(model).name
    expected = SentenceTransformer(model, device="cpu").encode(texts, batch_size=16, convert_to_numpy=True)
    found = cosines(embedded(weights, texts, expected.shape[1]), expected)
    passed = found.mean() >= LEAST_MEAN and found.min() >= LEAST
    print(f"{name}: {len(texts)} texts, mean cosine {found.mean():.6f}, smallest {found.min():.5f}: {'passed' if passed else 'FAILED'}")
    for index in np.argsort(found)[:WORST]:
        print(f"  {found[index]:.5f} {texts[index][:80]!r}", flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights", help="imported before; for one MODEL alone")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.weights and len(args.models) > 1:
        parser.error(f"--weights is for one MODEL, got {len(args.models)}")
    texts = chosen_texts(args.data, args.texts, random.Random(args.seed))
    passed = []
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            passed.append(check(model, args.weights or imported(model, folder), texts))
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
