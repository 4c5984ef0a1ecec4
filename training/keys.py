"""Chooses the tokens that get rows of their own.

    python training/keys.py --counts COUNTS [COUNTS ...] --size 88000 --out keys.txt

COUNTS are files of `count_tokens` (count, kind, token). keys.txt has one token a line, the most frequent first, and for symbols
and names with symbols, which no other model has rows for, a tab and what they are called: the text whose rows theirs start as.
The output of one Python version is that of its Unicode's names.
"""

import argparse
import collections
import re
import unicodedata
from pathlib import Path

# 500mg is read as 500 and mg, so that it is what "500 mg" is; 3rd, 1990s and 3d are words.
WHOLE_OF_ITS_OWN = re.compile(r"[a-z][a-z]*[0-9]{0,4}[a-z]*|[0-9]+(?:st|nd|rd|th|s|d)")
NUMBER_OF_ITS_OWN = re.compile(r"[0-9]{1,4}")
MAX_CHARACTERS = 24
CALLED = {
    "$": "dollar", "€": "euro", "£": "pound sterling", "¥": "yen", "₹": "rupee", "%": "percent", "&": "and", "@": "at", "#": "number",
    "*": "asterisk", "+": "plus", "=": "equals", "<": "less than", ">": "greater than", "|": "pipe", "~": "approximately",
    "^": "power", "\\": "backslash", "°": "degrees", "©": "copyright", "®": "trademark", "™": "trademark", "±": "plus minus",
    "×": "times", "÷": "divided", "≈": "approximately", "≤": "less equal", "≥": "greater equal", "≠": "unequal", "∞": "infinity",
    "√": "root", "∑": "sum", "∏": "product", "∫": "integral", "∂": "derivative", "→": "arrow right", "←": "arrow left", "•": "bullet",
    "c++": "c plus programming", "c#": "c sharp programming", "f#": "f sharp programming", "j#": "j sharp programming",
    ".net": "dotnet framework", "g++": "gnu compiler", "notepad++": "notepad editor", "a+": "a positive", "b+": "b positive",
    "ab+": "ab positive", "o+": "o positive", "a-": "a negative", "b-": "b negative", "ab-": "ab negative", "o-": "o negative",
}  # fmt: skip
SYMBOL_BLOCKS = [(0x2190, 0x22FF), (0x2300, 0x23FF), (0x25A0, 0x27BF), (0x2B00, 0x2BFF), (0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F900, 0x1FAFF)]
NOT_CALLED = {"with", "of", "and", "the", "sign", "symbol", "a", "in", "on", "mark", "black", "white", "heavy", "medium"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Chooses the tokens that get rows of their own.")
    parser.add_argument("--counts", type=Path, nargs="+", required=True, help="files of count_tokens")
    parser.add_argument("--size", type=int, required=True, help="how many tokens at most, symbols among them")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    names = {**CALLED, **dict(named_symbols())}
    counts: collections.Counter[str] = collections.Counter()
    for file in options.counts:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                count, kind, token = line.rstrip("\n").split("\t")
                if token not in names and may_have_a_row(kind, token):
                    counts[token] += int(count)
    chosen = [token for token, _ in counts.most_common(options.size - len(names))]
    lines = [*chosen, *(f"{token}\t{name}" for token, name in names.items())]
    options.out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{len(chosen):,} tokens that come {counts[chosen[-1]]} times or more, {len(names):,} with names")


def may_have_a_row(kind: str, token: str) -> bool:
    if len(token) > MAX_CHARACTERS:
        return False
    if kind == "Whole":
        return WHOLE_OF_ITS_OWN.fullmatch(token) is not None
    if kind == "Number":
        return NUMBER_OF_ITS_OWN.fullmatch(token) is not None
    return kind == "Word"


def named_symbols():
    for first, last in SYMBOL_BLOCKS:
        for code in range(first, last + 1):
            character = chr(code)
            words = [word for word in re.findall(r"[a-z]+", unicodedata.name(character, "").lower()) if word not in NOT_CALLED]
            # Of a decomposition another character is read; skin tones are not read at all.
            is_read = unicodedata.category(character) in ("Sm", "So", "Sc") and not unicodedata.decomposition(character)
            if words and is_read and not 0x1F3FB <= code <= 0x1F3FF:
                yield character, CALLED.get(character, " ".join(words[:4]))


if __name__ == "__main__":
    main()
