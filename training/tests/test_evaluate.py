"""evaluate.py's scores of sets so small that they can be worked out by hand."""

import gzip
import json
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


def test_texts_that_come_again_are_embedded_once():
    seen: list[str] = []

    def counted(texts: list[str]) -> numpy.ndarray:
        seen.extend(texts)
        return embed(texts)

    vectors = evaluate.Encoder(counted).encode([{"text": ["east", "west"]}, {"text": ["east"]}])
    assert seen == ["east", "west"]
    numpy.testing.assert_array_equal(vectors, embed(["east", "west", "east"]))


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
