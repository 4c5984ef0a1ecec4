"""Draws the texts that the student of two teachers reads.

    python training/encoder/texts.py --data DATA/train --exclude DATA/eval --docs UNPACKED --out TEXTS

DATA/train is what prepare.py reads too; UNPACKED holds one folder for each unpacked documentation package (HTML,
manual pages, Perl's pod, Mallard). TEXTS/<source>.txt then has one text a line, and an empty line between documents:
headings, questions, whole passages and single sentences of one document follow one another, so that a batch of
neighbours holds texts that are alike. Every text is written once, in at most MAX_WORDS words.

--exclude leaves out every text that is a text, a query or a sentence of an evaluation set, or that holds a sentence of
MIN_SHARED_WORDS words or more of one (letter case and punctuation aside).
"""

import argparse
import gzip
import html
import json
import multiprocessing
import random
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import prepare
from prepare import detokenise, normalised, sentences

MAX_WORDS = 380  # about 510 tokens
PASSAGE_WORDS = ((190, 0.65), (90, 0.22), (MAX_WORDS, 0.13))  # a document is cut into passages of one of these, with its share
SENTENCE_SHARE = 0.3  # of the sentences of a passage that are texts of their own
QUESTION_SHARE = 0.35  # of the headings that are asked as a question as well
MIN_SHARED_WORDS = 8
MIN_FUNCTION_WORDS = 0.12  # share in an English passage; lists of names and code have fewer
PACKAGE_CHARACTERS = 16_000_000  # of one package: none may drown the others
FUNCTION_WORDS = frozenset(
    """
    a an and are as at be by can for from has have if in is it its may not of on or that the this to use used was when which
    will with you your
    """.split()
)


@dataclass
class Document:
    """Sections in their order: a heading (or none) and its paragraphs."""

    title: str
    sections: list[tuple[str, list[str]]] = field(default_factory=list)


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    folders = dict.fromkeys(options.sets or SETS, options.data) if options.data else {}
    if options.docs:
        folders |= {f"docs-{folder.name}": folder for folder in sorted(options.docs.iterdir())}
    with multiprocessing.Pool(options.processes, keep_excluded, (options.exclude,)) as pool:
        jobs = [(name, folder, options.out, options.seed) for name, folder in folders.items()]
        for line in pool.imap_unordered(write_source, jobs):
            print(line, file=sys.stderr, flush=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Draws the texts that the student of two teachers reads.")
    parser.add_argument("--data", type=Path, help="folder of the raw sets")
    parser.add_argument("--docs", type=Path, help="folder with one folder for each unpacked documentation package")
    parser.add_argument("--exclude", type=Path, required=True, help="folder of the evaluation sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", help="only these sets of --data")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in ("data", "docs", "exclude"):
        folder = getattr(options, name)
        if folder and not folder.is_dir():
            parser.error(f"--{name}: {folder} is not a folder")
    return options


excluded: set[str] = set()


def keep_excluded(folder: Path) -> None:
    excluded.update(evaluation_texts(folder))


def evaluation_texts(folder: Path) -> set[str]:
    """prepare.py's, and all queries of two words or more, and the longer sentences of all documents."""
    texts = prepare.evaluation_texts(folder)
    for file in sorted(folder.glob("*/queries.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            texts.update(normalised(json.loads(line)["text"]) for line in lines)
    for file in sorted(folder.glob("*/*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                for sentence in sentences(json.loads(line)["text"]):
                    if len(sentence.split()) >= MIN_SHARED_WORDS:
                        texts.add(normalised(sentence))
    return {text for text in texts if " " in text}


def write_source(job: tuple) -> str:
    name, folder, out, seed = job
    read = SETS.get(name, package)
    rng = prepare.rng_of(seed, name)
    seen: set[int] = set()
    texts = characters = left_out = 0
    unfinished = out / f"{name}.unfinished"
    with unfinished.open("w", encoding="utf-8") as lines:
        for document in read(folder):
            kept = []
            for text in texts_of(document, rng):
                text = " ".join(text.split()[:MAX_WORDS])
                key = hash(text.lower())
                if len(text) < 4 or " " not in text or key in seen:
                    continue
                seen.add(key)
                if is_excluded(text):
                    left_out += 1
                    continue
                kept.append(text)
            if kept:
                lines.writelines(text + "\n" for text in kept)
                lines.write("\n")
            texts, characters = texts + len(kept), characters + sum(map(len, kept))
            if read is package and characters > PACKAGE_CHARACTERS:
                break
    unfinished.rename(out / f"{name}.txt")
    return f"{name}: {texts:,} texts, {characters:,} characters, {left_out:,} left out as an evaluation set's"


def is_excluded(text: str) -> bool:
    if normalised(text) in excluded or normalised(text.split(": ", 1)[-1]) in excluded:
        return True
    return any(normalised(part) in excluded for part in sentences(text) if len(part.split()) >= MIN_SHARED_WORDS)


# From a document to texts


def texts_of(document: Document, rng: random.Random) -> Iterator[str]:
    if document.title:
        yield document.title
        yield from question_of(document.title, rng)
    size = rng.choices([words for words, _ in PASSAGE_WORDS], [share for _, share in PASSAGE_WORDS])[0]
    for heading, paragraphs in document.sections:
        if heading and heading != document.title:
            yield heading
            yield from question_of(heading, rng)
            if document.title and rng.random() < 0.3:
                yield f"{document.title} {heading}"
        for passage in passages(paragraphs, size):
            yield passage
            parts = sentences(passage)
            if len(parts) > 1:
                yield from (part for part in parts if rng.random() < SENTENCE_SHARE)


def passages(paragraphs: list[str], size: int) -> Iterator[str]:
    """Whole paragraphs joined up to `size` words; a longer paragraph is cut."""
    kept: list[str] = []
    for paragraph in paragraphs:
        words = paragraph.split()
        if kept and len(kept) + len(words) > size:
            yield " ".join(kept)
            kept = []
        kept += words
        while len(kept) > size:
            yield " ".join(kept[:size])
            kept = kept[size:]
    if kept:
        yield " ".join(kept)


VERBS = frozenset(
    """
    access add allow apply avoid build change check choose clean clear close compile configure connect control convert copy
    create customize debug define delete deploy disable display download edit enable export filter find fix format get
    handle identify import improve include insert install keep limit list load make manage measure merge migrate modify
    monitor move open optimize prepare prevent print protect publish query read record reduce remove rename replace report
    reset restore resize restrict retrieve run save search secure select send set share show sign specify start stop store
    submit switch test track transfer troubleshoot turn understand undo update upgrade upload use validate verify view write
    """.split()
)


def question_of(heading: str, rng: random.Random) -> Iterator[str]:
    words = heading.rstrip(".:").split()
    if not 1 < len(words) <= 10 or heading.endswith("?") or rng.random() > QUESTION_SHARE:
        return
    body = " ".join(words)
    if words[0].lower() in VERBS:
        body = body[0].lower() + body[1:]
        yield rng.choice(
            ("How do I {}?", "How can I {}?", "How to {}?", "I want to {}, how does that work?", "What is needed to {}?")
        ).format(body)
    else:
        yield rng.choice(
            (
                "What is {}?",
                "What are {}?",
                "How does {} work?",
                "Where can I learn about {}?",
                "Why would I need {}?",
                "What should I know about {}?",
                "{}: how is that done?",
            )
        ).format(body)


# The sets of DATA/train with open licences. Columns are described in their own READMEs.


def pairs_of(path: str, anchor: str, positive: str, fix=lambda text: text, run: int = 8):
    """Neighbouring rows are one document: they come from one page, or one list."""

    def read(data: Path) -> Iterator[Document]:
        document, last = Document(""), None
        for first, second in prepare.columns(data, path, anchor, positive):
            first, second = fix(first), fix(second)
            if first == last:
                document.sections[-1][1].append(second)
                continue
            if len(document.sections) == run:
                yield document
                document = Document("")
            document.sections.append((first, [second]))
            last = first
        yield document

    return read


def separate_pairs(path: str, anchor: str, positive: str, fix=lambda text: text):
    """As pairs_of, where second sides are texts of their own (sentences), never joined to a passage."""

    def read(data: Path) -> Iterator[Document]:
        document = Document("")
        for first, second in prepare.columns(data, path, anchor, positive):
            document.sections += [(fix(first), [fix(second)])]
            if len(document.sections) == 12:
                yield document
                document = Document("")
        yield document

    return read


def enwiki(data: Path) -> Iterator[Document]:
    for title, paragraphs in prepare.enwiki_pages(data):
        document = Document(title)
        for section, paragraph in paragraphs:
            heading = "" if section == "-" else section
            if document.sections and document.sections[-1][0] == heading:
                document.sections[-1][1].append(paragraph)
            else:
                document.sections.append((heading, [paragraph]))
        yield document


def wordnet(data: Path) -> Iterator[Document]:
    """A synset is `lemmas: gloss`, its gloss alone and its examples; neighbours in the file are about one field."""
    document = Document("")
    for _, lemmas, gloss, examples, _ in prepare.synsets(data):
        document.sections.append(("", [f"{', '.join(lemmas)}: {gloss}"]))
        document.sections += [("", [text]) for text in (gloss, *examples)]
        if len(lemmas) > 1 or " " in lemmas[0]:
            document.sections += [("", [lemma]) for lemma in lemmas if " " in lemma]
        if len(document.sections) >= 20:
            yield document
            document = Document("")
    yield document


def acl(data: Path) -> Iterator[Document]:
    for title, abstract in prepare.acl(data, None):
        yield Document("", [(title, [abstract])])


def dictionary(data: Path) -> Iterator[Document]:
    for name in ("foldoc", "gcide"):
        document = Document("")
        for headword, definition in prepare.columns(data, f"dictionary/{name}", "headword", "definition"):
            document.sections.append(("", [f"{headword}: {definition}" if name == "foldoc" else definition]))
            if len(document.sections) == 12:
                yield document
                document = Document("")
        yield document


SETS = {
    "acl_title_abstract": acl,
    "arxiv_title_abstract": pairs_of("arxiv_title_abstract/pairs", "title", "abstract", run=1),
    "debian_descriptions": pairs_of("debian_descriptions/pairs", "short", "long"),
    "dictionary": dictionary,
    "enwiki_part": enwiki,
    "medquad": pairs_of("medquad/pairs", "question", "answer"),
    "msdocs": pairs_of("msdocs/pairs", "anchor", "positive"),
    "nli_small": separate_pairs("nli_small/pairs", "premise", "hypothesis"),
    "pubmedqa": pairs_of("pubmedqa/pairs", "anchor", "positive", run=1),
    "squad_question_sentence": separate_pairs("squad_question_sentence/pairs", "question", "sentence", detokenise),
    "stackexchange_small": pairs_of("stackexchange_small/pairs", "anchor", "positive", run=2),
    "tldr_pages": separate_pairs("tldr_pages/pairs", "anchor", "positive"),
    "wordnet": wordnet,
}


# Documentation packages


def package(folder: Path) -> Iterator[Document]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink()]
    random.Random(folder.name).shuffle(files)
    for file in files:
        if OTHER_LANGUAGE.search(str(file.relative_to(folder))) or file.stat().st_size > 4_000_000:
            continue
        reader = reader_of(file)
        if reader is None:
            continue
        raw = file.read_bytes()
        text = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode("utf-8", "replace")
        document = reader(text)
        document.sections = [
            (heading, kept) for heading, paragraphs in document.sections if (kept := [p for p in paragraphs if is_prose(p)])
        ]
        if document.sections:
            yield document


LANGUAGES = """
    ar as be bg bn ca cs cy da de el eo es et eu fa fi fr ga gl gu he hi hr hu id it ja ka kn ko lt lv mk ml mr ms nb nl nn
    oc pa pl pt ro ru sk sl sq sr sv ta te th tr ug uk vi zh
""".split()
OTHER_LANGUAGE = re.compile(
    r"[/.](?:%s)(?:[-_@][A-Za-z]+)?(?:\.utf8|\.utf-8)?[/.]|/translations/|/copyright|changelog" % "|".join(LANGUAGES), re.I
)


def reader_of(file: Path):
    name = file.name.removesuffix(".gz")
    if re.search(r"\.html?(?:\.en)?$", name):
        return from_html
    if name.endswith(".page"):
        return from_mallard
    if name.endswith((".pod", ".3pm")):
        return from_pod if name.endswith(".pod") else from_manual
    if re.search(r"\.[1-9][a-z]*$", name) and "/man/" in str(file):
        return from_manual
    return None


def is_prose(paragraph: str) -> bool:
    words = paragraph.lower().split()
    return len(words) >= 5 and sum(word in FUNCTION_WORDS for word in words) >= MIN_FUNCTION_WORDS * len(words)


def from_marked(parts: Iterable[tuple[str, str]], title: str = "") -> Document:
    """Parts are ("heading" | "text", ...) in their order; the first heading is the document's title where it has none."""
    document = Document(title)
    for kind, text in parts:
        text = " ".join(text.split()).strip(" ¶#§")
        if not text:
            continue
        if kind == "heading":
            text = re.sub(r"^(?:(?:Chapter|Appendix)\s+)?(?:[0-9]+|[A-Z](?=\.))(?:\.[0-9]+)*\.?\s+", "", text)
            if not document.title:
                document.title = text
            document.sections.append((text, []))
        elif document.sections:
            document.sections[-1][1].append(text)
        else:
            document.sections.append(("", [text]))
    return document


HTML_DROPPED = re.compile(r"<!--.*?-->|<(script|style|head|nav|footer|pre|svg|table|header)\b.*?</\1\s*>", re.S | re.I)
HTML_HEADING = re.compile(r"<h[1-6]\b[^>]*>(.*?)</h[1-6]\s*>", re.S | re.I)
HTML_BLOCK = re.compile(r"</?(?:p|div|li|dd|dt|dl|ul|ol|section|article|blockquote|br|hr|td|tr|body|main|aside)\b[^>]*>", re.I)
HTML_TAG = re.compile(r"<[^>]*>")


def from_html(text: str) -> Document:
    text = HTML_DROPPED.sub("\n\n", text)

    def parts():
        pieces = HTML_HEADING.split(text)
        for at, piece in enumerate(pieces):
            if at % 2:
                yield "heading", html.unescape(HTML_TAG.sub("", piece))
            else:
                yield from (("text", html.unescape(HTML_TAG.sub("", block))) for block in HTML_BLOCK.split(piece))

    return from_marked(parts())


def from_mallard(text: str) -> Document:
    text = re.sub(r"<info\b.*?</info>|<code\b.*?</code>", " ", text, flags=re.S)

    def parts():
        for tag, piece in re.findall(r"<(title|p)\b[^>]*>(.*?)</\1>", text, re.S):
            yield ("heading" if tag == "title" else "text"), html.unescape(HTML_TAG.sub("", piece))

    return from_marked(parts())


def from_pod(text: str) -> Document:
    def parts():
        for block in re.split(r"\n\s*\n", text):
            command = re.match(r"=(head[1-4]|item)\s+(.*)", block, re.S)
            block = re.sub(r"[A-Z]<(?:<+\s)?(?:[^<>|]*\|)?([^<>]*)(?:\s>+)?>", r"\1", command[2] if command else block)
            if command and command[1] != "item":
                yield "heading", block
            elif not block.startswith((" ", "\t", "=")):
                yield "text", block

    return from_marked(parts())


def from_manual(text: str) -> Document:
    """troff's man macros, as far as prose has them."""
    text = re.sub(r"\\f(?:\[[^\]]*\]|\(..|.)|\\&|\\\||\\/|\\,|\\%", "", text)
    text = text.replace("\\-", "-").replace("\\(aq", "'").replace("\\(dq", '"').replace("\\e", "\\").replace("\\ ", " ")
    text = re.sub(r"\\\((?:lq|rq)", '"', text)

    def parts():
        name, paragraph, code = "", [], False
        for line in text.split("\n"):
            macro, _, rest = line.partition(" ")
            if macro in (".nf", ".EX", ".fi", ".EE"):
                code = macro in (".nf", ".EX")
            elif macro in (".SH", ".SS", ".PP", ".P", ".LP", ".TP", ".IP", ".RS", ".RE", ".TH", "", "."):
                yield "text", " ".join(paragraph)
                paragraph = []
                if macro == ".TH":
                    name = rest.split()[0].strip('"').lower() if rest.split() else ""
                elif macro in (".SH", ".SS") and rest:
                    yield "heading", f"{name} {rest.strip(chr(34)).capitalize()}"
            elif macro in (".B", ".I", ".BR", ".IR", ".RB", ".RI", ".BI", ".IB"):
                words = rest.replace('"', "")
                paragraph.append(words if macro in (".B", ".I") else words.replace(" ", ""))
            elif not line.startswith((".", "'")) and not code:
                paragraph.append(line)
        yield "text", " ".join(paragraph)

    return from_marked(parts())


if __name__ == "__main__":
    main()
