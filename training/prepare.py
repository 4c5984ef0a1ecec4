"""Turns the raw training sets into what the trainer and the teachers read.

    python training/prepare.py --data DATA/train --out OUT [--all] [--docs TEXTS] [--exclude DATA/eval]

writes OUT/pairs/<source>.tsv (`anchor<TAB>positive`, no header, shuffled). With `--texts N` or
`--taught N` it writes OUT/texts.txt (texts for the teacher, shuffled so that any prefix is a fair
sample: at most `--texts` of all kinds, beside both sides of the taught pairs) and OUT/words.txt
(the most frequent words); with `--taught N` also OUT/pairs-taught/<source>.tsv, the first N pairs of
each file, cut to TAUGHT_WORDS a side, which the teacher reads as they are. With `--ranked N` it writes OUT/pairs-ranked/<source>.tsv, the first N pairs of each file and all of
documentation's, one file for each package, and OUT/ranked-texts.txt, the texts of these for a second teacher. Nothing but Python's standard library
is needed, and the same seed gives the same bytes.
"""

import argparse
import collections
import csv
import gzip
import itertools
import json
import random
import re
import sys
from pathlib import Path

import headings
from sections import pairs_of_packages

CAP_PAIRS = 100_000  # for each file: no source may drown the others
MAX_PASSAGE_WORDS = 256  # a longer passage is cut: its start is what titles and questions are about
MIN_SENTENCE_WORDS = 4
MAX_WHOLE_WORDS = 32  # a side of a pair up to this long is a teacher text as it is
MAX_TEXT_WORDS = 60  # of a teacher text; about 80 tokens, most are far shorter
MAX_SENTENCES = 3  # of one passage
SLICE_SHARE = 0.15  # of passages that give a longer slice as well
TAUGHT_WORDS = 80  # of a side of a taught pair: some 110 tokens, which is what the teacher takes its time for
RANKED_WORDS = 200  # of a side of a ranked pair but for documentation's
LOOSELY_RELATED_SHARE = 1 / 6  # of the ranked pairs of other files are as many of these as are ranked
LOOSELY_RELATED = {
    "arxiv_cloze", "enwiki_paragraphs", "enwiki_sentences", "medquad_cloze", "msdocs_description", "msdocs_title", "pubmedqa_cloze",
    "stackexchange_cloze", "wordnet_hypernym", "wordnet_synonyms",
}  # fmt: skip
TAUGHT_FACTORS = {"docs_heading": 10}  # the only pairs of questions and headings in documentation of many kinds
MAX_WORDS = 100_000  # words.txt
MIN_WORD_COUNT = 3

csv.field_size_limit(1 << 30)


def main() -> None:
    options = parse_options()
    excluded = evaluation_texts(options.exclude)
    sources = OPEN_SOURCES | OTHER_SOURCES if options.all else OPEN_SOURCES
    if options.docs:
        sources = sources | {"docs_heading": (lambda data, rng: headings.pairs(options.docs, rng), None)}
    pair_dir, taught_dir = options.out / "pairs", options.out / "pairs-taught"
    pair_dir.mkdir(parents=True, exist_ok=True)
    for left_over in [*pair_dir.glob("*.tsv"), *taught_dir.glob("*.tsv")]:
        left_over.unlink()  # of a run with --all, whose terms may be others
    if options.taught:
        taught_dir.mkdir(exist_ok=True)
    everything = {}
    taught = {}
    ranked = {}
    for name, (make_pairs, cap) in sources.items():
        pairs = read_pairs(make_pairs, name, options, excluded)
        rng_of(options.seed, name + " order").shuffle(pairs.kept)
        everything[name] = pairs.kept
        kept = pairs.kept[: min(cap or options.cap, options.cap)]
        path = pair_dir / f"{name}.tsv"
        write_pairs(path, kept)
        if options.taught:
            count = options.taught * TAUGHT_FACTORS.get(name, 1)
            taught[name] = [(clean(anchor, TAUGHT_WORDS), clean(positive, TAUGHT_WORDS)) for anchor, positive in kept[:count]]
            write_pairs(taught_dir / path.name, taught[name])
        if options.ranked and name != "docs_heading":
            ranked[name] = ranked_pairs(name, kept, options.ranked)
        note = f", {pairs.excluded} with an evaluation text left out" if pairs.excluded else ""
        print(f"{path}: {len(kept):,} of {len(pairs.kept):,} pairs{note}", file=sys.stderr)
    if options.texts or options.taught:
        for name, make_pairs in TEXT_ONLY_SOURCES.items():
            everything[name] = read_pairs(make_pairs, name, options, excluded).kept
        write_texts(options, everything, taught, excluded)
    if options.ranked:
        for name, make_pairs in RANKED_ONLY_SOURCES.items():
            pairs = read_pairs(make_pairs, name, options, excluded).kept
            rng_of(options.seed, name + " order").shuffle(pairs)
            ranked[name] = ranked_pairs(name, pairs, options.ranked)
        if options.docs:
            packages = pairs_of_packages(options.docs, random.Random(options.seed))
            ranked |= {f"docs-{package}": pairs for package, pairs in packages}
        write_ranked(options.out, ranked)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Turns the raw training sets into pair files and teacher texts.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the raw sets")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--all", action="store_true", help="add the sets whose terms restrict use")
    parser.add_argument("--docs", type=Path, help="folder of texts of documentation, as encoder/texts.py --docs writes them")
    parser.add_argument("--exclude", type=Path, help="folder of the evaluation sets; what has one of their texts is left out")
    parser.add_argument("--cap", type=int, default=CAP_PAIRS, help=f"pairs for each file, default {CAP_PAIRS}")
    parser.add_argument("--rows", type=int, help="read only the first N pairs of each set: a quick sample")
    parser.add_argument("--texts", type=int, default=0, help="also write at most this many texts for the teacher")
    parser.add_argument("--taught", type=int, default=0, help="both sides of the first N pairs of each file are such texts, too")
    parser.add_argument(
        "--ranked", type=int, default=0, help="also write at most this many pairs of each file, and documentation's, for a second teacher"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"--data: {options.data} is not a folder")
    if options.exclude and not options.exclude.is_dir():
        parser.error(f"--exclude: {options.exclude} is not a folder")
    if options.docs and not any(options.docs.glob("docs-*.txt")):
        parser.error(f"--docs: {options.docs} has no files docs-*.txt")
    return options


def ranked_pairs(name: str, pairs: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    count = round(most * LOOSELY_RELATED_SHARE) if name in LOOSELY_RELATED else most
    return [(clean(anchor, RANKED_WORDS), clean(positive, RANKED_WORDS)) for anchor, positive in pairs[:count]]


def write_ranked(out: Path, ranked: dict[str, list[tuple[str, str]]]) -> None:
    folder = out / "pairs-ranked"
    folder.mkdir(exist_ok=True)
    for left_over in folder.glob("*.tsv"):
        left_over.unlink()
    for name, pairs in ranked.items():
        if pairs:
            write_pairs(folder / f"{name}.tsv", pairs)
    texts = dict.fromkeys(side for pairs in ranked.values() for pair in pairs for side in pair)
    (out / "ranked-texts.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    print(f"{sum(map(len, ranked.values())):,} ranked pairs, {len(texts):,} texts of theirs", file=sys.stderr)


def write_pairs(path: Path, pairs: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8") as out:
        out.writelines(f"{anchor}\t{positive}\n" for anchor, positive in pairs)


def rng_of(seed: int, name: str) -> random.Random:
    """A generator for one purpose, so that adding a source does not change the others' pairs."""
    return random.Random(f"{seed} {name}")


# Pairs: one function for each raw set, each yields (anchor, positive)


def columns(data: Path, path: str, *names: str):
    file = data / f"{path}.tsv.gz"
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        rows = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(rows)
        try:
            places = [header.index(name) for name in names]
        except ValueError as error:
            raise SystemExit(f"{file}: {error}; the columns are {header}") from None
        for row in rows:
            yield tuple(row[place] for place in places)


def two_columns(path: str, anchor: str, positive: str):
    return lambda data, rng: columns(data, path, anchor, positive)


def cloze(path: str, passage: str):
    """A sentence and the rest of its passage."""

    def make(data, rng):
        for (text,) in columns(data, path, passage):
            parts = sentences(" ".join(text.split()[:MAX_PASSAGE_WORDS]))
            if len(parts) >= 3:
                at = rng.randrange(len(parts))
                yield parts[at], " ".join(parts[:at] + parts[at + 1 :])

    return make


def msdocs(kind: str):
    def make(data, rng):
        for anchor, positive, row_kind in columns(data, "msdocs/pairs", "anchor", "positive", "kind"):
            if row_kind == kind:
                yield anchor, positive

    return make


def squad(data, rng):
    for question, sentence in columns(data, "squad_question_sentence/pairs", "question", "sentence"):
        yield detokenise(question), detokenise(sentence)


def nli_entailment(data, rng):
    for premise, hypothesis, label in columns(data, "nli_small/pairs", "premise", "hypothesis", "label"):
        if label == "entailment":
            yield premise, hypothesis


def synsets(data):
    for synset, lemmas, gloss, examples, hypernyms in columns(
        data, "wordnet/synsets", "synset", "lemmas", "gloss", "examples", "hypernyms"
    ):
        yield synset, lemmas.split("; "), gloss, [e for e in examples.split(" || ") if e], re.findall(r"\d+[a-z]", hypernyms)


def wordnet_gloss(data, rng):
    for _, lemmas, gloss, _, _ in synsets(data):
        for lemma in lemmas:
            yield lemma, gloss


def wordnet_synonyms(data, rng):
    for _, lemmas, _, _, _ in synsets(data):
        for at, lemma in enumerate(lemmas):
            for other in lemmas[at + 1 :]:
                yield lemma, other


def wordnet_example(data, rng):
    for _, lemmas, gloss, examples, _ in synsets(data):
        for example in examples:
            yield f"{lemmas[0]}: {gloss}", example


def wordnet_hypernym(data, rng):
    texts = {synset: f"{', '.join(lemmas)}: {gloss}" for synset, lemmas, gloss, _, _ in synsets(data)}
    for synset, _, _, _, hypernyms in synsets(data):
        for hypernym in hypernyms:
            if hypernym in texts:
                yield texts[synset], texts[hypernym]


def enwiki_pages(data):
    page, title, paragraphs = None, None, []
    for page_id, row_title, section, paragraph in columns(
        data, "enwiki_part/paragraphs", "page_id", "title", "section", "paragraph"
    ):
        if page_id != page:
            if paragraphs:
                yield title, paragraphs
            page, title, paragraphs = page_id, row_title, []
        paragraphs.append((section, paragraph))
    if paragraphs:
        yield title, paragraphs


def enwiki_section(data, rng):
    for title, paragraphs in enwiki_pages(data):
        for section, paragraph in paragraphs:
            yield title if section == "-" else f"{title} {section}", paragraph


def enwiki_paragraphs(data, rng):
    for _, paragraphs in enwiki_pages(data):
        for (_, first), (_, second) in zip(paragraphs, paragraphs[1:]):
            yield first, second


def enwiki_sentences(data, rng):
    for _, paragraphs in enwiki_pages(data):
        for _, paragraph in paragraphs:
            parts = sentences(paragraph)
            yield from zip(parts, parts[1:])


def groups(path: str):
    """All pairs of texts that describe one thing."""

    def make(data, rng):
        members = collections.defaultdict(list)
        for group, text in columns(data, path, "group", "text"):
            members[group].append(text)
        for texts in members.values():
            for at, text in enumerate(texts):
                for other in texts[at + 1 :]:
                    yield text, other

    return make


OPEN_SOURCES = {
    # name: (pairs, cap of its own or None); smaller caps where rows are templated or weakly related
    "arxiv_title_abstract": (two_columns("arxiv_title_abstract/pairs", "title", "abstract"), None),
    "arxiv_cloze": (cloze("arxiv_title_abstract/pairs", "abstract"), None),
    "enwiki_section": (enwiki_section, None),
    "enwiki_sentences": (enwiki_sentences, None),
    "enwiki_cloze": (cloze("enwiki_part/paragraphs", "paragraph"), None),
    "enwiki_paragraphs": (enwiki_paragraphs, 50_000),
    "medquad": (two_columns("medquad/pairs", "question", "answer"), None),
    "medquad_cloze": (cloze("medquad/pairs", "answer"), None),
    "msdocs_heading": (msdocs("heading-para"), None),
    "msdocs_description": (msdocs("title-description"), 20_000),
    "msdocs_title": (msdocs("title-para"), 30_000),
    "nli_entailment": (nli_entailment, None),
    "pubmedqa": (two_columns("pubmedqa/pairs", "anchor", "positive"), None),
    "pubmedqa_cloze": (cloze("pubmedqa/pairs", "positive"), None),
    "squad_question_sentence": (squad, None),
    "stackexchange_small": (two_columns("stackexchange_small/pairs", "anchor", "positive"), None),
    "stackexchange_cloze": (cloze("stackexchange_small/pairs", "positive"), None),
    "tldr_pages": (two_columns("tldr_pages/pairs", "anchor", "positive"), None),
    "wordnet_example": (wordnet_example, None),
    "wordnet_gloss": (wordnet_gloss, None),
    "wordnet_hypernym": (wordnet_hypernym, 40_000),
    "wordnet_synonyms": (wordnet_synonyms, None),
}

OTHER_SOURCES = {
    "acl_title_abstract": (two_columns("acl_title_abstract/pairs", "title", "abstract"), None),
    "captions_flickr8k": (groups("captions_flickr8k/groups"), None),
    "captions_multi30k": (groups("captions_multi30k/groups"), None),
    "debian_descriptions": (two_columns("debian_descriptions/pairs", "short", "long"), None),
    "dictionary_foldoc": (two_columns("dictionary/foldoc", "headword", "definition"), None),
    "dictionary_gcide": (two_columns("dictionary/gcide", "headword", "definition"), None),
    "papers_title_abstract": (two_columns("papers_title_abstract/pairs", "title", "abstract"), None),
    "papers_tldr": (two_columns("papers_title_abstract/tldr", "title", "tldr"), None),
    "quora_strict": (two_columns("quora_pos/pairs_strict", "anchor", "positive"), None),
    "simplification": (two_columns("simplification/pairs", "anchor", "positive"), None),
    "webnlg": (groups("webnlg/groups"), None),
}


def acl(data, rng):
    """Since 2016 under CC BY 4.0; what is older must not be used commercially. Venues are `W16-...` or `2020.acl-...`."""
    for title, abstract, venue in columns(data, "acl_title_abstract/pairs", "title", "abstract", "venue"):
        year = re.match(r"[A-Z](\d\d)|(20\d\d)", venue)
        if year and 16 <= int(year[1] or year[2][2:]) <= 30:
            yield title, abstract


# Beside the open sources, for the second teacher alone: titles and abstracts, and software in short and at length, under free licences.
RANKED_ONLY_SOURCES = {
    "acl_title_abstract": acl,
    "debian_descriptions": OTHER_SOURCES["debian_descriptions"][0],
    "dictionary_foldoc": OTHER_SOURCES["dictionary_foldoc"][0],
}


# Teacher texts


def write_texts(
    options: argparse.Namespace,
    everything: dict[str, list[tuple[str, str]]],
    taught: dict[str, list[tuple[str, str]]],
    excluded: set[str],
) -> None:
    """The texts of both sides of all pairs, each text once, each source up to its cap, and the words in them; and
    the sides of the taught pairs as they are."""
    counts = collections.Counter()
    seen = set()
    chosen: list[str] = []
    for name, pairs in everything.items():
        rng = rng_of(options.seed, name + " texts")
        taken = []
        for pair in pairs:
            for side in pair:
                if hash(side) in seen:
                    continue
                seen.add(hash(side))
                counts.update(WORD.findall(side.lower()))
                for text in texts_of(side, rng):
                    if (hash(text) not in seen or text == side) and normalised(text) not in excluded:
                        seen.add(hash(text))
                        taken.append(text)
        cap = TEXT_CAPS.get(name)
        rng.shuffle(taken)
        print(f"{name}: {len(taken[:cap]):,} of {len(taken):,} texts", file=sys.stderr)
        chosen += taken[:cap]
    rng = rng_of(options.seed, "texts")
    rng.shuffle(chosen)
    whole = dict.fromkeys(side for pairs in taught.values() for pair in pairs for side in pair)
    texts = [*whole, *(text for text in chosen[: options.texts] if text not in whole)]
    rng.shuffle(texts)
    (options.out / "texts.txt").write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    words = [(word, count) for word, count in counts.most_common(MAX_WORDS) if count >= MIN_WORD_COUNT]
    (options.out / "words.txt").write_text("".join(f"{word}\n" for word, _ in words), encoding="utf-8")
    (options.out / "word-counts.txt").write_text("".join(f"{count}\n" for _, count in words), encoding="utf-8")
    print(f"{len(texts):,} texts, {len(whole):,} of them the taught pairs', {len(words):,} words", file=sys.stderr)


def texts_of(side: str, rng: random.Random) -> list[str]:
    """A short text whole; of a passage up to three sentences and sometimes a longer slice."""
    words = side.split()
    if len(words) <= MAX_WHOLE_WORDS:
        return [side]
    parts = [part for part in sentences(side) if len(part.split()) <= MAX_TEXT_WORDS]
    texts = rng.sample(parts, min(MAX_SENTENCES, len(parts)))
    if rng.random() < SLICE_SHARE or not texts:
        length = rng.randint(MAX_WHOLE_WORDS, MAX_TEXT_WORDS)
        start = rng.randint(0, max(0, len(words) - length)) if rng.random() < 0.5 else 0
        texts.append(" ".join(words[start : start + length]))
    return texts


WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
TEXT_CAPS = {
    # templated or of little variety
    "msdocs_description": 25_000,
    "msdocs_title": 50_000,
    "msdocs_heading": 60_000,
    "wordnet_gloss": 150_000,
    "wordnet_hypernym": 60_000,
    "wordnet_synonyms": 60_000,
    "medquad": 150_000,
}


# Pairs that are no positives, but whose texts the teacher can tell apart: everyday sentences that differ in a detail.
TEXT_ONLY_SOURCES = {"nli_small": two_columns("nli_small/pairs", "premise", "hypothesis")}


class FinishedPairs:
    def __init__(self) -> None:
        self.kept: list[tuple[str, str]] = []
        self.excluded = 0


def read_pairs(make_pairs, name: str, options: argparse.Namespace, excluded: set[str]) -> FinishedPairs:
    pairs = make_pairs(options.data, rng_of(options.seed, name))
    return finish_pairs(itertools.islice(pairs, options.rows), excluded)


def finish_pairs(pairs, excluded: set[str]) -> FinishedPairs:
    """Cleans, cuts, removes repeated pairs, pairs of a text with itself and pairs with an evaluation text."""
    result = FinishedPairs()
    seen = set()
    for anchor, positive in pairs:
        anchor, positive = clean(anchor), clean(positive)
        first, second = normalised(anchor), normalised(positive)
        key = hash((first, second) if first <= second else (second, first))
        if not first or first == second or key in seen:
            continue
        seen.add(key)
        without_headword = normalised(anchor.split(": ", 1)[-1])  # wordnet's "lemma: gloss"
        if first in excluded or second in excluded or without_headword in excluded:
            result.excluded += 1
            continue
        result.kept.append((anchor, positive))
    return result


def clean(text: str, max_words: int = MAX_PASSAGE_WORDS) -> str:
    return " ".join(text.split()[:max_words])


def normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def detokenise(text: str) -> str:
    """Undoes the Penn Treebank spacing of a tokenised sentence."""
    text = text.replace("-lrb-", "(").replace("-rrb-", ")").replace("``", '"').replace("''", '"')
    text = re.sub(r" ([.,;:?!)%])", r"\1", text)
    return re.sub(r"\( ", "(", re.sub(r" ('s|'re|'ve|'ll|'d|'m|n't)\b", r"\1", text))


SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+(?=[\"'(\[]?[A-Z0-9])")
ABBREVIATION = re.compile(r"(?:\b(?:[A-Z]|[Dd]r|Mr|Mrs|Ms|St|No|vs|etc|[Ff]ig|al|Jr|Sr|Inc|Ltd|Co|e\.g|i\.e|c|ca|approx))\.$")


def sentences(text: str) -> list[str]:
    """The sentences of at least MIN_SENTENCE_WORDS words, by rule of thumb."""
    parts, start = [], 0
    for end in SENTENCE_END.finditer(text):
        if not ABBREVIATION.search(text[start : end.start()]):
            parts.append(text[start : end.start()].strip())
            start = end.end()
    parts.append(text[start:].strip())
    return [part for part in parts if len(part.split()) >= MIN_SENTENCE_WORDS]


def evaluation_texts(folder: Path | None) -> set[str]:
    """Every sentence, query, title and document of the evaluation sets, normalised. Texts of fewer words than a
    sentence has are everybody's, such as a lemma or a name."""
    texts = set()
    if folder is None:
        return texts
    for file in sorted(folder.glob("*/*.tsv.gz")):
        with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
            rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(rows)
            places = [header.index(name) for name in EVALUATION_TEXT_COLUMNS if name in header]
            texts.update(normalised(row[place]) for row in rows for place in places)
    for file in sorted(folder.glob("*/*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                texts.update((normalised(row.get("title", "")), normalised(clean(row["text"]))))
    return {text for text in texts if len(text.split()) >= MIN_SENTENCE_WORDS}


EVALUATION_TEXT_COLUMNS = ("s1", "s2", "q1", "q2", "text")


if __name__ == "__main__":
    main()
