"""What the distilled encoder is made of: texts of documents, what a text is by its form, packed rows, targets and losses."""

import bz2
import gzip
import json
import random
import sys
from pathlib import Path

import numpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "encoder"))
import pack
import texts

torch = pytest.importorskip("torch", reason="the encoder's trainer needs torch")
import train  # noqa: E402


# Texts


def test_a_page_becomes_its_headings_and_paragraphs_without_code_and_navigation():
    page = """<html><head><title>x</title></head><body><nav>Next</nav><h1>1.2. Locks &amp; keys</h1>
      <p>A lock is <em>held</em> by one.</p><pre>lock()</pre>
      <ul><li>Keys open it.</li></ul><h2>Use</h2><p>Turn.</p></body></html>"""
    document = texts.from_html(page)
    assert document.title == "Locks & keys"
    assert document.sections == [("Locks & keys", ["A lock is held by one.", "Keys open it."]), ("Use", ["Turn."])]


def test_a_manual_page_loses_its_macros_and_its_examples():
    page = '.TH CP 1\n.SH NAME\ncp \\- copy files\n.SH "SEE ALSO"\n.PP\nThe \\fBmv\\fR page.\n.nf\ncode here\n.fi\n.BR mv (1)\n'
    assert texts.from_manual(page).sections == [("cp Name", ["cp - copy files"]), ("cp See also", ["The mv page. mv(1)"])]


def test_pod_keeps_questions_as_headings():
    document = texts.from_pod("=head2 What is L<Perl|perl>?\n\nA B<language>.\n\n  code\n\n=cut\n")
    assert document.sections == [("What is perl?", ["A language."])]


def test_passages_hold_whole_paragraphs_up_to_their_size_and_cut_longer_ones():
    assert list(texts.passages(["a b", "c d", "e f g h i j k"], 4)) == ["a b c d", "e f g h", "i j k"]


def test_english_prose_is_told_from_lists_and_code():
    assert texts.is_prose("This is the way in which a file is read.")
    assert not texts.is_prose("int main void return zero argc argv stdio")
    assert not texts.is_prose("Der Hund schläft heute auf dem Sofa")


@pytest.mark.parametrize(
    "text", ["The wing is very long.", "Lift: the wing is very long", "So. A body moves through the air at a speed of two. Yes."]
)
def test_texts_of_the_evaluation_sets_are_left_out(text, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    document = {
        "_id": "1",
        "title": "On wings",
        "text": "First words here now. A body moves through the air at a speed of two. Last.",
    }
    with gzip.open(folder / "corpus.jsonl.gz", "wt") as out:
        out.write(json.dumps(document) + "\n")
    with gzip.open(folder / "queries.jsonl.gz", "wt") as out:
        out.write(json.dumps({"_id": "1", "text": "the wing is very long"}) + "\n")
    texts.excluded.clear()
    texts.excluded.update(texts.evaluation_texts(tmp_path))
    assert texts.is_excluded(text)
    assert not texts.is_excluded("The tail is very long.")


def test_papers_of_before_2016_are_not_read(tmp_path):
    folder = tmp_path / "acl_title_abstract"
    folder.mkdir()
    with gzip.open(folder / "pairs.tsv.gz", "wt") as out:
        out.write("title\tabstract\tvenue\nold\tx\tP99-1001\nolder\tx\tW15-1\nnew\tx\tW16-1\nnewest\tx\t2021.acl-long.1\n")
    assert [document.sections[0][0] for document in texts.acl(tmp_path)] == ["new", "newest"]


def test_headings_that_begin_with_a_verb_are_asked_for_with_how():
    asked = {question for seed in range(40) for question in texts.question_of("Create a table", random.Random(seed))}
    assert asked and all("create a table" in question for question in asked)


# Packing


@pytest.mark.parametrize(
    "text, kind",
    [
        ("Where is it?", pack.QUESTION),
        ("how to copy a file", pack.QUESTION),
        ("I am interested in articles about robots.", pack.QUESTION),
        ("Creating a table", pack.TITLE),
        ("The table is created.", pack.PASSAGE),
        ("whatever comes next is a sentence of its own kind that goes on and on for long enough", pack.PASSAGE),
    ],
)
def test_a_text_is_a_question_a_title_or_a_passage_by_its_form(text, kind):
    assert pack.kind_of(text) == kind


def test_weights_come_back_as_the_nearest_bf16(tmp_path):
    from safetensors.numpy import save_file

    folder = tmp_path / "model"
    folder.mkdir()
    weights = numpy.random.default_rng(0).normal(size=(7, 5)).astype(numpy.float32)
    save_file({"bert.encoder.x": weights, "pooler.x": weights}, folder / "model.safetensors")
    options = type("Options", (), {"model": folder, "out": tmp_path})
    pack.pack_weights(options)
    read = pack.read_weights(tmp_path / "model.npz")
    assert list(read) == ["encoder.x"]
    assert numpy.array_equal(read["encoder.x"], torch.from_numpy(weights).bfloat16().float().numpy())


def test_a_chunk_keeps_groups_and_drops_repeated_texts(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 5, "b": 6, "?": 7}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    file = tmp_path / "texts-000.bz2"
    file.write_bytes(bz2.compress(b"a b\nb\n\na b\na a a"))
    arrays = pack.tokenise(file, tokenizer)
    assert arrays["ids"].tolist() == [5, 6, 6, 5, 5, 5]
    assert arrays["lengths"].tolist() == [2, 1, 3]
    assert arrays["group_sizes"].tolist() == [2, 1]


# Rows


def some_texts(lengths: list[int]) -> train.Texts:
    ids = numpy.arange(1000, 1000 + sum(lengths))
    return train.Texts({"ids": ids, "lengths": numpy.array(lengths), "kinds": numpy.zeros(len(lengths), numpy.uint8)}, "cpu")


def test_a_row_holds_its_texts_with_special_tokens_and_pads_with_texts_of_its_own():
    row = train.row_of(some_texts([2, 3, 1]), torch.tensor([2, 0]), tokens=10, slots=4)
    assert row.ids.tolist() == [101, 1005, 102, 101, 1000, 1001, 102, 0, 0, 0]
    assert row.positions.tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1, 2]
    assert row.bounds.tolist() == [0, 3, 7, 7, 7, 10]
    assert row.count == 2


def test_a_prompt_stands_before_each_text_and_long_texts_are_cut():
    row = train.row_of(some_texts([4]), torch.tensor([0]), tokens=6, slots=1, prompt=torch.tensor([9, 8]), max_tokens=6)
    assert row.ids.tolist() == [101, 9, 8, 1000, 1001, 102]


def test_batches_are_runs_that_fit_and_cover_everything():
    lengths = numpy.random.default_rng(1).integers(1, 30, 500)
    found = train.batches(lengths, 100, 8)
    assert numpy.concatenate(found).tolist() == list(range(500))
    assert all((lengths[places] + 2).sum() <= 100 and len(places) <= 8 for places in found)


def test_groups_are_shuffled_whole():
    order = train.shuffled_groups(numpy.array([2, 3, 1]), numpy.random.default_rng(3))
    assert sorted(order.tolist()) == list(range(6))
    together = "".join(map(str, order))
    assert "01" in together and "234" in together


def test_the_mean_of_a_text_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    weights = random_bert()
    bert = train.Bert(weights, train.layer)
    several = bert.mean(train.row_of(some_texts([5, 9, 3]), torch.tensor([0, 1, 2]), tokens=40, slots=5))
    for number, length in enumerate([5, 9, 3]):
        alone = bert.mean(train.row_of(some_texts([5, 9, 3]), torch.tensor([number]), tokens=length + 2, slots=1))
        assert torch.nn.functional.cosine_similarity(several[number], alone[0], dim=0) > 0.999


def random_bert() -> dict[str, torch.Tensor]:
    def matrix(*shape):
        return torch.randn(*shape) * 0.1

    weights = {
        f"embeddings.{name}_embeddings.weight": matrix(size, 384)
        for name, size in (("word", 1100), ("position", 64), ("token_type", 2))
    }
    weights |= {"embeddings.LayerNorm.weight": torch.ones(384), "embeddings.LayerNorm.bias": torch.zeros(384)}
    shapes = {"intermediate.dense": (1536, 384), "output.dense": (384, 1536)}
    for name in train.LAYER_NAMES:
        place, kind = name.rsplit(".", 1)
        rows, columns = shapes.get(place, (384, 384))
        if place.endswith("LayerNorm"):
            tensor = torch.ones(384) if kind == "weight" else torch.zeros(384)
        else:
            tensor = matrix(rows, columns) if kind == "weight" else matrix(rows)
        weights[f"encoder.layer.0.{name}"] = tensor
    return weights


# Targets and losses


def test_all_principal_axes_keep_dot_products_and_the_first_ones_most_of_them():
    vectors = torch.randn(200, 6) * torch.tensor([5.0, 3.0, 1.0, 0.5, 0.1, 0.1]) + 1
    axes, kept = train.principal_axes(vectors)
    turned = vectors @ axes
    assert torch.allclose(turned @ turned.T, vectors @ vectors.T, atol=1e-3)
    energy = turned.square().sum(0)
    assert (energy.diff() <= 1e-3).all()
    assert torch.allclose(energy.cumsum(0) / energy.sum(), kept, atol=1e-4)


def test_a_question_is_taught_the_prompted_vector_and_a_title_the_mean_of_both():
    plain, prompted = torch.tensor([[1.0, 0.0]] * 3), torch.tensor([[0.0, 1.0]] * 3)
    kinds = torch.tensor([pack.PASSAGE, pack.QUESTION, pack.TITLE])
    assert torch.allclose(train.mixed(plain, prompted, kinds, 1.0, 0.5), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5**0.5] * 2]))


def test_losses_are_nothing_for_the_target_itself_and_grow_with_the_distance():
    target = torch.nn.functional.normalize(torch.randn(20, 8), dim=1)
    noise = torch.randn(20, 8)

    def all_losses(amount):
        ours = torch.nn.functional.normalize(target + amount * noise, dim=1)
        return {name: float(value) for name, value in train.losses(ours, target, target @ target.T, 0.05, True).items()}

    none, some, more = all_losses(0.0), all_losses(0.05), all_losses(0.3)
    assert set(none) == {"cosine", "similarity", "ranking"}
    for name in none:
        assert none[name] == pytest.approx(0, abs=1e-5)
        assert none[name] < some[name] < more[name]


def test_the_learning_rate_warms_up_and_ends_at_nothing():
    assert train.rate_at(0.0, 0.1) == 0
    assert train.rate_at(0.1, 0.1) == pytest.approx(0.9)
    assert train.rate_at(1.0, 0.1) == 0
    assert train.rate_at(0.0, 0.0) == 1


# Scores


def test_rank_correlation_has_the_mean_rank_for_ties():
    first, second = torch.tensor([1.0, 2.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 2.0, 4.0])
    assert train.spearman(first, second) == pytest.approx(0.9486833)
    assert train.spearman(first, -first) == pytest.approx(-1)


def test_the_gain_of_a_query_is_that_of_its_ten_nearest_documents():
    gains = torch.zeros(1, 12)
    gains[0, 3] = 1
    similarities = torch.arange(12.0)[None]
    similarities[0, 3] = 10.5
    assert train.ndcg(similarities, gains) == pytest.approx(1 / numpy.log2(3))
    similarities[0, 3] = -1
    assert train.ndcg(similarities, gains) == 0
