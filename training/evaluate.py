"""Scores an embedding model on local files with the tasks and evaluators of the `mteb` package.

    npm run evaluate -- --data DATA                     through the endpoint (scripts/evaluate.ts calls this file)
    npm run evaluate -- --data DATA --model all-MiniLM-L6-v2
                                                        another of the models that it serves, by its name
    python training/evaluate.py --data DATA --command 'target/release/embed model/model-weights.bin'
                                                        the same without a server; --dev for the development sets

DATA is the folder that holds `eval/`, REFERENCE_SCORES.tsv (published scores of other models) and
SANITY_BASELINES.tsv (BM25 and TF-IDF on the same files). One Markdown table goes to standard output.
"""

import argparse
import base64
import csv
import dataclasses
import gzip
import json
import logging
import os
import shlex
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is local: a missing file must fail, not be looked for
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import datasets
import numpy
import requests
from mteb.abstasks.classification import AbsTaskClassification
from mteb.abstasks.pair_classification import AbsTaskPairClassification
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models.abs_encoder import AbsEncoder
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression

import docstrings

BATCH_TEXTS = 256
BATCH_CHARACTERS = 500_000  # of a request, where the endpoint does not say how many tokens it takes
MIN_CHARACTERS_OF_A_TOKEN = 2  # on average over a request
REQUEST_TIMEOUT_SECONDS = 120
PEERS_FILE = Path(__file__).with_name("peers.json")

Embed = Callable[[list[str]], numpy.ndarray]


def main() -> None:
    options = parse_options()
    if options.sources:
        print(sources_table())
        return
    quiet()
    embed, name = embedder_of(options)
    data = Data(options.data)
    chosen = DEV_SETS if options.dev else TEST_SETS
    if options.sets:
        chosen = sets_named(options.sets, chosen)
    scores = measure(chosen, data, embed)
    print(markdown_table(name, chosen, scores, data))
    if options.json:
        facts = {"texts_per_core_second": embed.texts_per_core_second(data)} if isinstance(embed, Command) else {}
        facts = {"model": name, **facts, "scores": scores}
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Scores an embedding model on local files with mteb's evaluators.")
    parser.add_argument("--data", type=Path, help="folder that holds eval/ and REFERENCE_SCORES.tsv")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--sources", action="store_true", help="print where each set can be had, in which form and on which terms")
    source.add_argument("--url", help="base URL of an endpoint, such as http://localhost:8787/v1; the key, if any, is OPENAI_API_KEY")
    source.add_argument("--command", help="a command that reads a text a line and, given --format f32, writes f32 rows")
    parser.add_argument("--model", help="with --url: the name of the model; its own dimensions unless --dimensions says otherwise")
    parser.add_argument("--dimensions", type=int, help="the first N values of each vector, renormalised")
    parser.add_argument("--dev", action="store_true", help="the development sets, which may be tuned on")
    parser.add_argument("--sets", nargs="+", help="only these sets")
    parser.add_argument("--json", type=Path, help="write the scores there as well")
    options = parser.parse_args()
    if options.data is None and not options.sources:
        parser.error("--data wants the folder that holds eval/; --sources says where the sets can be had")
    if options.model and not options.url:
        parser.error("--model names a model of the endpoint that --url names; a command has its own")
    return options


def sets_named(names: list[str], known: list["EvaluationSet"]) -> list["EvaluationSet"]:
    """Those with one of the names, and those of a folder with one."""
    unknown = sorted(set(names) - {name for one in known for name in (one.name, one.folder)})
    if unknown:
        raise SystemExit(f"--sets: there is no {', '.join(unknown)}; these are known: {', '.join(one.name for one in known)}")
    return [one for one in known if one.name in names or one.folder in names]


def measure(chosen: list["EvaluationSet"], data: "Data", embed: Embed) -> dict[str, float]:
    """Main scores x 100 by the set's name, in the order given."""
    scores = {}
    encoder = Encoder(embed)
    for evaluation_set in chosen:
        start = time.monotonic()
        score = evaluation_set.score(evaluation_set, data, encoder)
        scores[evaluation_set.name] = round(100 * score, 2)
        seconds = time.monotonic() - start
        print(f"{evaluation_set.name}: {evaluation_set.metric} {100 * score:.2f} ({seconds:.0f} s)", file=sys.stderr, flush=True)
    return scores


# The embedders


def embedder_of(options: argparse.Namespace) -> tuple[Embed, str]:
    if options.url:
        endpoint = Endpoint(options.url, options.model, options.dimensions)
        endpoint(["a text to learn the model's name by"])
        return endpoint, endpoint.name
    dimensions = ["--dimensions", str(options.dimensions)] if options.dimensions else []
    return Command([*shlex.split(options.command), "--format", "f32", *dimensions]), options.command.split("/")[-1]


class Endpoint:
    """POST /v1/embeddings, as any client would send it."""

    def __init__(self, url: str, model: str | None, dimensions: int | None) -> None:
        url = url.rstrip("/")
        self.url = url if url.endswith("/v1") else f"{url}/v1"
        self.model = model
        self.dimensions = dimensions
        self.session = requests.Session()
        if key := os.environ.get("OPENAI_API_KEY"):
            self.session.headers["authorization"] = f"Bearer {key}"
        self.version = None
        self.batch_characters = self.characters_of_a_request()

    @property
    def name(self) -> str:
        model = f"{self.model}, {self.version}" if self.model else str(self.version)
        return f"{model} at {self.dimensions} dimensions" if self.dimensions else model

    def characters_of_a_request(self) -> int:
        """A transformer takes fewer tokens in a request than a table does; the list of models says how many."""
        answer = self.session.get(f"{self.url}/models", timeout=REQUEST_TIMEOUT_SECONDS)
        listed = answer.json()["data"] if answer.ok else []
        limits = [entry["max_tokens_per_request"] for entry in listed if "max_tokens_per_request" in entry and self.is_meant(entry["id"])]
        return min(BATCH_CHARACTERS, *(MIN_CHARACTERS_OF_A_TOKEN * limit for limit in limits)) if limits else BATCH_CHARACTERS

    def is_meant(self, listed: str) -> bool:
        """Without a name any of the models may be the one that answers."""
        return self.model is None or bare(listed) == bare(self.model)

    def __call__(self, texts: list[str]) -> numpy.ndarray:
        batches: list[list[str]] = [[]]
        characters = 0
        for text in texts:
            if len(batches[-1]) == BATCH_TEXTS or (batches[-1] and characters + len(text) > self.batch_characters):
                batches.append([])
                characters = 0
            batches[-1].append(text)
            characters += len(text)
        return numpy.concatenate([self.request(batch) for batch in batches])

    def request(self, texts: list[str]) -> numpy.ndarray:
        body = {"model": self.model or "embeddings-worker", "input": [text or " " for text in texts], "encoding_format": "base64"}
        if self.dimensions:
            body["dimensions"] = self.dimensions
        answer = self.session.post(f"{self.url}/embeddings", json=body, timeout=REQUEST_TIMEOUT_SECONDS)
        if not answer.ok:
            raise SystemExit(f"{self.url}/embeddings answered {answer.status_code}: {answer.text[:500]}")
        answered_by = unquote(answer.headers.get("x-model", self.model or ""))
        if self.model and bare(answered_by) != bare(self.model):
            raise SystemExit(f"--model: {self.url} has no model {self.model}; {answered_by} answered in its place")
        version = answer.headers.get("x-model-version", "unknown")
        if self.version not in (None, version):
            raise SystemExit(f"the model changed while it was measured: {self.version}, now {version}")
        self.version = version
        rows = [numpy.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answer.json()["data"]]
        return numpy.stack(rows)


def bare(model: str) -> str:
    """As the Worker compares names: without case and without what stands before the last slash."""
    return model.rsplit("/", 1)[-1].lower()


class Command:
    """A native embedder: one text a line on standard input, little-endian f32 rows on standard output."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments

    def __call__(self, texts: list[str]) -> numpy.ndarray:
        lines = "".join(" ".join(text.splitlines()) + "\n" for text in texts)
        result = subprocess.run(self.arguments, input=lines.encode(), stdout=subprocess.PIPE)
        if result.returncode != 0:
            raise SystemExit(f"{shlex.join(self.arguments)} ended with {result.returncode}")
        values = numpy.frombuffer(result.stdout, "<f4")
        if len(values) == 0 or len(values) % len(texts) != 0:
            raise SystemExit(f"{shlex.join(self.arguments)} wrote {len(values)} values for {len(texts)} texts")
        return values.reshape(len(texts), -1)

    def texts_per_core_second(self, data: "Data") -> int:
        """Texts for each second of processor time; what starting and loading take is measured apart."""
        columns = data.columns("stsb", "test")
        texts = (columns["s1"] + columns["s2"]) * 20
        seconds = [self.processor_seconds(some) for some in (texts[:1], texts)]
        return round((len(texts) - 1) / (seconds[1] - seconds[0]))

    def processor_seconds(self, texts: list[str]) -> float:
        before = os.times()
        self(texts)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system


class Encoder(AbsEncoder):
    """What mteb's tasks expect of a model. Texts that come again, in another set too, are embedded once."""

    mteb_model_meta = None

    def __init__(self, embed: Embed) -> None:
        self.embed = embed
        self.known: dict[str, numpy.ndarray] = {}

    def encode(self, inputs, **_) -> numpy.ndarray:
        texts = [text for batch in inputs for text in batch["text"]]
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known.update(zip(new, self.embed(new), strict=True))
        return numpy.stack([self.known[text] for text in texts])


# The sets


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    name: str
    metric: str
    score: Callable[["EvaluationSet", "Data", Encoder], float]
    file: str = "test"
    published_task: str | None = None  # its name in REFERENCE_SCORES.tsv
    folder: str | None = None  # where it is not the set's name


class Data:
    def __init__(self, folder: Path) -> None:
        self.root = folder if (folder / "eval").is_dir() else folder.parent
        self.eval = self.root / "eval"
        if not self.eval.is_dir():
            raise SystemExit(f"--data: {folder} has no folder eval/ with the evaluation sets; --sources says where they can be had")

    def path(self, folder: str, name: str) -> Path:
        path = self.eval / folder / name
        if not path.exists():
            raise missing(path, folder)
        return path

    def columns(self, folder: str, file: str) -> dict[str, list[str]]:
        with gzip.open(self.path(folder, f"{file}.tsv.gz"), "rt", encoding="utf-8", newline="") as text:
            header, *rows = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {name: [row[place] for row in rows] for place, name in enumerate(header)}

    def json_lines(self, folder: str, file: str) -> list[dict]:
        with gzip.open(self.path(folder, f"{file}.jsonl.gz"), "rt", encoding="utf-8") as text:
            return [json.loads(line) for line in text]


def sts(evaluation_set: EvaluationSet, data: Data, encoder: Encoder) -> float:
    columns = data.columns(evaluation_set.folder or evaluation_set.name, evaluation_set.file)
    rows = {
        "sentence1": columns["s1"],
        "sentence2": columns["s2"],
        "score": [float(score) for score in columns["score"]],
    }
    return run_task(AbsTaskSTS, evaluation_set, "STS", "cosine_spearman", datasets.Dataset.from_dict(rows), encoder)


def paraphrase(evaluation_set: EvaluationSet, data: Data, encoder: Encoder) -> float:
    columns = data.columns(evaluation_set.folder or evaluation_set.name, evaluation_set.file)
    first, second = ("q1", "q2") if "q1" in columns else ("s1", "s2")
    rows = {
        "sentence1": columns[first],
        "sentence2": columns[second],
        "labels": [int(label) for label in columns["label"]],
    }
    rows = datasets.Dataset.from_dict(rows)
    return run_task(AbsTaskPairClassification, evaluation_set, "PairClassification", "cosine_ap", rows, encoder)


def few_shot_classification(evaluation_set: EvaluationSet, data: Data, encoder: Encoder) -> float:
    """mteb's protocol: logistic regression on 8 texts of each label, the mean of 10 draws."""
    folder = evaluation_set.folder or evaluation_set.name
    train = data.columns(folder, "train")
    numbers = {label: number for number, label in enumerate(sorted(set(train["label"])))}

    def dataset(columns: dict[str, list[str]], chosen: Callable[[int], bool] = lambda row: True) -> datasets.Dataset:
        rows = [row for row in range(len(columns["text"])) if chosen(row)]
        return datasets.Dataset.from_dict(
            {
                "text": [columns["text"][row] for row in rows],
                "label": [numbers[columns["label"][row]] for row in rows],
            }
        )

    if evaluation_set.file == "train":  # a development split: every fifth row of train is held out
        splits = {"train": dataset(train, lambda row: row % 5 != 0), "test": dataset(train, lambda row: row % 5 == 0)}
    else:
        splits = {"train": dataset(train), "test": dataset(data.columns(folder, evaluation_set.file))}
    return run_task(AbsTaskClassification, evaluation_set, "Classification", "accuracy", datasets.DatasetDict(splits), encoder)


def plain_classification(evaluation_set: EvaluationSet, data: Data, encoder: Encoder) -> float:
    """Logistic regression on the whole of train, with scikit-learn's defaults."""
    folder = evaluation_set.folder or evaluation_set.name
    train, test = data.columns(folder, "train"), data.columns(folder, evaluation_set.file)
    model = LogisticRegression(max_iter=1000).fit(encoder.embed(train["text"]), train["label"])
    return model.score(encoder.embed(test["text"]), test["label"])


def retrieval(evaluation_set: EvaluationSet, data: Data, encoder: Encoder) -> float:
    return run_retrieval(evaluation_set, retrieval_data(evaluation_set, data), encoder)


def docstring_retrieval(evaluation_set: EvaluationSet, data: Data, encoder: Encoder) -> float:
    """Names, misspelt texts or units, as docstrings.py makes them: each finds its own text."""
    pairs = docstrings.queries_and_documents()[evaluation_set.folder]
    ids = [str(number) for number in range(len(pairs))]
    rows = {
        "corpus": datasets.Dataset.from_dict({"id": ids, "title": [""] * len(ids), "text": [text for _, text in pairs]}),
        "queries": datasets.Dataset.from_dict({"id": ids, "text": [query for query, _ in pairs]}),
        "relevant_docs": {name: {name: 1} for name in ids},
        "top_ranked": None,
    }
    return run_retrieval(evaluation_set, rows, encoder)


def run_retrieval(evaluation_set: EvaluationSet, rows: dict, encoder: Encoder) -> float:
    main_score = RETRIEVAL_SCORES[evaluation_set.metric]
    return run_task(AbsTaskRetrieval, evaluation_set, "Retrieval", main_score, rows, encoder)


def retrieval_data(evaluation_set: EvaluationSet, data: Data) -> dict:
    folder = evaluation_set.folder or evaluation_set.name
    corpus, queries = data.json_lines(folder, "corpus"), data.json_lines(folder, "queries")
    qrels = data.columns(folder, "qrels")
    relevant: dict[str, dict[str, int]] = {}
    for query, document, score in zip(qrels["query-id"], qrels["corpus-id"], qrels["score"]):
        relevant.setdefault(query, {})[document] = int(float(score))
    return {
        "corpus": datasets.Dataset.from_dict(
            {
                "id": [row["_id"] for row in corpus],
                "title": [row.get("title", "") for row in corpus],
                "text": [row["text"] for row in corpus],
            }
        ),
        "queries": datasets.Dataset.from_dict(
            {
                "id": [row["_id"] for row in queries if row["_id"] in relevant],
                "text": [row["text"] for row in queries if row["_id"] in relevant],
            }
        ),
        "relevant_docs": relevant,
        "top_ranked": None,
    }


def run_task(task_class: type, evaluation_set: EvaluationSet, task_type: str, main_score: str, rows, model) -> float:
    """One of mteb's abstract tasks over rows that are here already."""

    class LocalTask(task_class):
        metadata = TaskMetadata(
            name=f"local-{evaluation_set.name}",
            description=f"{evaluation_set.name} from a local file",
            dataset={"path": "local", "revision": "local"},
            type=task_type,
            category="t2c" if task_type == "Classification" else "t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score=main_score,
        )

    task = LocalTask()
    is_split_already = isinstance(rows, datasets.DatasetDict)
    task.dataset = {"default": rows if is_split_already else {"test": rows}}
    task.data_loaded = True
    return task.evaluate(model, "test", encode_kwargs={"batch_size": BATCH_TEXTS, "show_progress_bar": False})["default"]["main_score"]


SPEARMAN, NDCG, MRR, ACCURACY, AP = "Spearman", "nDCG@10", "MRR@10", "accuracy", "AP"
RETRIEVAL_SCORES = {NDCG: "ndcg_at_10", MRR: "mrr_at_10"}

TEST_SETS = [
    EvaluationSet("stsb", SPEARMAN, sts, published_task="STSBenchmark"),
    EvaluationSet("sickr", SPEARMAN, sts, file="all", published_task="SICK-R"),
    *(EvaluationSet(f"sts{year}", SPEARMAN, sts, published_task=f"STS{year}") for year in range(12, 17)),
    EvaluationSet("scifact", NDCG, retrieval, published_task="SciFact"),
    EvaluationSet("nfcorpus_approx", NDCG, retrieval, published_task="NFCorpus"),
    EvaluationSet("cranfield", NDCG, retrieval),
    EvaluationSet("cisi", NDCG, retrieval),
    EvaluationSet("cacm", NDCG, retrieval),
    EvaluationSet("med", NDCG, retrieval),
    EvaluationSet("banking77", ACCURACY, few_shot_classification, published_task="Banking77Classification"),
    EvaluationSet("amazon_counterfactual", ACCURACY, plain_classification),
    EvaluationSet("qqp", AP, paraphrase),
    EvaluationSet("msrp", AP, paraphrase),
]

DEV_SETS = [
    EvaluationSet("stsb dev", SPEARMAN, sts, file="dev", folder="stsb"),
    EvaluationSet("cranfield", NDCG, retrieval),
    EvaluationSet("cisi", NDCG, retrieval),
    EvaluationSet("cacm", NDCG, retrieval),
    EvaluationSet("med", NDCG, retrieval),
    EvaluationSet("faq_dev", NDCG, retrieval),
    EvaluationSet("faq_dev MRR", MRR, retrieval, folder="faq_dev"),
    EvaluationSet("headings_dev", NDCG, retrieval),
    EvaluationSet("headings_dev MRR", MRR, retrieval, folder="headings_dev"),
    EvaluationSet("banking77 train split", ACCURACY, few_shot_classification, file="train", folder="banking77"),
    EvaluationSet("amazon_counterfactual valid", ACCURACY, plain_classification, file="valid", folder="amazon_counterfactual"),
    EvaluationSet("qqp dev", AP, paraphrase, file="dev", folder="qqp"),
    EvaluationSet("msrp dev", AP, paraphrase, file="dev", folder="msrp"),
    EvaluationSet("docstrings, names", MRR, docstring_retrieval, folder="names"),
    EvaluationSet("docstrings, misspelt", MRR, docstring_retrieval, folder="misspelt"),
    EvaluationSet("units", MRR, docstring_retrieval, folder="units"),
]

MEANS = {
    "mean of STS": ["stsb", "sickr", "sts12", "sts13", "sts14", "sts15", "sts16"],
    "mean of cranfield, cisi, cacm": ["cranfield", "cisi", "cacm"],
}


# Where the sets can be had


@dataclasses.dataclass(frozen=True)
class Source:
    """A set as it lies in DATA/eval/<folder>/: gzip-compressed TSV with a header and no quotes, or BEIR's JSONL."""

    files: str
    where: str
    terms: str


BEIR = "BEIR's corpus.jsonl.gz, queries.jsonl.gz, qrels.tsv.gz"
STS = "test.tsv.gz (score, s1, s2)"
SEMEVAL = "SemEval: scores CC BY-SA 4.0, texts for research"
DOCUMENTATION = (
    "made for this project, not published: sections of the Debian packages debian-faq, git-doc, developers-reference, "
    "debian-reference-en and postgresql-doc-15 (bookworm) without their headings; "
)
SOURCES = {
    "stsb": Source(
        "dev.tsv.gz, " + STS, "github.com/oborchers/Fast_Sentence_Embeddings, evaluation/sts-{dev,test}.csv; mteb's STSBenchmark", SEMEVAL
    ),
    "sickr": Source(
        "all.tsv.gz (score, s1, s2)", "github.com/kkalouli/SICK-processing, SICK.txt; mteb's SICK-R has 87 pairs more", "CC BY-NC-SA 3.0"
    ),
    "sts12": Source(STS, "github.com/FreedomIntelligence/qnn, data/STS/STS12-en-test; mteb's STS12", SEMEVAL),
    **{
        f"sts{year}": Source(STS, f"github.com/brmson/dataset-sts, data/sts/semeval-sts/20{year}; mteb's STS{year}", SEMEVAL)
        for year in range(13, 17)
    },
    "scifact": Source(
        BEIR, "BEIR's scifact: huggingface.co/datasets/BeIR/scifact, test part", "claims CC BY 4.0, abstracts by S2ORC's terms"
    ),
    "nfcorpus_approx": Source(
        BEIR,
        "github.com/ferdifdi/nfcorpus_medical_search_engine (texts, lower case, without stop words), "
        "github.com/keeeevinShen/RAG_nfcorpus (BEIR's test queries and judgements)",
        "academic use",
    ),
    "cranfield": Source(
        BEIR,
        "github.com/manchandasahil/Cran-Lucene-Search-Engine, cran.all.1400; github.com/aldiindrawan12/information-retrieval, "
        "cran.qry, cranqrel (codes 1 to 4 are 1)",
        "none stated (Glasgow IDOM)",
    ),
    "cisi": Source(BEIR, "github.com/Shakiba-Alipour/Information-Retrieval-on-CISI, CISI.{ALL,QRY,REL}", "none stated"),
    "cacm": Source(BEIR, "github.com/kavinsan/Information-Retrieval-Project, cacm.all, query.text, qrels.text", "none stated"),
    "med": Source(BEIR, "github.com/ronancummins/gen_polya, data/med/MED.{ALL,QRY,REL}", "none stated"),
    "faq_dev": Source(BEIR, DOCUMENTATION + "137 questions of the two FAQs", "GPL-2, PostgreSQL"),
    "headings_dev": Source(BEIR, DOCUMENTATION + "400 headings of three words or more", "GPL-2, PostgreSQL"),
    "banking77": Source(
        "train.tsv.gz, test.tsv.gz (label, text)", "github.com/PolyAI-LDN/task-specific-datasets, banking_data/{train,test}.csv", "CC BY 4.0"
    ),
    "amazon_counterfactual": Source(
        "train.tsv.gz, valid.tsv.gz, test.tsv.gz (label, text)",
        "github.com/amazon-research/amazon-multilingual-counterfactual-dataset, data/EN_*.tsv",
        "CC BY-NC 4.0 or CC BY-SA 4.0: its files differ",
    ),
    "qqp": Source(
        "dev.tsv.gz, test.tsv.gz (label, q1, q2)",
        "github.com/Deep1994/Quora-Question-Pairs-dataset-analysis-and-construction, dataset/{dev,test}.tsv",
        "Quora's of 2017, non-commercial",
    ),
    "msrp": Source(
        "dev.tsv.gz, test.tsv.gz (label, s1, s2)",
        "github.com/brmson/dataset-sts, data/para/msr/msr-para-{val,test}.tsv",
        "Microsoft Research's licence, research use",
    ),
}


def sources_table() -> str:
    lines = [["set", "files in DATA/eval/<set>/", "where it can be had", "terms"], ["---"] * 4]
    lines += [[name, source.files, source.where, source.terms] for name, source in SOURCES.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def missing(path: Path, folder: str) -> SystemExit:
    source = SOURCES[folder]
    return SystemExit(
        f"{path}: there is no such file.\n{folder} has the files {source.files}.\n"
        f"It can be had from: {source.where}.\n--sources lists all sets; --sets measures only some."
    )


# The table


PUBLISHED_PEERS = {
    "potion-base-8M": "minishlab__potion-base-8M",
    "static-retrieval-mrl-en-v1": "sentence-transformers__static-retrieval-mrl-en-v1",
    "all-MiniLM-L6-v2": "sentence-transformers__all-MiniLM-L6-v2",
}


def markdown_table(name: str, chosen: list[EvaluationSet], scores: dict[str, float], data: Data) -> str:
    columns = {f"this model ({name})": dict(scores), "BM25 / TF-IDF": lexical_baselines(data)}
    if PEERS_FILE.exists():
        for peer, measured in json.loads(PEERS_FILE.read_text(encoding="utf-8"))["peers"].items():
            columns[f"{peer}, measured"] = measured["scores"]
    for peer, model in PUBLISHED_PEERS.items():
        columns[f"{peer}, published"] = published_scores(data, model)
    for column in columns.values():
        add_means(column)
    metrics = {evaluation_set.name: evaluation_set.metric for evaluation_set in chosen}
    rows = [*metrics, *(mean for mean, names in MEANS.items() if set(names) <= set(metrics))]
    columns = {title: column for title, column in columns.items() if any(row in column for row in rows)}
    lines = [["set", "metric", *columns], ["---", "---", *("---:" for _ in columns)]]
    for row in rows:
        metric = metrics.get(row) or metrics[MEANS[row][0]]
        cells = [f"{column[row]:.1f}" if row in column else "" for column in columns.values()]
        lines.append([row, metric, *cells])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    note = "Published NFCorpus scores are on the full set; nfcorpus_approx is an approximation of it, so they do not compare exactly."
    return table + (f"\n\n{note}" if "nfcorpus_approx" in metrics else "")


def add_means(column: dict[str, float]) -> None:
    for mean, names in MEANS.items():
        if all(name in column for name in names):
            column[mean] = sum(column[name] for name in names) / len(names)


def lexical_baselines(data: Data) -> dict[str, float]:
    return {row["set"]: float(row["value"]) for row in table_rows(data.root / "SANITY_BASELINES.tsv")}


def published_scores(data: Data, model: str) -> dict[str, float]:
    names = {evaluation_set.published_task: evaluation_set.name for evaluation_set in TEST_SETS}
    return {
        names[row["task"]]: float(row["main_score_x100"])
        for row in table_rows(data.root / "REFERENCE_SCORES.tsv")
        if row["model"] == model and row["task"] in names
    }


def table_rows(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text, delimiter="\t"))


def quiet() -> None:
    datasets.disable_progress_bars()
    logging.getLogger("mteb").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=UndefinedMetricWarning)  # of precisions that nobody reads here


if __name__ == "__main__":
    main()
