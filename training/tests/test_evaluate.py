"""evaluate.py's scores of sets so small that they can be worked out by hand."""

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy
import pytest

pytest.importorskip("mteb", reason="needs training/requirements-evaluate.txt")
import evaluate  # noqa: E402

ANGLES = {"east": 0, "east by north": 10, "north-east": 40, "north": 90, "west": 180}


def embed(texts: list[str]) -> numpy.ndarray:
    """A text is a direction, after its title if it has one."""
    angles = numpy.radians([ANGLES[text.split(": ")[-1].strip()] for text in texts])
    return numpy.stack([numpy.cos(angles), numpy.sin(angles)], axis=1).astype(numpy.float32)


def write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(file, "wt", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in lines)


@pytest.fixture
def data(tmp_path: Path) -> evaluate.Data:
    evaluation = tmp_path / "eval"
    write(evaluation / "stsb" / "test.tsv.gz", ["score\ts1\ts2", "5\teast\teast by north", "3\teast\tnorth", "4\teast\tnorth-east", "0\teast\twest"])
    write(evaluation / "qqp" / "test.tsv.gz", ["label\tq1\tq2", "1\teast\teast by north", "0\teast\tnorth-east", "1\teast\tnorth", "0\teast\twest"])
    write(evaluation / "cisi" / "corpus.jsonl.gz", [json.dumps({"_id": name, "title": "", "text": name}) for name in ANGLES])
    write(evaluation / "cisi" / "queries.jsonl.gz", [json.dumps({"_id": "q1", "text": "east"}), json.dumps({"_id": "unjudged", "text": "west"})])
    write(evaluation / "cisi" / "qrels.tsv.gz", ["query-id\tcorpus-id\tscore", "q1\teast by north\t1", "q1\tnorth\t1"])
    labelled = ["text\tlabel", *(f"{text}\t{label}" for text, label in [("east", "a"), ("west", "b")] * 8)]
    write(evaluation / "faq_dev" / "corpus.jsonl.gz", [json.dumps({"_id": name, "title": "", "text": name}) for name in ANGLES])
    write(evaluation / "faq_dev" / "queries.jsonl.gz", [json.dumps({"_id": "q1", "text": "east"}), json.dumps({"_id": "q2", "text": "west"})])
    write(evaluation / "faq_dev" / "qrels.tsv.gz", ["query-id\tcorpus-id\tscore", "q1\teast by north\t1", "q2\tnorth\t1"])
    write(evaluation / "banking77" / "train.tsv.gz", labelled)
    write(evaluation / "banking77" / "test.tsv.gz", ["text\tlabel", "east by north\ta", "north-east\ta", "west\tb", "west\ta"])
    write(evaluation / "amazon_counterfactual" / "train.tsv.gz", labelled)
    write(evaluation / "amazon_counterfactual" / "test.tsv.gz", ["text\tlabel", "east by north\ta", "west\ta"])
    return evaluate.Data(tmp_path)


# nDCG@10: "east" itself comes first, "east by north" second, "north" fourth, where first and second would be best.
NDCG = (1 / numpy.log2(3) + 1 / numpy.log2(5)) / (1 + 1 / numpy.log2(3))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stsb", 100),
        ("qqp", 100 * (1 + 2 / 3) / 2),
        ("cisi", 100 * NDCG),
        ("banking77", 75),
        ("amazon_counterfactual", 50),
    ],
)
def test_scores(data, name, expected):
    chosen = [one for one in evaluate.TEST_SETS if one.name == name]
    assert evaluate.measure(chosen, data, embed) == {name: pytest.approx(expected, abs=0.01)}


def test_a_wrong_order_costs(data):
    swapped = {"north-east": "north", "north": "north-east"}
    chosen = [one for one in evaluate.TEST_SETS if one.name == "stsb"]
    score = evaluate.measure(chosen, data, lambda texts: embed([swapped.get(text, text) for text in texts]))
    assert score == {"stsb": pytest.approx(80, abs=0.01)}


def test_a_set_is_named_by_its_folder_too_and_gives_all_that_is_measured_of_it(data):
    """The right texts are the second of their questions: 1 / log2(3), and 1 / 2."""
    chosen = evaluate.sets_named(["faq_dev"], evaluate.DEV_SETS)
    assert evaluate.measure(chosen, data, embed) == {
        "faq_dev": pytest.approx(100 / numpy.log2(3), abs=0.01),
        "faq_dev MRR": pytest.approx(50, abs=0.01),
    }


def test_a_set_that_is_not_known_is_named():
    with pytest.raises(SystemExit, match="^--sets: there is no faq; these are known: stsb dev, cranfield, "):
        evaluate.sets_named(["faq", "med"], evaluate.DEV_SETS)


def test_a_set_that_is_not_there_is_said_to_be_had_where_it_is(data):
    chosen = evaluate.sets_named(["med"], evaluate.DEV_SETS)
    with pytest.raises(SystemExit, match="(?s)corpus.jsonl.gz: there is no such file.*had from: github.com/ronancummins/gen_polya"):
        evaluate.measure(chosen, data, embed)


def test_each_set_has_a_source():
    made_here = evaluate.docstring_retrieval
    sets = [*evaluate.TEST_SETS, *evaluate.DEV_SETS]
    folders = {one.folder or one.name for one in sets if one.score is not made_here}
    assert folders == set(evaluate.SOURCES)


def test_the_readme_says_where_the_sets_can_be_had():
    readme = Path(evaluate.__file__).with_name("README.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in readme.splitlines() if line.startswith("| ")]
    names = {row[0].strip() for row in rows}
    assert names >= set(evaluate.SOURCES)


@pytest.fixture
def endpoint() -> Iterator[HTTPServer]:
    """Has a static model and a transformer, and answers with the number of characters and with the dimensions asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            models = [{"id": "table", "max_tokens_per_request": 300_000}, {"id": "encoder", "max_tokens_per_request": 50}]
            self.answer({"data": models}, {})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.server.bodies.append(body)
            rows = [numpy.array([len(text), body.get("dimensions", 0)], "<f4") for text in body["input"]]
            data = [{"embedding": base64.b64encode(row.tobytes()).decode()} for row in rows]
            model = "encoder" if body["model"].lower().endswith("encoder") else "table"
            self.answer({"data": data}, {"x-model": model, "x-model-version": f"version-of-{model}"})

        def answer(self, body: dict, headers: dict[str, str]) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.bodies = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_model_is_asked_for_by_its_name_in_requests_that_it_takes(endpoint):
    asked = evaluate.Endpoint(f"http://127.0.0.1:{endpoint.server_port}", "maker/Encoder", None)
    texts = ["a" * 60, "b" * 40, "c"]
    assert asked(texts)[:, 0].tolist() == [60, 40, 1]
    assert [(body["model"], len(body["input"])) for body in endpoint.bodies] == [("maker/Encoder", 2), ("maker/Encoder", 1)]
    assert "dimensions" not in endpoint.bodies[0]
    assert asked.name == "maker/Encoder, version-of-encoder"


def test_a_model_that_the_endpoint_does_not_have_is_not_measured_as_another(endpoint):
    asked = evaluate.Endpoint(f"http://127.0.0.1:{endpoint.server_port}/v1", "unheard-of", 256)
    with pytest.raises(SystemExit, match="^--model: .* has no model unheard-of; table answered in its place$"):
        asked(["text"])


def test_texts_that_come_again_are_embedded_once():
    seen: list[str] = []

    def counted(texts: list[str]) -> numpy.ndarray:
        seen.extend(texts)
        return embed(texts)

    encoder = evaluate.Encoder(counted)
    vectors = encoder.encode([{"text": ["east", "west"]}, {"text": ["east"]}])
    assert seen == ["east", "west"]
    numpy.testing.assert_array_equal(vectors, embed(["east", "west", "east"]))
    encoder.encode([{"text": ["north", "west"]}])
    assert seen == ["east", "west", "north"]


def test_the_table_has_a_row_for_each_set_and_each_mean_that_is_whole(data, tmp_path):
    (tmp_path / "SANITY_BASELINES.tsv").write_text("set\tmetric\tvalue\trows\ncisi\tBM25\t40.0\t112\n")
    chosen = [one for one in evaluate.TEST_SETS if one.name in ("cranfield", "cisi", "cacm")]
    lines = evaluate.markdown_table("ours", chosen, {"cranfield": 30.0, "cisi": 40.0, "cacm": 50.0}, data).splitlines()
    assert lines[0].startswith("| set | metric | this model (ours) | BM25 / TF-IDF |")
    assert [line.split(" | ")[:3] for line in lines[2:]] == [
        ["| cranfield", "nDCG@10", "30.0"],
        ["| cisi", "nDCG@10", "40.0"],
        ["| cacm", "nDCG@10", "50.0"],
        ["| mean of cranfield, cisi, cacm", "nDCG@10", "40.0"],
    ]
