"""Scores a sentence-transformers folder, without and with the lexical part behind its vectors, at several weights.

    python training/encoder/score.py --data DATA/eval --model FOLDER --lexical model/embeddings-worker-minilm.bin --cache DIR
      [--sets dev | test | NAME...] [--weights 0 0.3 0.5] [--dimensions N]

nDCG@10 of retrieval sets and Spearman of sentence pairs, x 100, as training/evaluate.py has them. The lexical part is
a shipped transformer's (its `idf`), in --lexical-dim values, read by the second reader that is among the crate's tests.
"""

import argparse
import hashlib
import importlib.util
import json
import math
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import numpy
import pack
import torch
from train import ndcg, spearman

READER = Path(__file__).resolve().parents[2] / "embedder-wasm" / "tests" / "golden" / "make_words_and_stems.py"
MAX_WORDS = 8192
BATCH_TOKENS = 2048
PAIRS = {"stsb": "test", "sickr": "all", **{f"sts{year}": "test" for year in range(12, 17)}}
TEST_SETS = ("scifact", "nfcorpus_approx", *PAIRS)
DEV_SETS = (*pack.RETRIEVAL_SETS, "stsb_dev")


def main() -> None:
    options = parse_options()
    sets = {"dev": DEV_SETS, "test": TEST_SETS}.get(options.sets[0], options.sets)
    model = Model(options.model, options.cache)
    lexical = Lexical(options.lexical, options.lexical_dim, options.cache) if options.lexical else None
    rows = []
    for name in sets:
        rows.append([name, *score(options.data, name, model, lexical, options)])
        print("\t".join([name, *(f"{value:.2f}" for value in rows[-1][1:])]), flush=True)
    for title, chosen in (("retrieval", lambda name: name in pack.RETRIEVAL_SETS), ("sts", lambda name: name in PAIRS)):
        values = [row[1:] for row in rows if chosen(row[0])]
        if values:
            print("\t".join([f"mean of {len(values)}, {title}", *(f"{value:.2f}" for value in numpy.mean(values, 0))]))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Scores a sentence-transformers folder with and without a lexical part.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--lexical", type=Path, help="a weights file whose lexical part is that of words-and-stems")
    parser.add_argument("--lexical-dim", type=int, default=640)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["dev"])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0])
    parser.add_argument("--dimensions", type=int, help="of the semantic part")
    return parser.parse_args()


def score(data: Path, name: str, model: "Model", lexical: "Lexical | None", options) -> list[float]:
    if name in PAIRS or name == "stsb_dev":
        file = "dev" if name == "stsb_dev" else PAIRS[name]
        rows = list(pack.read_table(data / name.removesuffix("_dev") / f"{file}.tsv.gz"))
        texts = [[row["s1"] for row in rows], [row["s2"] for row in rows]]
        wanted = torch.tensor([float(row["score"]) for row in rows])
    else:
        documents, queries, judgements = pack.read_retrieval(data / name)
        texts = [[text for _, text in queries], [text for _, text in documents]]
        places = [{key: place for place, (key, _) in enumerate(side)} for side in (queries, documents)]
        wanted = torch.zeros(len(queries), len(documents))
        for query, document, gain in judgements:
            if document in places[1]:
                wanted[places[0][query], places[1][document]] = gain
    sides = []
    for side in texts:
        semantic = normalised(model.embed(side)[:, : options.dimensions])
        sides.append((semantic, normalised(lexical.embed(side)) if lexical else semantic[:, :0]))
    found = []
    for weight in options.weights:
        first, second = (torch.from_numpy(normalised(numpy.concatenate([s, weight * part], 1))) for s, part in sides)
        if wanted.dim() == 1:
            found.append(100 * spearman((first * second).sum(1), wanted))
        else:
            found.append(100 * ndcg(first @ second.T, wanted))
    return found


def normalised(vectors: numpy.ndarray) -> numpy.ndarray:
    return vectors / numpy.maximum(numpy.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def cached(folder: Path, texts: list[str], make) -> numpy.ndarray:
    """Two sets may have one corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:20]}.npy"
    if not file.exists():
        numpy.save(file, make())
    return numpy.load(file)


class Model:
    def __init__(self, folder: Path, cache: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(folder), device="cpu")
        self.cache = cache / folder.name

    def embed(self, texts: list[str]) -> numpy.ndarray:
        unique = list(dict.fromkeys(texts))
        places = {text: place for place, text in enumerate(unique)}
        vectors = cached(self.cache, unique, lambda: self.compute(unique))
        return vectors[[places[text] for text in texts]]

    def compute(self, texts: list[str]) -> numpy.ndarray:
        """bf16 products, as the teachers were read; texts of like length share a batch."""
        tokenizer = pack.tokenizer_of(Path(self.model[0].auto_model.config.name_or_path))
        tokenizer.enable_truncation(self.model.max_seq_length)
        rows = [torch.tensor(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        vectors = numpy.empty((len(rows), self.model.get_embedding_dimension()), numpy.float32)
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end - start + 1) * len(rows[order[end]]) <= BATCH_TOKENS:
                end += 1
            places = order[start:end]
            ids = torch.nn.utils.rnn.pad_sequence([rows[place] for place in places], batch_first=True)
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(rows[place]) for place in places], batch_first=True)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                states = self.model[0].auto_model(input_ids=ids, attention_mask=mask).last_hidden_state
            with torch.inference_mode():
                features = {"token_embeddings": states.float(), "attention_mask": mask}
                for module in list(self.model)[1:]:
                    features = module(features)
            vectors[places] = features["sentence_embedding"].numpy()
            start = end
        return vectors


class Lexical:
    """FORMAT.md's sketch, made of the static model's idf."""

    def __init__(self, file: Path, dimensions: int, cache: Path) -> None:
        raw = file.read_bytes()
        (length,) = struct.unpack("<Q", raw[:8])
        begin, end = json.loads(raw[8 : 8 + length])["idf"]["data_offsets"]
        self.idf = numpy.frombuffer(raw[8 + length + begin : 8 + length + end], numpy.uint8)
        self.dimensions, self.cache = dimensions, cache / f"lexical-{dimensions}"
        spec = importlib.util.spec_from_file_location("reader", READER)
        self.reader = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.reader)
        self.hashes: dict[str, int] = {}

    def embed(self, texts: list[str]) -> numpy.ndarray:
        return cached(self.cache, texts, lambda: numpy.stack([self.sketch(text) for text in texts]).astype(numpy.float32))

    def sketch(self, text: str) -> numpy.ndarray:
        counts: dict[str, int] = {}
        for _, stem in list(self.reader.words_and_stems(text))[:MAX_WORDS]:
            counts[stem] = counts.get(stem, 0) + 1
        found = numpy.zeros(self.dimensions)
        block = self.dimensions // 4
        for stem, count in counts.items():
            if stem not in self.hashes:
                self.hashes[stem] = self.reader.text_hash(1, stem)
            hashed = self.hashes[stem]
            value = (1 + math.log(count)) * float(self.idf[hashed % len(self.idf)])
            for number in range(4):
                bits = hashed >> 16 * number & 0xFFFF
                found[number * block + (bits >> 1) % block] += -value if bits & 1 else value
        return found


if __name__ == "__main__":
    main()
