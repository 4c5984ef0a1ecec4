"""Packs texts, development sets and weights for a machine that has a GPU but no network.

    python training/encoder/pack.py texts --texts TEXTS --out PACKED
    python training/encoder/pack.py dev --data DATA/eval --tokenizer MODEL --out PACKED
    python training/encoder/pack.py weights --model MODEL --out PACKED

MODEL is a sentence-transformers folder. The first writes PACKED/texts-000.bz2, texts-001.bz2 and so on: groups of
neighbouring texts in random order, so that any chunk is a fair sample. The second writes PACKED/dev.npz, the third
PACKED/<name of the folder>.npz in bf16, 11 bits a weight instead of 32. train.py reads all of them.
"""

import argparse
import bz2
import csv
import gzip
import json
import multiprocessing
import random
import re
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy
from tokenizers import Tokenizer

GROUP_TEXTS = 24  # neighbours that stay together
MAX_TOKENS = 510  # beside [CLS] and [SEP]
CHUNK_CHARACTERS = 12_000_000
# What a text is by its form, so that a student without prompts can tell, too.
PASSAGE, QUESTION, TITLE = 0, 1, 2
RETRIEVAL_SETS = ("faq_dev", "headings_dev", "cranfield", "cisi", "cacm", "med")


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    {"texts": pack_texts, "dev": pack_dev, "weights": pack_weights}[options.what](options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Packs texts, development sets and weights for a machine with a GPU.")
    parser.add_argument("what", choices=["texts", "dev", "weights"])
    parser.add_argument("--texts", type=Path, nargs="+", help="folders that texts.py wrote")
    parser.add_argument("--data", type=Path, help="folder of the evaluation sets")
    parser.add_argument("--tokenizer", type=Path, help="model folder with tokenizer.json")
    parser.add_argument("--model", type=Path, help="model folder with model.safetensors")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="texts", help="first part of the chunks' names, default texts")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    needed = {"texts": ["texts"], "dev": ["data", "tokenizer"], "weights": ["model"]}[options.what]
    for name in needed:
        if getattr(options, name) is None:
            parser.error(f"{options.what} needs --{name}")
    return options


# Texts


def pack_texts(options: argparse.Namespace) -> None:
    groups = [group for folder in options.texts for file in sorted(folder.glob("*.txt")) for group in groups_of(file)]
    random.Random(options.seed).shuffle(groups)
    chunks, chunk, characters = [], [], 0
    for group in groups:
        chunk.append("\n".join(group))
        characters += len(chunk[-1])
        if characters >= CHUNK_CHARACTERS:
            chunks.append("\n\n".join(chunk))
            chunk, characters = [], 0
    if chunk:
        chunks.append("\n\n".join(chunk))
    with multiprocessing.Pool(options.processes) as pool:
        jobs = [(options.out / f"{options.name}-{number:03}.bz2", text) for number, text in enumerate(chunks)]
        for file in pool.imap(write_text, jobs):
            print(f"{file}: {file.stat().st_size:,} bytes", file=sys.stderr, flush=True)


def groups_of(file: Path) -> Iterator[list[str]]:
    """Documents, cut into runs of at most GROUP_TEXTS texts."""
    for document in file.read_text(encoding="utf-8").split("\n\n"):
        texts = [text for text in document.split("\n") if text]
        for start in range(0, len(texts), GROUP_TEXTS):
            yield texts[start : start + GROUP_TEXTS]


def write_text(job: tuple[Path, str]) -> Path:
    file, text = job
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(bz2.compress(text.encode("utf-8")))
    return unfinished.rename(file)


def tokenise(file: Path, tokenizer: Tokenizer) -> dict[str, numpy.ndarray]:
    """A chunk as arrays: the ids of all texts one behind the other, their lengths and kinds, and the texts of each group."""
    ids, lengths, kinds, group_sizes = [], [], [], []
    seen: set[int] = set()
    for group in bz2.decompress(file.read_bytes()).decode("utf-8").split("\n\n"):
        texts = []
        for text in group.split("\n"):
            if hash(text) not in seen:
                seen.add(hash(text))
                texts.append(text)
        rows = [
            (row.ids, text) for row, text in zip(tokenizer.encode_batch_fast(texts, add_special_tokens=False), texts) if row.ids
        ]
        if rows:
            ids += [numpy.array(row, numpy.uint16) for row, _ in rows]
            lengths += [len(row) for row, _ in rows]
            kinds += [kind_of(text) for _, text in rows]
            group_sizes.append(len(rows))
    return {
        "ids": numpy.concatenate(ids),
        "lengths": numpy.array(lengths, numpy.int32),
        "kinds": numpy.array(kinds, numpy.uint8),
        "group_sizes": numpy.array(group_sizes, numpy.int32),
    }


ASKING = re.compile(r"(?:what|how|why|which|who|whose)\b|i(?:'m| am) (?:interested|looking)|i (?:want|need) ", re.I)


def kind_of(text: str) -> int:
    words = text.count(" ") + 1
    if (text.rstrip().endswith("?") and words <= 64) or (ASKING.match(text) and words <= 40):
        return QUESTION
    return TITLE if words <= 12 and text.rstrip()[-1:] not in ".!:;," else PASSAGE


def tokenizer_of(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


# Development sets


def pack_dev(options: argparse.Namespace) -> None:
    """For each retrieval set its documents, queries and judgements [query, document, gain]; stsb's two sides and scores."""
    tokenizer = tokenizer_of(options.tokenizer)
    arrays: dict[str, numpy.ndarray] = {}

    def add(name: str, texts: list[str]) -> None:
        rows = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        arrays[f"{name}.ids"] = numpy.concatenate([numpy.array(row, numpy.uint16) for row in rows])
        arrays[f"{name}.lengths"] = numpy.array([len(row) for row in rows], numpy.uint16)
        arrays[f"{name}.kinds"] = numpy.array([kind_of(text) for text in texts], numpy.uint8)

    for name in RETRIEVAL_SETS:
        documents, queries, judgements = read_retrieval(options.data / name)
        add(f"{name}.documents", [text for _, text in documents])
        add(f"{name}.queries", [text for _, text in queries])
        places = [{key: place for place, (key, _) in enumerate(side)} for side in (queries, documents)]
        rows = [(places[0][query], places[1][document], gain) for query, document, gain in judgements if document in places[1]]
        arrays[f"{name}.judgements"] = numpy.array(rows, numpy.float32)
    rows = list(read_table(options.data / "stsb" / "dev.tsv.gz"))
    for side in ("s1", "s2"):
        add(f"stsb.{side}", [row[side] for row in rows])
    arrays["stsb.scores"] = numpy.array([float(row["score"]) for row in rows], numpy.float32)
    numpy.savez_compressed(options.out / "dev.npz", **arrays)


def read_table(file: Path) -> Iterator[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


def read_retrieval(folder: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, str, float]]]:
    """Documents (title and text joined by a space), judged queries, and judgements of a gain above 0."""

    def rows(name: str):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]

    judgements = [(row["query-id"], row["corpus-id"], float(row["score"])) for row in read_table(folder / "qrels.tsv.gz")]
    judgements = [row for row in judgements if row[2] > 0]
    judged = {query for query, _, _ in judgements}
    documents = [(row["_id"], f"{row.get('title') or ''} {row['text']}".strip()) for row in rows("corpus")]
    queries = [(row["_id"], row["text"]) for row in rows("queries") if row["_id"] in judged]
    return documents, queries, judgements


# Weights


def pack_weights(options: argparse.Namespace) -> None:
    from safetensors.numpy import load_file

    arrays = {}
    for name, tensor in load_file(options.model / "model.safetensors").items():
        name = name.removeprefix("bert.")
        if name.startswith(("embeddings.", "encoder.")) and not name.endswith("position_ids"):
            arrays |= halves_of(name, tensor)
    numpy.savez(options.out / f"{options.model.name}.npz", **arrays)


def halves_of(name: str, tensor: numpy.ndarray) -> dict[str, numpy.ndarray]:
    """bf16 by rounding to nearest even, upper and lower bytes apart: only the upper ones can be compressed."""
    bits = numpy.ascontiguousarray(tensor, numpy.float32).view(numpy.uint32).astype(numpy.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)
    huffman = zlib.compressobj(strategy=zlib.Z_HUFFMAN_ONLY)
    high = huffman.compress((rounded >> 8).astype(numpy.uint8).tobytes()) + huffman.flush()
    return {f"{name}.high": numpy.frombuffer(high, numpy.uint8), f"{name}.low": (rounded & 0xFF).astype(numpy.uint8)}


def read_weights(file: Path) -> dict[str, numpy.ndarray]:
    weights = {}
    with numpy.load(file) as arrays:
        for name in arrays.files:
            if name.endswith(".low"):
                low = arrays[name]
                high = numpy.frombuffer(zlib.decompress(arrays[name.removesuffix("low") + "high"].tobytes()), numpy.uint8)
                bits = ((high.reshape(low.shape).astype(numpy.uint32) << 8) | low) << 16
                weights[name.removesuffix(".low")] = bits.view(numpy.float32)
    return weights


if __name__ == "__main__":
    main()
