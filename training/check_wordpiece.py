"""Compares the crate's tokenizer `wordpiece` with Hugging Face's `tokenizers`, id for id.

    npm run check:wordpiece -- MODEL... [--data FOLDER] [--texts 100000] [--seed 1]

A MODEL is a folder with a tokenizer.json. The command builds the crate's side, the example wordpiece_ids, and takes a
Python that has `tokenizers`. A million and more texts are read ten times: some minutes.

The texts: every code point in several places of a word; random texts of many scripts; and lines of the .gz files
below FOLDER. Each model is checked as it is, and with each of the normalizer's options the other way; and so is
one in which each character is a token, whose ids show all that the normalizer does, where real ones say [UNK]. That
one reads all code points with each option, real ones as they are.
Special tokens typed in a text are not special: `encode_special_tokens`.
"""

import argparse
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "target/release/examples/wordpiece_ids"
BATCH = 20_000
AS_IT_IS, CODE_POINTS = "as it is", "every code point"

# Where random texts take their characters from.
BLOCKS = [
    (0x00, 0x7F), (0x20, 0x7E), (0x61, 0x7A), (0x80, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
    (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0x980, 0xDFF), (0xE00, 0xFFF), (0x1000, 0x10FF), (0x1100, 0x11FF),
    (0x1AB0, 0x1BFF), (0x1DC0, 0x1EFF), (0x1F00, 0x1FFF), (0x2000, 0x206F), (0x20A0, 0x2BFF), (0x2E00, 0x2E7F), (0x3000, 0x30FF),
    (0x4E00, 0x9FFF), (0xA960, 0xABFF), (0xAC00, 0xD7AF), (0xD7B0, 0xD7FF), (0xF900, 0xFAFF), (0xFE00, 0xFFFF), (0x10A00, 0x11FFF),
    (0x1D100, 0x1D1FF), (0x1E000, 0x1E95F), (0x1F300, 0x1FAFF), (0x2B700, 0x2BA00), (0x2F800, 0x2FA1F), (0xE0000, 0xE01EF), (0x80, 0x10FFFF),
]
# Marks that are sorted, of several combining classes; some of them are no nonspacing marks.
MARKS = [chr(c) for c in (0x301, 0x308, 0x323, 0x334, 0x345, 0x302E, 0x302F, 0x1B44, 0x8D4, 0x1DFB, 0xF73, 0x1D165, 0x1D16D, 0x1E944, 0x1E94A, 0x11446, 0x93C, 0xCBF)]
PIECES = [
    "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "[ sep ]", "##ing", "##", "\0", "\ufffd", "\u200b", "\u200d", "\ufeff", "\x0b", "\x0c",
    "\x1c", "\x7f", "\x85", "\xa0", "\xad", "\u3000", "\u2028", "a" * 99, "b" * 100, "é" * 100, "e\u0301" * 100, "word" * 26, "x" * 2000,
    "ﬁ", "ß", "İ", "ΣΊΣΥΦΟΣ", "각", "\u1100\u1161\u11a8", "中文", "👩‍👩‍👧", "🇩🇪", "don't", "state-of-the-art", "3.14", "1,000", "C++", "https://a.b/c?d=e",
]


def all_code_points():
    for code in range(0x110000):
        if not 0xD800 <= code <= 0xDFFF:
            c = chr(code)
            yield f"a{c}b {c} {c}{c}A \u302e{c}\u302f\u1b44 {c}\u0301"


def random_texts(count, source):
    for _ in range(count):
        blocks = source.choices(BLOCKS, k=source.randint(1, 3))
        parts = []
        for _ in range(source.randint(0, 40)):
            kind = source.random()
            if kind < 0.75:
                low, high = source.choice(blocks)
                code = source.randint(low, high)
                parts.append("\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code))
            elif kind < 0.85:
                parts.append(source.choice(MARKS))
            elif kind < 0.95:
                parts.append(" ")
            else:
                parts.append(source.choice(PIECES))
        yield "".join(parts)


def file_texts(folder, count, source):
    """As many from each file, long and short ones, whole lines and columns."""
    files = sorted(pathlib.Path(folder).rglob("*.gz"))
    each = -(-count // max(len(files), 1))
    texts = []
    for path in files:
        lines = gzip.open(path, "rt", encoding="utf-8").read().splitlines()
        for line in source.sample(lines, min(each, len(lines))):
            texts.append(source.choice([line, line.split("\t")[-1]]))
    return texts[:count]


def variants(tokenizer):
    tokenizer["truncation"] = tokenizer["padding"] = None
    yield AS_IT_IS, tokenizer
    normalizer = tokenizer["normalizer"]
    for option in ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"):
        now = normalizer[option]
        if now is None:
            now = normalizer["lowercase"]
        yield f"{option}: {not now}", {**tokenizer, "normalizer": {**normalizer, option: not now}}


def of_characters():
    """A tokenizer.json for all planes that have characters, but for the private ones."""
    characters = [chr(c) for c in [*range(0x30000), *range(0xE0000, 0xE1000), 0xF0000, 0x10FFFD]
                  if c != 0x0A and not 0xD800 <= c <= 0xDFFF]
    tokens = ["[UNK]", "[CLS]", "[SEP]", *characters, *("##" + c for c in characters)]
    special = {token: {"id": token, "ids": [id], "tokens": [token]} for id, token in enumerate(tokens[:3])}
    template = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    return {
        "version": "1.0", "added_tokens": [], "decoder": None,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": template, "pair": [], "special_tokens": special},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {token: id for id, token in enumerate(tokens)}},
    }


def crate_ids(path, texts):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([PROGRAM, path], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def differences(tokenizer, texts):
    """How many texts have other ids, and the first ones."""
    count, first = 0, []
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(tokenizer, file)
        file.flush()
        reference = Tokenizer.from_file(file.name)
        reference.encode_special_tokens = True
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            found = crate_ids(file.name, batch)
            assert len(found) == len(batch)
            for text, ids, encoding in zip(batch, found, reference.encode_batch_fast(batch)):
                if ids != encoding.ids:
                    count += 1
                    if len(first) < 5:
                        first.append(f"{text!r}\n  tokenizers {encoding.ids}\n  wordpiece  {ids}")
    return count, first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=pathlib.Path, metavar="MODEL", help="a folder with a tokenizer.json")
    parser.add_argument("--data", type=pathlib.Path, help="a folder of .gz files of text")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    kinds = {CODE_POINTS: list(all_code_points())}
    from_files = file_texts(arguments.data, arguments.texts // 2, source) if arguments.data else []
    kinds["lines of files"] = from_files
    kinds["random texts"] = list(random_texts(arguments.texts - len(from_files), source))
    wrong = 0
    tokenizers = [(path.name, json.loads((path / "tokenizer.json").read_text("utf-8"))) for path in arguments.models]
    characters = "of characters"
    for model, original in [*tokenizers, (characters, of_characters())]:
        for name, tokenizer in variants(original):
            for kind, texts in kinds.items():
                if kind == CODE_POINTS and model != characters and name != AS_IT_IS:
                    continue
                count, first = differences(tokenizer, texts)
                wrong += count
                print(f"{model}, {name}: {kind}: {count} of {len(texts)} texts differ", flush=True)
                print("".join(line + "\n" for line in first), end="")
    sys.exit(wrong > 0)


main()
