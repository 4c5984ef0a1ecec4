"""The teacher's shards, with a model that is none: what is written, what a second run computes, what is refused."""

import shutil
import sys
from pathlib import Path

import numpy
import pytest
import teacher
from safetensors.numpy import load_file, save_file

TEXTS = [f"text number {i}" for i in range(10)]
WORDS = ["the", "of", "teacher"]


class FakeTeacher:
    """A text's vector is made of its letters, so that each one can be told."""

    encoded: list[str] = []

    def __init__(self, *_) -> None:
        pass

    def encode(self, texts: list[str]) -> tuple[numpy.ndarray, int]:
        self.encoded.extend(texts)
        return numpy.stack([vector_of(text) for text in texts]), len(texts)


def vector_of(text: str) -> numpy.ndarray:
    vector = numpy.random.default_rng(list(text.encode())).normal(size=teacher.DIMENSIONS)
    return (vector / numpy.linalg.norm(vector)).astype(numpy.float32)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs teacher.py's main on these texts; gives what was encoded."""
    monkeypatch.setattr(teacher, "Teacher", FakeTeacher)

    def run(texts: list[str] = TEXTS, *arguments: str) -> list[str]:
        (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        (tmp_path / "words.txt").write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
        files = ["--texts", str(tmp_path / "texts.txt"), "--words", str(tmp_path / "words.txt")]
        command = ["teacher.py", *files, "--out", str(tmp_path / "out"), "--shard", "4", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setattr(FakeTeacher, "encoded", [])
        teacher.main()
        return FakeTeacher.encoded

    return run


def test_shards_hold_the_texts_in_order_with_a_vector_for_each(run, tmp_path):
    assert run() == [*WORDS, *TEXTS]
    out = tmp_path / "out"
    names = ["pca.safetensors", *(f"{shard}.{kind}" for shard in ["texts-000", "texts-001", "texts-002", "words-000"]
             for kind in ["safetensors", "txt"])]
    assert sorted(file.name for file in out.iterdir()) == sorted(names)
    for shard, texts in {"words-000": WORDS, "texts-000": TEXTS[:4], "texts-002": TEXTS[8:]}.items():
        assert (out / f"{shard}.txt").read_text().splitlines() == texts
        vectors = load_file(out / f"{shard}.safetensors")["vectors"]
        assert (vectors.dtype, vectors.shape) == (numpy.float16, (len(texts), teacher.DIMENSIONS))
        numpy.testing.assert_allclose(vectors, [vector_of(text) for text in texts], atol=1e-3)


def test_pca_rotates_to_axes_of_falling_variance(run, tmp_path):
    run()
    pca = load_file(tmp_path / "out" / "pca.safetensors")
    rotation, variance = pca["rotation"], pca["variance"]
    numpy.testing.assert_allclose(rotation.T @ rotation, numpy.eye(teacher.DIMENSIONS), atol=1e-5)
    assert (numpy.diff(variance) <= 1e-6).all()
    rotated = (numpy.stack([vector_of(text) for text in TEXTS]) - pca["mean"]) @ rotation
    numpy.testing.assert_allclose(rotated.var(axis=0, ddof=1), variance, atol=1e-4)


@pytest.mark.parametrize(
    ("lost", "encoded"),
    [
        ([], []),
        (["pca.safetensors"], []),
        (["texts-001.safetensors"], TEXTS[4:8]),
        (["words-000.safetensors", "texts-002.safetensors"], [*WORDS, *TEXTS[8:]]),
        (["texts-001.safetensors", "texts-001.txt"], TEXTS[4:8]),
    ],
    ids=["nothing", "the principal axes", "one shard", "two shards", "its texts too"],
)
def test_a_second_run_computes_what_is_missing_and_no_more(run, tmp_path, lost, encoded):
    run()
    vectors = (tmp_path / "out" / "texts-000.safetensors").read_bytes()
    for name in lost:
        (tmp_path / "out" / name).unlink()
    assert run() == encoded
    assert (tmp_path / "out" / "texts-000.safetensors").read_bytes() == vectors
    assert (tmp_path / "out" / "pca.safetensors").exists()


def test_more_texts_go_on_after_the_first(run):
    run(TEXTS[:8])
    assert run(TEXTS) == TEXTS[8:]


def test_shards_of_other_texts_are_refused(run):
    run()
    with pytest.raises(SystemExit, match="texts-001.txt holds other texts"):
        run([*TEXTS[:5], "another text", *TEXTS[6:]])


def test_a_limit_takes_the_first_texts_and_blank_lines_are_none(run):
    assert run([TEXTS[0], " ", *TEXTS[1:]], "--limit", "3") == [*WORDS, *TEXTS[:3]]


def test_batches_hold_texts_of_one_length_and_every_row_once():
    ids = [[0] * length for length in [3, 5, 3, 1, 3, 200, 5]]
    batches = list(teacher.batches_of_one_length(ids, batch_tokens=6))
    assert batches == [[3], [0, 2], [4], [1], [6], [5]]


def test_the_model_gives_vectors_of_length_1_by_which_like_texts_are_near():
    model = teacher.Teacher(Path(teacher.get_model_path()), threads=1, max_tokens=64, precision="f32")
    texts = ["A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell sharply."]
    vectors, tokens = model.encode(texts)
    numpy.testing.assert_allclose(numpy.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert tokens == 9 + 7 + 8
    numpy.testing.assert_allclose(model.encode(texts[::-1])[0], vectors[::-1], atol=1e-5)


def test_a_model_may_have_a_linear_layer_behind_its_pooling(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(teacher.get_model_path(), folder)
    reversing = numpy.eye(teacher.DIMENSIONS, dtype=numpy.float32)[::-1].copy()
    (folder / "2_Dense").mkdir()
    layer = {"linear.weight": reversing, "linear.bias": numpy.zeros(teacher.DIMENSIONS, numpy.float32)}
    save_file(layer, folder / "2_Dense" / "model.safetensors")
    plain, turned = (teacher.Teacher(Path(path), 1, 64, "f32").encode(TEXTS[:3])[0] for path in (teacher.get_model_path(), folder))
    numpy.testing.assert_allclose(turned, plain[:, ::-1], atol=1e-5)


def test_a_folder_without_a_model_is_refused(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(TEXTS, "--model", str(tmp_path))
    assert f"--model: {tmp_path} has no model.safetensors" in capsys.readouterr().err
