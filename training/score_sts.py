"""Scores a weights file on one file of rated sentence pairs, beside TF-IDF, and fails below a floor.

    python training/score_sts.py --embed target/release/embed --weights FILE --dimensions 256 \
        --pairs DATA/eval/stsb/dev.tsv.gz --floor 79

A check of a minute's work, with numpy alone; training/evaluate.py measures all sets with mteb's evaluators.
"""

import argparse
import collections
import csv
import gzip
import math
import re
import subprocess
from pathlib import Path

import numpy


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores a weights file on rated sentence pairs, beside TF-IDF.")
    parser.add_argument("--embed", required=True, help="the native embedder, embedder-tools/src/bin/embed.rs")
    parser.add_argument("--weights", required=True, help="the weights file")
    parser.add_argument("--pairs", type=Path, required=True, help="a .tsv.gz with the columns score, s1 and s2")
    parser.add_argument("--dimensions", required=True, help="the first N values of each vector")
    parser.add_argument("--floor", type=float, required=True, help="fail below this, Spearman x 100")
    options = parser.parse_args()
    with gzip.open(options.pairs, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    ratings = [float(row["score"]) for row in rows]
    first, second = [row["s1"] for row in rows], [row["s2"] for row in rows]

    command = [options.embed, options.weights, "--format", "f32", "--dimensions", options.dimensions]
    vectors = embed(command, first + second)
    score = spearman(ratings, (vectors[: len(rows)] * vectors[len(rows) :]).sum(axis=1))
    baseline = spearman(ratings, tf_idf_cosines(first, second))
    print(f"{options.pairs}: Spearman x 100 {score:.1f}; TF-IDF {baseline:.1f}; floor {options.floor:.1f}")
    if score < options.floor:
        raise SystemExit(f"{options.weights} scores {score:.1f}, which is below {options.floor:.1f}")


def embed(command: list[str], texts: list[str]) -> numpy.ndarray:
    """[texts, dimensions], of length 1."""
    result = subprocess.run(command, input="".join(f"{text}\n" for text in texts).encode(), stdout=subprocess.PIPE, check=True)
    return numpy.frombuffer(result.stdout, "<f4").reshape(len(texts), -1)


def tf_idf_cosines(first: list[str], second: list[str]) -> list[float]:
    documents = [collections.Counter(re.findall(r"\w+", text.lower())) for text in first + second]
    frequencies = collections.Counter(word for words in documents for word in words)
    weighted = []
    for words in documents:
        weights = {word: count * (1 + math.log(len(documents) / frequencies[word])) for word, count in words.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        weighted.append({word: weight / length for word, weight in weights.items()})
    pairs = zip(weighted[: len(first)], weighted[len(first) :])
    return [sum(weight * other.get(word, 0.0) for word, weight in one.items()) for one, other in pairs]


def spearman(ratings, similarities) -> float:
    return 100 * float(numpy.corrcoef(ranks(ratings), ranks(similarities))[0, 1])


def ranks(values) -> numpy.ndarray:
    """Equal values share the mean of their ranks."""
    _, places, counts = numpy.unique(values, return_inverse=True, return_counts=True)
    return (numpy.cumsum(counts) - (counts - 1) / 2)[places]


if __name__ == "__main__":
    main()
