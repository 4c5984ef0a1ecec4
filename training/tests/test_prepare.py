"""What becomes of raw sets: cleaned, capped, without the texts of evaluation sets, the same bytes for the same seed."""

import gzip
import random
import subprocess
import sys
from pathlib import Path

import prepare
import pytest

PROGRAM = Path(prepare.__file__)


def write_table(file: Path, *rows: tuple[str, ...]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(file, "wt", encoding="utf-8", newline="") as out:
        out.writelines("\t".join(row) + "\n" for row in rows)


def columns_of_every_set() -> dict[str, tuple[str, ...]]:
    """What prepare.py reads of each raw set; all but one are left empty."""
    pairs = ("anchor", "positive")
    return {
        "arxiv_title_abstract/pairs": ("title", "abstract"),
        "enwiki_part/paragraphs": ("page_id", "title", "section", "paragraph"),
        "medquad/pairs": ("question", "answer"),
        "msdocs/pairs": (*pairs, "kind"),
        "nli_small/pairs": ("premise", "hypothesis", "label"),
        "pubmedqa/pairs": pairs,
        "squad_question_sentence/pairs": ("question", "sentence"),
        "stackexchange_small/pairs": pairs,
        "tldr_pages/pairs": pairs,
        "wordnet/synsets": ("synset", "lemmas", "gloss", "examples", "hypernyms"),
    }


TLDR = [(f"command number {i}", f"what the command number {i} does to files") for i in range(50)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, header in columns_of_every_set().items():
        write_table(tmp_path / "train" / f"{name}.tsv.gz", header, *(TLDR if name == "tldr_pages/pairs" else []))
    return tmp_path


def prepared(data: Path, *arguments: str, hash_seed: str = "0") -> dict[str, str]:
    """Everything that a run writes, by path."""
    out = data / "out"
    command = [sys.executable, str(PROGRAM), "--data", str(data / "train"), "--out", str(out), *arguments]
    subprocess.run(command, check=True, capture_output=True, env={"PYTHONHASHSEED": hash_seed})
    return {str(file.relative_to(out)): file.read_text(encoding="utf-8") for file in sorted(out.rglob("*")) if file.is_file()}


def test_the_same_seed_gives_the_same_bytes_whatever_python_hashes_strings_to(data):
    options = ("--texts", "40", "--taught", "5", "--seed", "3")
    first = prepared(data, *options, hash_seed="1")
    assert prepared(data, *options, hash_seed="2") == first
    assert len(prepared(data, "--texts", "40")["texts.txt"].splitlines()) == 40


def test_the_teacher_reads_the_sides_of_taught_pairs_up_to_their_80th_word_and_at_most_so_many_other_texts(data):
    passage = " ".join(f"Sentence number {i} of a long passage about files." for i in range(20))
    write_table(data / "train" / "pubmedqa" / "pairs.tsv.gz", ("anchor", "positive"), ("what is in it", passage))
    files = prepared(data, "--taught", "5", "--texts", "30")
    taught = {name: lines.splitlines() for name, lines in files.items() if name.startswith("pairs-taught/")}
    assert taught["pairs-taught/pubmedqa.tsv"] == [f"what is in it\t{' '.join(passage.split()[:80])}"]
    assert taught["pairs-taught/tldr_pages.tsv"] == files["pairs/tldr_pages.tsv"].splitlines()[:5]
    sides = {side for lines in taught.values() for line in lines for side in line.split("\t")}
    texts = files["texts.txt"].splitlines()
    assert len(texts) == len(set(texts))
    assert sides <= set(texts)
    assert 15 < len(set(texts) - sides) <= 30
    assert set(prepared(data, "--taught", "5")["texts.txt"].splitlines()) == sides


def test_documentation_is_one_more_source_of_which_ten_times_as_much_is_taught(data):
    lines = [line for i in range(60) for line in (f"Adding user {i}", " ".join([f"word{i}"] * 30), "")]
    docs = data / "docs"
    docs.mkdir()
    (docs / "docs-handbook.txt").write_text("\n".join(lines), encoding="utf-8")
    files = prepared(data, "--taught", "5", "--docs", str(docs))
    pairs = files["pairs/docs_heading.tsv"].splitlines()
    assert len(pairs) == 60
    assert f"Adding user 7\t{' '.join(['word7'] * 30)}" in pairs
    assert files["pairs-taught/docs_heading.tsv"].splitlines() == pairs[:50]
    assert files["pairs/tldr_pages.tsv"] == prepared(data)["pairs/tldr_pages.tsv"]


def test_ranked_pairs_are_the_first_of_each_file_fewer_of_loosely_related_ones_and_documentation_by_its_packages(data):
    docs = data / "docs"
    docs.mkdir()
    (docs / "docs-handbook.txt").write_text("Adding users\n" + "word " * 30 + "\n\nGroups\n" + "group " * 30, encoding="utf-8")
    for name, header in {
        "acl_title_abstract/pairs": ("title", "abstract", "venue"),
        "debian_descriptions/pairs": ("short", "long"),
        "dictionary/foldoc": ("headword", "definition"),
    }.items():
        rows = [("a new title", "what it is about", "W16-1"), ("an old title", "what it was about", "W15-1")] if "venue" in header else []
        write_table(data / "train" / f"{name}.tsv.gz", header, *rows)
    passage = " ".join(f"Sentence number {i} of a long passage about files." for i in range(20))
    write_table(data / "train" / "pubmedqa" / "pairs.tsv.gz", ("anchor", "positive"), *((f"what is in {i}", f"{i} {passage}") for i in range(9)))
    files = prepared(data, "--ranked", "6", "--docs", str(docs))
    ranked = {name.removeprefix("pairs-ranked/"): lines.splitlines() for name, lines in files.items() if name.startswith("pairs-ranked/")}
    assert sorted(ranked) == ["acl_title_abstract.tsv", "docs-small.tsv", "pubmedqa.tsv", "pubmedqa_cloze.tsv", "tldr_pages.tsv"]
    assert ranked["acl_title_abstract.tsv"] == ["a new title\twhat it is about"]
    assert len(ranked["docs-small.tsv"]) == 2
    assert ranked["tldr_pages.tsv"] == files["pairs/tldr_pages.tsv"].splitlines()[:6]
    assert (len(ranked["pubmedqa.tsv"]), len(ranked["pubmedqa_cloze.tsv"])) == (6, 1)
    texts = files["ranked-texts.txt"].splitlines()
    assert len(texts) == len(set(texts))
    assert set(texts) == {side for lines in ranked.values() for line in lines for side in line.split("\t")}


def test_pairs_that_an_earlier_run_left_are_gone(data):
    first = prepared(data)
    for folder in ("pairs", "pairs-taught"):
        (data / "out" / folder).mkdir(exist_ok=True)
        (data / "out" / folder / "quora_strict.tsv").write_text("of a run\twith --all\n", encoding="utf-8")
    assert prepared(data) == first


def test_another_seed_shuffles_the_same_pairs_otherwise(data):
    first, second = (prepared(data, "--seed", seed)["pairs/tldr_pages.tsv"].splitlines() for seed in "12")
    assert first != second
    assert sorted(first) == sorted(second) == sorted("\t".join(pair) for pair in TLDR)


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [((), 50), (("--cap", "7"), 7), (("--rows", "9"), 9), (("--rows", "9", "--cap", "7"), 7)],
)
def test_at_most_the_cap_is_kept_and_at_most_the_rows_are_read(data, arguments, kept):
    lines = prepared(data, *arguments)["pairs/tldr_pages.tsv"].splitlines()
    assert len(lines) == kept
    if "--rows" in arguments:
        assert set(lines) <= {"\t".join(pair) for pair in TLDR[:9]}


def test_pairs_and_teacher_texts_with_an_evaluation_text_are_left_out(data):
    anchor, positive = TLDR[4]
    write_table(data / "eval" / "sts" / "test.tsv.gz", ("score", "s1", "s2"), ("1", positive.upper() + "!", "a b"))
    files = prepared(data, "--texts", "1000", "--exclude", str(data / "eval"))
    lines = files["pairs/tldr_pages.tsv"].splitlines()
    assert len(lines) == 49
    assert f"{anchor}\t{positive}" not in lines
    assert positive not in files["texts.txt"].splitlines()


def test_evaluation_texts_are_those_long_enough_to_be_somebodys(tmp_path):
    write_table(tmp_path / "sts" / "test.tsv.gz", ("s1", "s2"), ("A man, playing: guitar.", "three short words"))
    with gzip.open(tmp_path / "sts" / "corpus.jsonl.gz", "wt") as out:
        out.write('{"_id": "1", "title": "The title of it", "text": "The text of the document"}\n')
    assert prepare.evaluation_texts(tmp_path) == {"a man playing guitar", "the title of it", "the text of the document"}
    assert prepare.evaluation_texts(None) == set()


@pytest.mark.parametrize(
    ("pairs", "kept", "excluded"),
    [
        ([("a  b\n c", "d\te")], [("a b c", "d e")], 0),
        ([("", "something")], [], 0),
        ([("?!", "something")], [], 0),
        ([("The same text", "the same, text!")], [], 0),
        ([("one", "two"), ("One", "two."), ("two", "one")], [("one", "two")], 0),
        ([("a secret sentence of it", "other")], [], 1),
        ([("other", "A secret sentence, of it")], [], 1),
        ([("lemma: a secret sentence of it", "other")], [], 1),
        ([("x " * 300, "y")], [("x " * 255 + "x", "y")], 0),
    ],
    ids=["white space", "no anchor", "no word", "itself", "repeated", "anchor", "positive", "gloss", "long"],
)
def test_finish_pairs(pairs, kept, excluded):
    result = prepare.finish_pairs(iter(pairs), {"a secret sentence of it"})
    assert (result.kept, result.excluded) == (kept, excluded)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is a first one. It is a second one.", ["It is a first one.", "It is a second one."]),
        ("Too short. This is long enough here.", ["This is long enough here."]),
        ("He met Dr. Smith in the town. They talked about it.", ["He met Dr. Smith in the town.", "They talked about it."]),
        ("A version 1.2 of it came out. and no capital", ["A version 1.2 of it came out. and no capital"]),
    ],
)
def test_sentences(text, expected):
    assert prepare.sentences(text) == expected


@pytest.mark.parametrize(
    ("tokenised", "text"),
    [
        ("the -lrb- old -rrb- house , it 's here .", "the (old) house, it's here."),
        ("do n't ``say'' that !", 'don\'t "say" that!'),
    ],
)
def test_detokenise(tokenised, text):
    assert prepare.detokenise(tokenised) == text


def test_a_short_text_is_taken_whole_and_a_passage_in_sentences_and_slices():
    passage = " ".join(f"This is the sentence number {i} of the passage." for i in range(20))
    words = passage.split()
    assert prepare.texts_of("a short text", random.Random(1)) == ["a short text"]
    for seed in range(20):
        texts = prepare.texts_of(passage, random.Random(seed))
        assert 1 <= len(texts) <= prepare.MAX_SENTENCES + 1
        assert all(text in passage and len(text.split()) <= prepare.MAX_TEXT_WORDS for text in texts)
    assert len(words) > prepare.MAX_TEXT_WORDS


def test_a_missing_column_is_named(tmp_path):
    write_table(tmp_path / "set" / "pairs.tsv.gz", ("anchor", "other"))
    with pytest.raises(SystemExit, match="'positive' is not in list; the columns are"):
        list(prepare.columns(tmp_path, "set/pairs", "anchor", "positive"))
