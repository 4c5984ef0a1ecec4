"""Reads two teachers and teaches their student, in one process, since time on a GPU is short and dear.

    python training/encoder/train.py FOLDER [--device cpu] [--idle SECONDS]

FOLDER holds what pack.py wrote, dev.npz, the teachers' weights and tokenizer.json, and may get more while this runs:
every FOLDER/*.bz2 is tokenised by other processes and read by both teachers when the trainer comes to it. Work is
asked for by files FOLDER/jobs/<name>.json (see Job), done in the order of their names; each gives
FOLDER/results/<name>.safetensors (F16), and all that is measured goes to FOLDER/log.jsonl. The process ends when
FOLDER/jobs/stop is there and no job is left.

The target of a text is [m ; 1.5 b], both of length 1: m by all-MiniLM-L6-v2 (mean, its first 256 tokens), b by
bge-small-en-v1.5 (first token; with its prompt before questions, and the mean of with and without for titles), turned
by its uncentred principal axes and cut to the student's dimensions. The student is all-MiniLM-L6-v2's body with a
linear layer behind the mean pooling.

All texts of a batch lie one behind the other in one row of tokens of a fixed length: nothing is padded, and compiled
code sees one shape only.
"""

import argparse
import itertools
import json
import math
import multiprocessing
import os
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parent))
import numpy
import pack
import torch
import torch.nn.functional as F

WIDTH = 384
HEADS = 12
CLS, SEP, PAD = 101, 102, 0
PROMPT = "Represent this sentence for searching relevant passages: "
BGE_SHARE = 1.5
MINILM_TOKENS = 256
MAX_TOKENS = 512
READ_TOKENS = 131_072  # of a batch of the teachers
PCA_TEXTS = 100_000
HELD_OUT_TEXTS = 4_000
LAYER_NORM_EPSILON = 1e-12


@dataclass
class Job:
    name: str
    seconds: float
    learning_rate: float = 5e-4
    linear_rate: float = 2.0  # the linear layer's learning rate, in the body's
    batch_tokens: int = 65_536
    batch_texts: int = 3_072
    similarity: float = 2.0  # weight of the squared difference of the similarities within a batch
    ranking: float = 0.0  # weight of the relative entropy of their softmax
    temperature: float = 0.05
    warm_up: float = 0.03  # share of the time
    average: float = 0.998  # of the weights over the steps
    evaluations: int = 4
    question: float = 1.0  # share of the prompted vector in the target of a question, and of a title
    title: float = 0.5
    dimensions: int = 384
    until: float = 0.0  # seconds since the epoch, in place of `seconds`


def main() -> None:
    options = parse_options()
    Trainer(options).serve()


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Reads two teachers and teaches their student.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--processes", type=int, default=12, help="that tokenise")
    parser.add_argument("--idle", type=float, default=900, help="seconds without a job after which it ends")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--read-tokens", type=int, default=READ_TOKENS)
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    return options


# Batches: texts one behind the other


class Texts:
    """Token ids on the device, without special tokens, and where each text begins."""

    def __init__(self, arrays: dict[str, numpy.ndarray], device: str) -> None:
        self.ids = torch.from_numpy(arrays["ids"].astype(numpy.int32)).to(device)
        lengths = arrays["lengths"].astype(numpy.int64)
        self.lengths = lengths
        self.device_lengths = torch.from_numpy(lengths).to(device)
        self.starts = torch.from_numpy(numpy.cumsum(lengths) - lengths).to(device)
        self.kinds = arrays["kinds"]
        self.device_kinds = torch.from_numpy(arrays["kinds"].astype(numpy.int64)).to(device)

    def __len__(self) -> int:
        return len(self.lengths)


@dataclass
class Row:
    """`tokens` ids in a row: position and text of each, and where the texts begin (padding is texts of its own at the end)."""

    ids: torch.Tensor  # [tokens]
    positions: torch.Tensor  # [tokens]
    text: torch.Tensor  # [tokens]
    bounds: torch.Tensor  # i32 [texts + padding + 1]
    lengths: torch.Tensor  # [texts + padding]
    count: int


def row_of(
    texts: Texts, index: torch.Tensor, tokens: int, slots: int, prompt: torch.Tensor | None = None, max_tokens: int = MAX_TOKENS
) -> Row:
    """The texts `index` in a row of exactly `tokens` tokens with room for `slots` texts."""
    device = index.device
    before = 0 if prompt is None else len(prompt)
    count = len(index)
    padding = tokens // MAX_TOKENS + 1
    own = texts.device_lengths[index].clamp(max=max_tokens - 2 - before)
    lengths = torch.zeros(slots + padding, dtype=torch.int64, device=device)
    lengths[:count] = own + 2 + before
    left = tokens - lengths.sum()
    lengths[slots:] = (left - MAX_TOKENS * torch.arange(padding, device=device)).clamp(0, MAX_TOKENS)
    bounds = torch.zeros(slots + padding + 1, dtype=torch.int64, device=device)
    bounds[1:] = lengths.cumsum(0)
    text = torch.repeat_interleave(torch.arange(slots + padding, device=device), lengths, output_size=tokens)
    positions = torch.arange(tokens, device=device) - bounds[text]
    starts = torch.zeros(slots + padding, dtype=torch.int64, device=device)
    starts[:count] = texts.starts[index]
    ids = texts.ids[(starts[text] + positions - 1 - before).clamp(0, len(texts.ids) - 1)].long()
    if before:
        ids = torch.where(positions <= before, prompt[(positions - 1).clamp(0, before - 1)], ids)
    ids = torch.where(positions == 0, CLS, torch.where(positions == lengths[text] - 1, SEP, ids))
    ids = torch.where(text >= slots, PAD, ids)
    return Row(ids, positions, text, bounds.int(), lengths, count)


def batches(lengths: numpy.ndarray, tokens: int, texts: int) -> list[numpy.ndarray]:
    """Runs of consecutive places whose texts, with two special tokens each, fit in a row."""
    ends = numpy.cumsum(lengths + 2)
    found, start = [], 0
    while start < len(lengths):
        begin = ends[start] - lengths[start] - 2
        end = min(int(numpy.searchsorted(ends, begin + tokens, "right")), start + texts)
        found.append(numpy.arange(start, end))
        start = end
    return found


def shuffled_groups(group_sizes: numpy.ndarray, rng: numpy.random.Generator) -> numpy.ndarray:
    """The places of all texts, the groups in random order."""
    starts = numpy.cumsum(group_sizes) - group_sizes
    order = rng.permutation(len(group_sizes))
    sizes = group_sizes[order]
    ends = numpy.cumsum(sizes)
    return numpy.repeat(starts[order] - (ends - sizes), sizes) + numpy.arange(ends[-1])


# The model


LAYER_NAMES = [
    f"{name}.{kind}"
    for name in (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    )
    for kind in ("weight", "bias")
]


def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x.float(), (WIDTH,), weight, bias, LAYER_NORM_EPSILON)


def attention(query, key, value, bounds, longest: int):
    """[tokens, heads, size] each; every text attends to itself alone."""
    if query.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        return varlen_attn(query, key, value, bounds, bounds, longest, longest)
    outputs = []
    for start, end in itertools.pairwise(bounds.tolist()):
        if start < end:
            parts = (part[start:end].transpose(0, 1) for part in (query, key, value))
            outputs.append(F.scaled_dot_product_attention(*parts).transpose(0, 1))
    return torch.cat(outputs)


def layer(x: torch.Tensor, bounds: torch.Tensor, longest: int, weights: list[torch.Tensor]) -> torch.Tensor:
    """One of BERT's, on bf16 [tokens, 384]; matrices are rounded to bf16 where they are used."""
    (wq, bq, wk, bk, wv, bv, wo, bo, norm1, norm1_bias, wi, bi, wd, bd, norm2, norm2_bias) = weights

    def linear(x, weight, bias):
        return F.linear(x, weight.bfloat16(), bias.bfloat16())

    mixed = linear(x, torch.cat([wq, wk, wv]), torch.cat([bq, bk, bv])).view(-1, 3, HEADS, WIDTH // HEADS)
    attended = attention(*(mixed[:, part].contiguous() for part in range(3)), bounds, longest).reshape(-1, WIDTH)
    x = layer_norm(x + linear(attended, wo, bo).float(), norm1, norm1_bias).bfloat16()
    return layer_norm(x + linear(F.gelu(linear(x, wi, bi)), wd, bd).float(), norm2, norm2_bias).bfloat16()


class Bert:
    def __init__(self, weights: dict[str, torch.Tensor], layer_function, longest: int = MAX_TOKENS) -> None:
        self.weights = weights
        self.layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
        self.layer_function = layer_function
        self.longest = longest

    def states(self, row: Row) -> torch.Tensor:
        w = self.weights if torch.is_grad_enabled() else {name: tensor.detach() for name, tensor in self.weights.items()}
        x = F.embedding(row.ids, w["embeddings.word_embeddings.weight"])
        x = (
            x
            + F.embedding(row.positions, w["embeddings.position_embeddings.weight"])
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        x = layer_norm(x, w["embeddings.LayerNorm.weight"], w["embeddings.LayerNorm.bias"]).bfloat16()
        for number in range(self.layers):
            x = self.layer_function(x, row.bounds, self.longest, [w[f"encoder.layer.{number}.{name}"] for name in LAYER_NAMES])
        return x

    def mean(self, row: Row) -> torch.Tensor:
        """f32 [texts, 384]"""
        states = self.states(row)
        sums = torch.zeros(len(row.lengths), WIDTH, device=states.device).index_add(0, row.text, states.float())
        return (sums / row.lengths.clamp(min=1)[:, None])[: row.count]

    def first(self, row: Row) -> torch.Tensor:
        return self.states(row)[row.bounds[: row.count].long()].float()


class Student:
    def __init__(self, weights: dict[str, torch.Tensor], linear: torch.Tensor, bias: torch.Tensor, layer_function) -> None:
        self.weights = {name: tensor.clone() for name, tensor in weights.items()}
        self.linear, self.bias = linear.clone(), bias.clone()
        self.bert = Bert(self.weights, layer_function)

    def parameters(self) -> list[torch.Tensor]:
        return [*self.weights.values(), self.linear, self.bias]

    def embed(self, row: Row) -> torch.Tensor:
        return F.normalize(F.linear(self.bert.mean(row), self.linear, self.bias), dim=1)


# What is learnt


def losses(
    ours: torch.Tensor, target: torch.Tensor, wanted: torch.Tensor, temperature: float, ranked: bool
) -> dict[str, torch.Tensor]:
    """`ours` and `target` [n, d] have rows of length 1; `wanted` [n, n] are the teachers' similarities."""
    similar = ours @ ours.T
    others = ~torch.eye(len(ours), dtype=torch.bool, device=ours.device)
    found = {
        "cosine": 1 - (ours * target).sum(1).mean(),
        "similarity": ((similar - wanted).square() * others).sum() / others.sum(),
    }
    if ranked:
        hidden = (~others) * -1e4
        log_ours = F.log_softmax(similar / temperature + hidden, 1)
        log_wanted = F.log_softmax(wanted / temperature + hidden, 1)
        found["ranking"] = (log_wanted.exp() * (log_wanted - log_ours)).sum(1).mean()
    return found


def principal_axes(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Uncentred, so that dot products stay: axes in columns, and the share of the energy that the first ones keep."""
    values, axes = torch.linalg.eigh((vectors.T @ vectors / len(vectors)).double().cpu())
    values, axes = values.flip(0).clamp(min=0), axes.flip(1)
    return axes.float().to(vectors.device), (values.cumsum(0) / values.sum()).float()


def rate_at(share: float, warm_up: float) -> float:
    """Linear up, then linear down to nothing, over the share of the time that is gone."""
    return min(1.0, share / warm_up) * max(0.0, 1 - share) if warm_up else max(0.0, 1 - share)


# Development sets


def spearman(first: torch.Tensor, second: torch.Tensor) -> float:
    def ranks(values):
        _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
        ends = counts.cumsum(0).double()
        return (ends - (counts - 1) / 2)[inverse]

    return float(torch.corrcoef(torch.stack([ranks(first), ranks(second)]))[0, 1])


def ndcg(similarities: torch.Tensor, gains: torch.Tensor) -> float:
    """Mean nDCG@10; both [queries, documents]."""
    discount = 1 / torch.log2(torch.arange(2, 12, device=gains.device).float())
    best = gains.topk(10).values @ discount
    found = gains.gather(1, similarities.topk(10).indices) @ discount
    return float((found / best).mean())


class DevelopmentSets:
    def __init__(self, file: Path, device: str) -> None:
        arrays = dict(numpy.load(file))
        names = {name.rsplit(".", 1)[0] for name in arrays if name.endswith(".ids")}
        self.texts = {
            name: Texts({key: arrays[f"{name}.{key}"] for key in ("ids", "lengths", "kinds")}, device) for name in sorted(names)
        }
        self.scores = torch.from_numpy(arrays["stsb.scores"]).to(device)
        self.gains = {}
        for name in pack.RETRIEVAL_SETS:
            gains = torch.zeros(len(self.texts[f"{name}.queries"]), len(self.texts[f"{name}.documents"]))
            queries, documents, values = torch.from_numpy(arrays[f"{name}.judgements"]).T
            gains[queries.long(), documents.long()] = values
            self.gains[name] = gains.to(device)

    def evaluate(self, vectors: dict[str, torch.Tensor]) -> dict[str, float]:
        scores = {
            name: 100 * ndcg(vectors[f"{name}.queries"] @ vectors[f"{name}.documents"].T, gains)
            for name, gains in self.gains.items()
        }
        found = {name: round(score, 2) for name, score in scores.items()}
        found["mean"] = round(sum(scores.values()) / len(scores), 2)
        found["stsb"] = round(100 * spearman((vectors["stsb.s1"] * vectors["stsb.s2"]).sum(1), self.scores), 2)
        return found


# The process


tokenizer = None


def start_tokenising(folder: str) -> None:
    global tokenizer
    tokenizer = pack.tokenizer_of(Path(folder))


def tokenise(file: str) -> str:
    """Writes the arrays beside the chunk and returns their file."""
    arrays = pack.tokenise(Path(file), tokenizer)
    numpy.savez(file + ".npz", **arrays)
    return file + ".npz"


class Trainer:
    def __init__(self, options: argparse.Namespace) -> None:
        self.folder, self.device, self.read_tokens, self.idle = options.folder, options.device, options.read_tokens, options.idle
        for name in ("jobs", "results"):
            (self.folder / name).mkdir(exist_ok=True)
        self.begin = time.monotonic()
        # Forked before torch has threads or a GPU.
        self.pool = multiprocessing.get_context("fork").Pool(options.processes, start_tokenising, (str(self.folder),))
        self.log(event="start", torch=torch.__version__, device=torch.cuda.get_device_name() if self.device == "cuda" else "cpu")
        self.pending: dict[Path, object] = {}
        self.chunks: list[dict] = []
        torch.manual_seed(0)
        torch.set_float32_matmul_precision("high")
        self.layer_function = layer if options.no_compile else torch.compile(layer, dynamic=False)
        self.minilm = self.bge = self.dev = self.axes = None

    def log(self, **what) -> None:
        line = json.dumps({"at": round(time.monotonic() - self.begin, 1), **what})
        print(line, flush=True)
        with (self.folder / "log.jsonl").open("a") as out:
            out.write(line + "\n")

    def serve(self) -> None:
        last_work = time.monotonic()
        while True:
            self.look_for_files()
            job = self.next_job() if self.chunks else None
            if job:
                try:
                    self.run(job)
                except Exception as error:  # the next job may do better, and the machine's time is short
                    self.log(event="failed", job=job.name, error=repr(error), trace=traceback.format_exc()[-1500:])
                last_work = time.monotonic()
            elif not self.waiting() and ((self.folder / "jobs" / "stop").exists() or time.monotonic() - last_work > self.idle):
                break
            else:
                time.sleep(0.2)
        self.log(event="end")
        self.pool.terminate()

    def waiting(self) -> bool:
        """For chunks that are tokenised, or for the weights that read them."""
        return any(result is not None for result in self.pending.values())

    def next_job(self) -> Job | None:
        for file in sorted((self.folder / "jobs").glob("*.json")):
            settings = json.loads(file.read_text())
            file.unlink()
            return Job(name=file.stem, **settings)
        return None

    # Files that came

    def look_for_files(self) -> None:
        """Loads weights that came; has chunks tokenised; lets the teachers read those that are ready."""
        for file in sorted(self.folder.glob("*.bz2")):
            if file not in self.pending:
                self.pending[file] = self.pool.apply_async(tokenise, (str(file),))
        if self.minilm is None and (self.folder / "all-MiniLM-L6-v2.npz").exists():
            self.minilm = Bert(self.load("all-MiniLM-L6-v2"), self.layer_function)
            self.warm_up()
        if self.bge is None and (self.folder / "bge-small-en-v1.5.npz").exists():
            self.bge = Bert(self.load("bge-small-en-v1.5"), self.layer_function)
        if self.minilm is None or self.bge is None:
            return
        if self.dev is None and (self.folder / "dev.npz").exists():
            self.dev = DevelopmentSets(self.folder / "dev.npz", self.device)
            self.evaluate_teachers()
        for file, result in self.pending.items():
            if result is not None and result.ready():
                self.read(Path(result.get()))
                self.pending[file] = None

    def load(self, name: str) -> dict[str, torch.Tensor]:
        weights = pack.read_weights(self.folder / f"{name}.npz")
        self.log(event="weights", model=name, parameters=sum(tensor.size for tensor in weights.values()))
        return {key: torch.from_numpy(tensor.copy()).to(self.device) for key, tensor in weights.items()}

    def warm_up(self) -> None:
        """Compiles what training needs and times it on random ids, while files are still coming."""
        if self.device == "cpu":
            return
        try:
            self.time_steps()
        except Exception as error:  # uncompiled code is slower, but it learns
            self.log(event="failed", error=repr(error)[-3000:])
            self.layer_function = self.minilm.layer_function = layer
            self.time_steps()

    def time_steps(self) -> None:
        rng = numpy.random.default_rng(0)
        lengths = rng.integers(5, 120, 1500)
        made = {"ids": rng.integers(1000, 30000, lengths.sum()), "lengths": lengths, "kinds": numpy.zeros(1500, numpy.uint8)}
        texts = Texts(made, self.device)
        job = Job("warm-up", 0)
        student = Student(
            self.minilm.weights, torch.eye(WIDTH, device=self.device), torch.zeros(WIDTH, device=self.device), self.layer_function
        )
        for parameter in student.parameters():
            parameter.requires_grad_(True)
        index = torch.from_numpy(batches(lengths, job.batch_tokens, job.batch_texts)[0]).to(self.device)
        begin = time.monotonic()
        for step in range(23):
            if step == 3:
                torch.cuda.synchronize()
                self.log(event="compiled", seconds=round(time.monotonic() - begin, 1))
                begin = time.monotonic()
            row = row_of(texts, index, job.batch_tokens, job.batch_texts)
            ours = student.embed(row)
            loss = losses(ours, ours.detach(), ours.detach() @ ours.detach().T, 0.05, True)
            sum(loss.values()).backward()
        torch.cuda.synchronize()
        seconds = (time.monotonic() - begin) / 20
        begin = time.monotonic()
        self.vectors(texts, numpy.arange(len(texts)), self.minilm.mean)
        self.log(event="compiled", what="reading", seconds=round(time.monotonic() - begin, 1))
        self.log(
            event="speed",
            step_ms=round(1000 * seconds, 2),
            tokens_per_second=round(job.batch_tokens / seconds),
            finite=bool(torch.isfinite(student.linear.grad).all()),
        )

    # Teachers

    def vectors(self, texts: Texts, index: numpy.ndarray, pooled, prompt=None, max_tokens: int = MAX_TOKENS) -> torch.Tensor:
        """f16 [n, 384] of length 1 in the order of `index`; texts of like length share a row."""
        found = torch.empty(len(index), WIDTH, dtype=torch.float16, device=self.device)
        before = 0 if prompt is None else len(prompt)
        own = numpy.minimum(texts.lengths[index], max_tokens - 2 - before) + before
        order = numpy.argsort(own, kind="stable")
        slots = self.read_tokens // 8
        with torch.no_grad():
            for places in batches(own[order], self.read_tokens, slots):
                places = order[places]
                row = row_of(texts, torch.from_numpy(index[places]).to(self.device), self.read_tokens, slots, prompt, max_tokens)
                found[torch.from_numpy(places).to(self.device)] = F.normalize(pooled(row), dim=1).half()
        return found

    def prompt(self) -> torch.Tensor:
        encoded = pack.tokenizer_of(self.folder).encode(PROMPT, add_special_tokens=False)
        return torch.tensor(encoded.ids, device=self.device)

    def teach(self, texts: Texts) -> dict[str, torch.Tensor]:
        everything = numpy.arange(len(texts))
        plain = self.vectors(texts, everything, self.bge.first)
        prompted = plain.clone()
        short = numpy.flatnonzero(texts.kinds != pack.PASSAGE)
        if len(short):
            prompted[torch.from_numpy(short).to(self.device)] = self.vectors(texts, short, self.bge.first, self.prompt())
        return {
            "minilm": self.vectors(texts, everything, self.minilm.mean, max_tokens=MINILM_TOKENS),
            "plain": plain,
            "prompted": prompted,
        }

    def read(self, file: Path) -> None:
        with numpy.load(file) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        file.unlink()
        begin = time.monotonic()
        texts = Texts(arrays, self.device)
        self.chunks.append({"texts": texts, "group_sizes": arrays["group_sizes"], **self.teach(texts)})
        if self.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.monotonic() - begin
        kinds = numpy.bincount(texts.kinds, minlength=3).tolist()
        self.log(
            event="read",
            file=file.name,
            texts=len(texts),
            kinds=kinds,
            tokens=int(texts.lengths.sum()),
            seconds=round(seconds, 2),
        )

    def evaluate_teachers(self) -> None:
        taught = {name: self.teach(texts) for name, texts in self.dev.texts.items()}
        pairs = {}
        for tag, side in (("no prompt", "plain"), ("prompt by form", "form"), ("prompt for queries", "prompted")):
            pairs[tag] = {}
            for name, texts in self.dev.texts.items():
                vectors = taught[name]
                if side == "form":
                    b = mixed(vectors["plain"], vectors["prompted"], texts.device_kinds, 1.0, 0.5)
                elif side == "prompted" and name.endswith("queries"):
                    b = F.normalize(self.vectors(texts, numpy.arange(len(texts)), self.bge.first, self.prompt()).float(), dim=1)
                else:
                    b = vectors["plain"].float()
                pairs[tag][name] = pair_of(vectors["minilm"], b)
        for tag, side in (("minilm", "minilm"), ("bge", "plain")):
            self.log(
                event="teacher", which=tag, **self.dev.evaluate({name: vectors[side].float() for name, vectors in taught.items()})
            )
        for tag, vectors in pairs.items():
            self.log(event="teacher", which=f"pair, {tag}", **self.dev.evaluate(vectors))

    # The student

    def run(self, job: Job) -> None:
        begin = time.monotonic()
        self.log(event="job", **asdict(job))
        axes, linear, bias = self.start_values(job)
        student = Student(self.minilm.weights, linear, bias, self.layer_function)
        parameters = student.parameters()
        for parameter in parameters:
            parameter.requires_grad_(True)
        averaged = [parameter.detach().clone() for parameter in parameters]
        linear_ones = parameters[-2:]
        optimizer = torch.optim.AdamW(
            [{"params": parameters[:-2], "share": 1.0}, {"params": linear_ones, "share": job.linear_rate}],
            lr=1.0, betas=(0.9, 0.98), weight_decay=0.01, fused=self.device == "cuda",
        )  # fmt: skip
        rng = numpy.random.default_rng(0)
        tokens = steps = 0
        evaluated, sums, share = 0, {}, 0.0
        start = time.monotonic()
        seconds = max(0.01, job.until - time.time() if job.until else job.seconds)
        while share < 1:
            for chunk, index in self.epoch(job, rng):
                share = min(1.0, (time.monotonic() - start) / seconds)
                if share >= 1:
                    break
                for group in optimizer.param_groups:
                    group["lr"] = job.learning_rate * group["share"] * rate_at(share, job.warm_up)
                parts = self.step(job, student, chunk, index, axes)
                loss = parts["cosine"] + job.similarity * parts["similarity"] + job.ranking * parts.get("ranking", 0.0)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=self.device == "cuda")
                optimizer.step()
                torch._foreach_lerp_(
                    averaged, [parameter.detach() for parameter in parameters], 1 - min(job.average, steps / (steps + 10))
                )
                tokens, steps = tokens + int(chunk["texts"].lengths[index].sum()) + 2 * len(index), steps + 1
                for name, value in parts.items():
                    sums[name] = 0.98 * sums.get(name, value.detach()) + 0.02 * value.detach()
                if steps % 10 == 0 and self.device == "cuda":
                    torch.cuda.synchronize()  # or the clock would run behind what is queued
                if share * job.evaluations >= evaluated + 1:
                    evaluated += 1
                    self.report(job, student, axes, sums, tokens, steps, start)
                    if seconds > 100:
                        self.save(job.name + "-last", student)
        final = self.report(job, student, axes, sums, tokens, steps, start)
        self.save(job.name, student)
        mean = Student(dict(zip(student.weights, averaged)), averaged[-2], averaged[-1], self.layer_function)
        if self.report(job, mean, axes, sums, tokens, steps, start, "average of weights") > final:
            self.save(job.name + "-average", mean)
        self.log(event="done", job=job.name, seconds=round(time.monotonic() - begin, 1))

    def start_values(self, job: Job) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The target's axes, and the linear map of MiniLM's pooled states that is nearest to the target (ridge regression)."""
        chunk = self.chunks[0]
        count = min(PCA_TEXTS, len(chunk["texts"]))
        index = numpy.arange(count)
        target = target_of(chunk, torch.from_numpy(index).to(self.device), job)
        if self.axes is None:
            self.axes, kept = principal_axes(target)
            shares = {str(cut): round(float(kept[cut - 1]), 4) for cut in (64, 128, 256, 384, 512, 640, 768)}
            self.log(event="axes", energy_kept=shares, texts=count)
            self.evaluate_cuts()
        axes = self.axes[:, : job.dimensions]
        pooled = []
        places = index[: count // 2]
        slots = self.read_tokens // 8
        with torch.no_grad():
            for batch in batches(chunk["texts"].lengths[places], self.read_tokens, slots):
                pooled.append(
                    self.minilm.mean(row_of(chunk["texts"], torch.from_numpy(batch).to(self.device), self.read_tokens, slots))
                )
        states = torch.cat([torch.cat(pooled), torch.ones(len(places), 1, device=self.device)], 1).double()
        wanted = F.normalize(target[: len(places)] @ axes, dim=1).double()
        square = states.T @ states
        square += 1e-4 * square.diagonal().mean() * torch.eye(len(square), device=self.device, dtype=torch.float64)
        solved = torch.linalg.solve(square, states.T @ wanted).T.float()
        return axes, solved[:, :-1].contiguous(), solved[:, -1].contiguous()

    def evaluate_cuts(self) -> None:
        """What the target itself scores when it is cut."""
        taught = {name: self.teach(texts) for name, texts in self.dev.texts.items()}
        pairs = {
            name: pair_of(v["minilm"], mixed(v["plain"], v["prompted"], self.dev.texts[name].device_kinds, 1.0, 0.5))
            for name, v in taught.items()
        }
        for cut in (128, 256, 384, 512, 640):
            scores = self.dev.evaluate(
                {name: F.normalize(vectors @ self.axes[:, :cut], dim=1) for name, vectors in pairs.items()}
            )
            self.log(event="target cut", dimensions=cut, **scores)

    def epoch(self, job: Job, rng: numpy.random.Generator):
        """Batches of all chunks that are there, in random order; ends early when new ones came, so that they join."""
        work = []
        for number, chunk in enumerate(self.chunks):
            sizes = chunk["group_sizes"]
            order = shuffled_groups(sizes, rng)
            if number == 0:
                order = order[order < len(order) - HELD_OUT_TEXTS] if len(order) > 2 * HELD_OUT_TEXTS else order
            work += [
                (number, order[places]) for places in batches(chunk["texts"].lengths[order], job.batch_tokens, job.batch_texts)
            ]
        for place, which in enumerate(rng.permutation(len(work))):
            number, index = work[which]
            yield self.chunks[number], index
            if place % 200 == 199:
                before = len(self.chunks)
                self.look_for_files()
                if len(self.chunks) > before:
                    return

    def step(self, job: Job, student: Student, chunk: dict, index: numpy.ndarray, axes: torch.Tensor) -> dict[str, torch.Tensor]:
        places = torch.from_numpy(index).to(self.device)
        with torch.no_grad():
            whole = target_of(chunk, places, job)
            target = F.normalize(whole @ axes, dim=1)
            row = row_of(chunk["texts"], places, job.batch_tokens, job.batch_texts)
        return losses(student.embed(row), target, whole @ whole.T, job.temperature, job.ranking > 0)

    def embed(self, student: Student, texts: Texts, max_tokens: int = MAX_TOKENS) -> torch.Tensor:
        found = torch.empty(len(texts), student.linear.shape[0], device=self.device)
        order = numpy.argsort(texts.lengths, kind="stable")
        slots = self.read_tokens // 8
        own = numpy.minimum(texts.lengths, max_tokens - 2)
        with torch.no_grad():
            for places in batches(own[order], self.read_tokens, slots):
                places = torch.from_numpy(order[places]).to(self.device)
                found[places] = student.embed(row_of(texts, places, self.read_tokens, slots, max_tokens=max_tokens))
        return found

    def report(self, job, student, axes, sums, tokens, steps, start, note="") -> float:
        seconds = time.monotonic() - start
        chunk = self.chunks[0]
        held_out = numpy.arange(max(0, len(chunk["texts"]) - HELD_OUT_TEXTS), len(chunk["texts"]))
        places = torch.from_numpy(held_out).to(self.device)
        slots = self.read_tokens // 8
        cosines = []
        with torch.no_grad():
            for batch in batches(chunk["texts"].lengths[held_out], self.read_tokens, slots):
                some = places[torch.from_numpy(batch).to(self.device)]
                ours = student.embed(row_of(chunk["texts"], some, self.read_tokens, slots))
                cosines.append((ours * F.normalize(target_of(chunk, some, job) @ axes, dim=1)).sum(1))
        scores = self.dev.evaluate({name: self.embed(student, texts) for name, texts in self.dev.texts.items()})
        parts = {name: round(float(value), 5) for name, value in sums.items()}
        cosine = round(float(torch.cat(cosines).mean()), 5)
        pool = sum(int(c["texts"].lengths.sum()) for c in self.chunks)
        self.log(
            event="scores",
            job=job.name,
            note=note,
            seconds=round(seconds, 1),
            steps=steps,
            tokens=tokens,
            pool=pool,
            held_out=cosine,
            losses=parts,
            **scores,
        )
        if note == "average of weights":
            for cut in (128, 256):
                vectors = {
                    name: F.normalize(self.embed(student, texts)[:, :cut], dim=1) for name, texts in self.dev.texts.items()
                }
                self.log(event="cut", job=job.name, dimensions=cut, **self.dev.evaluate(vectors))
            vectors = {name: self.embed(student, texts, MINILM_TOKENS) for name, texts in self.dev.texts.items()}
            self.log(event="cut", job=job.name, max_tokens=MINILM_TOKENS, **self.dev.evaluate(vectors))
        return scores["mean"]

    def save(self, name: str, student: Student) -> None:
        from safetensors.torch import save_file

        tensors = {key: tensor.detach().half().cpu().contiguous() for key, tensor in student.weights.items()}
        tensors |= {"linear.weight": student.linear.detach().half().cpu(), "linear.bias": student.bias.detach().half().cpu()}
        unfinished = self.folder / "results" / f"{name}.unfinished"
        save_file(tensors, unfinished)
        unfinished.rename(unfinished.with_suffix(".safetensors"))


def mixed(plain: torch.Tensor, prompted: torch.Tensor, kinds: torch.Tensor, question: float, title: float) -> torch.Tensor:
    """bge's vector of each text: by its kind, so much of the prompted one."""
    share = torch.tensor([0.0, question, title], device=plain.device)[kinds][:, None]
    return F.normalize((1 - share) * plain.float() + share * prompted.float(), dim=1)


def pair_of(minilm: torch.Tensor, bge: torch.Tensor) -> torch.Tensor:
    return torch.cat([minilm.float(), BGE_SHARE * bge], 1) / math.hypot(1, BGE_SHARE)


def target_of(chunk: dict, places: torch.Tensor, job: Job) -> torch.Tensor:
    """The teachers' vectors side by side, of length 1: [n, 768]."""
    kinds = chunk["texts"].device_kinds[places]
    return pair_of(
        chunk["minilm"][places], mixed(chunk["plain"][places], chunk["prompted"][places], kinds, job.question, job.title)
    )


if __name__ == "__main__":
    main()
