"""Makes text_as_written.jsonl and text_as_written.safetensors: what model/FORMAT.md says of the tokenizer
text-as-written, written a second time and without a look at the Rust code.

    pip install snowballstemmer==2.2.0 regex numpy && python make_text_as_written.py

The texts have only characters that Unicode had in version 14.
"""

import json
import pathlib
import struct
import unicodedata

import numpy as np
import regex
from make_words_and_stems import MASK, STEMMER, UNSPACED, lexical_part, normalised, text_hash

ROWS, DIM, LEXICAL_DIM, LEXICAL_WEIGHT, MAX_WORDS, SCALE_UNIT = 90, 40, 16, 0.7, 50, 0.0001
OWN = (
    "the a of and new york cat dog running definitely password receive javascript c++ c# .net o- 2024 40 42 5 $ > < = 😀 get user by id "
    "cafe naive 東 東京 привет don't"
).replace("don't", "dont").split()
OFTEN_MISSPELT = ["definitely", "password", "receive", "running"]
ACCENT_RANGES = [(0x300, 0x36F), (0x483, 0x489), (0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2), (0x5C4, 0x5C5), (0x5C7, 0x5C7), (0x64B, 0x652),
                 (0x670, 0x670), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFB1E, 0xFB1E), (0xFE20, 0xFE2F)]  # fmt: skip
LETTERS = {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "o", "Ø": "O", "đ": "d", "ð": "d", "Đ": "D", "Ð": "D",
           "þ": "th", "Þ": "Th", "ħ": "h", "Ħ": "H", "ł": "l", "Ł": "L", "ŧ": "t", "Ŧ": "T", "ı": "i", "ς": "σ", "\u2044": "/"}  # fmt: skip
ASCII_SYMBOLS = "+<>=^|~$%&*#@\\"


def matches(pattern, character):
    return bool(character) and regex.fullmatch(pattern, character) is not None


def within(ranges, character):
    return any(first <= ord(character) <= last for first, last in ranges)


def is_mark(c):
    return matches(r"\p{M}", c) and c > "\x7f"


def is_word_character(c):
    return matches(r"[\p{Alphabetic}\p{N}]", c)


def is_digit(c):
    return matches(r"\p{N}", c)


def is_unspaced(c):
    return bool(c) and within(UNSPACED, c)


def is_spaced(c):
    return is_word_character(c) and not is_unspaced(c)


def is_punctuation(c):
    return c in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" if c < "\x80" else matches(r"\p{P}", c)


def is_symbol(c):
    if c < "\x80":
        return c in ASCII_SYMBOLS
    return not (is_word_character(c) or is_mark(c) or matches(r"\p{White_Space}", c) or is_punctuation(c))


def fold(text):
    folded, base = "", ""
    for c in unicodedata.normalize("NFKD", text):
        if matches(r"\p{M}", c) and within(ACCENT_RANGES, c):
            if (c == "\u0306" and base in "иИуУ" or c == "\u0308" and base in "іІ") and base:
                folded += c
            continue
        ignored = matches(r"\p{Default_Ignorable_Code_Point}", c)
        if ignored or (c > "\x7f" and matches(r"[\p{Cc}\p{Cf}]", c) and not matches(r"\p{White_Space}", c)):
            continue
        folded += LETTERS.get(c, c)
        if not is_mark(c):
            base = c
    return folded


def lower(token):
    kept = "".join(c.lower() if c != "Σ" else "σ" for c in token)
    return kept.replace("'", "").replace("\u2019", "")


def run_end(text, at):
    while at < len(text):
        c, following = text[at], text[at + 1 : at + 2]
        joins = c in "'\u2019" and matches(r"\p{Alphabetic}", following) and not is_unspaced(following)
        if not (is_spaced(c) or is_mark(c) or joins):
            break
        at += 1
    return at


def parts_of(word):
    parts = []
    for piece in regex.split(r"(?:(?![\p{Alphabetic}\p{N}\p{M}'\u2019]).)+", word, flags=regex.S):
        if not piece:
            continue
        plain = [i for i, c in enumerate(piece) if not is_mark(c) and c not in "'\u2019"]
        starts = [0]
        for k in range(1, len(plain)):
            i, before, c = plain[k], piece[plain[k - 1]], piece[plain[k]]
            following = piece[plain[k + 1]] if k + 1 < len(plain) else ""
            is_plural = piece[i + 1 :] == "s"
            upper, follows_lower = matches(r"\p{Uppercase}", c), matches(r"\p{Lowercase}", before)
            begins = matches(r"\p{Uppercase}", before) and matches(r"\p{Lowercase}", following) and not is_plural
            if is_digit(before) != is_digit(c) or upper and (follows_lower or begins):
                starts.append(i)
        parts += [piece[a:b] for a, b in zip(starts, [*starts[1:], len(piece)])]
    return parts


def words_of(text):
    """Words as lists of tokens, each a kind and a text."""
    text = fold(text)
    words, at = [], 0
    while at < len(text):
        c = text[at]
        if is_word_character(c) and is_unspaced(c):
            end = at
            while end < len(text) and (is_word_character(text[end]) and is_unspaced(text[end]) or is_mark(text[end])):
                end += 1
            clusters = []
            for i in range(at, end):
                if is_mark(text[i]) and i > at:
                    clusters[-1] += text[i]
                else:
                    clusters.append(text[i])
            for i, cluster in enumerate(clusters):
                word = [("word", cluster)]
                if i + 1 < len(clusters):
                    word.append(("pair", cluster + clusters[i + 1]))
                words.append(word)
            at = end
        elif is_word_character(c):
            end = run_end(text, at)
            while is_digit(text[end - 1]) and text[end : end + 1] in tuple(".,-/:") and is_digit(text[end + 1 : end + 2]):
                end = run_end(text, end + 1)
            word = text[at:end]
            suffix = regex.match(r"[+#]*", text[end:])[0] if matches(r"\p{Alphabetic}", word[-1]) else ""
            if not suffix and word in ("A", "B", "AB", "O") and text[end : end + 1] in ("-", "\u2212"):
                suffix = text[end]
            following = text[end + len(suffix) : end + len(suffix) + 1]
            if following and (is_word_character(following) or following in "=-"):
                suffix = ""
            prefix, before, earlier = "", text[at - 1 : at] if at else "", text[at - 2 : at - 1] if at > 1 else ""
            if not suffix and before:
                if before in "-\u2212" and is_digit(c):
                    prefix = "-"
                elif before == "+" and is_digit(c):
                    prefix = "+"
                elif before == "." and matches(r"\p{Uppercase}", c):
                    prefix = "."
                if earlier and (is_word_character(earlier) or is_mark(earlier) or earlier in ")]."):
                    prefix = ""
            at = end + len(suffix)
            has_groups = regex.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", word + suffix)
            number = word.replace(",", "") if has_groups else word
            tokens = [("whole", prefix + number)] if prefix else []
            if has_groups:
                tokens.append(("number", number))
            else:
                parts = parts_of(word)
                if suffix or len(parts) > 1:
                    tokens.append(("whole", word + suffix))
                tokens += [("number" if is_digit(part[0]) else "word", part) for part in parts]
            words.append(tokens)
        else:
            previous, following = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
            is_sign = c in "+\u2212" and not is_word_character(previous) and is_digit(following)
            is_tone = "\U0001f3fb" <= c <= "\U0001f3ff" and previous and is_symbol(previous)
            length = 1
            if is_symbol(c) and not is_sign and not is_tone:
                regional = [bool(x) and 0x1F1E6 <= ord(x) <= 0x1F1FF for x in (c, following)]
                length = 2 if all(regional) else 1
                words.append([("symbol", text[at : at + length])])
            at += length
    if not words:
        words = [[("punctuation", c)] for c in text if is_punctuation(c)]
    return words


def upper_half(value):
    return value >> 32


def slot_of(h, displacements, entries):
    d = displacements[upper_half(h) * len(displacements) >> 32]
    mixed = (h ^ (d * 0x9E3779B97F4A7C15 & MASK)) * 0xD6E8FEB86659FD93 & MASK
    return upper_half(mixed) * entries >> 32


def perfect_hash(hashes):
    """Displacements that give each hash a slot of its own, found by trying."""
    entries = len(hashes) * 33 // 32 + 1
    count = len(hashes) // 4 + 1
    buckets = [[h for h in hashes if upper_half(h) * count >> 32 == b] for b in range(count)]
    displacements, taken = [0] * count, {}
    for bucket in sorted(range(count), key=lambda b: -len(buckets[b])):
        for displacement in range(65536):
            displacements[bucket] = displacement
            slots = [slot_of(h, displacements, entries) for h in buckets[bucket]]
            if len(set(slots)) == len(slots) and not any(slot in taken for slot in slots):
                break
        taken.update(zip(slots, buckets[bucket]))
    return displacements, [taken.get(slot) for slot in range(entries)]


def without_a_letter(word):
    return [word, *(word[:i] + word[i + 1 :] for i in range(1, len(word)))]


def fnv_1a(data):
    state = 0xCBF29CE484222325
    for byte in data:
        state = (state ^ byte) * 0x100000001B3 & MASK
    return state


def rows_of(token, model):
    own = own_row(token, model)
    if own is not None:
        return [own]
    if regex.fullmatch("[a-z]{5,20}", token):
        entries = model["misspelt_rows"]
        for spelling in without_a_letter(token):
            h = text_hash(0, spelling)
            entry = int(entries[slot_of(h, model["misspelt_displacements"].tolist(), len(entries))])
            if entry >> 17 == h % (1 << 15):
                return [entry % (1 << 17)]
    marked = "<" + token[:40] + (">" if len(token) <= 40 else "")
    rows = []
    slots = len(model["fingerprints"])
    for start in range(len(marked)):
        for length in (3, 4, 5):
            if start + length <= len(marked):
                f = fnv_1a(marked[start : start + length].encode())
                rows.append(2 + slots + (f ^ upper_half(f)) % (ROWS - 2 - slots))
    return rows


def own_row(token, model):
    h = text_hash(0, token)
    slot = slot_of(h, model["displacements"].tolist(), len(model["fingerprints"]))
    return 2 + slot if model["fingerprints"][slot] == h % (1 << 16) else None


def read(text, model):
    """Token ids and the lexical part."""
    ids, counts = [], {}
    for word in words_of(text)[:MAX_WORDS]:
        for kind, token in word:
            token = lower(token)
            own = own_row(token, model)
            if own is None and kind == "whole" and all(map(is_word_character, token)):
                continue
            ids += rows_of(token, model)
            stem = STEMMER.stemWord(token) if regex.fullmatch("[a-z]+", token) else token
            h = text_hash(1, stem)
            counts[h] = counts.get(h, 0) + 1
            if own is not None and kind == "whole":
                break
    return ids, lexical_part(counts, model["idf"], LEXICAL_DIM)


def embed(text, model, dimensions):
    ids, lexical = read(text, model)
    semantic = sum((model["table"][i] for i in ids), np.zeros(DIM))
    if dimensions <= DIM:
        return ids, normalised(semantic[:dimensions])
    whole = np.concatenate([normalised(semantic), LEXICAL_WEIGHT * normalised(lexical)])
    return ids, normalised(whole[:dimensions])


TEXTS = [
    "", "   ", "...!?", "{}();", "a", "Hello, world!", "Running dogs ran", "the art of the new york times", "It's not good; don\u2019t STOP.",
    "nai\u0308ve naïve NAIVE", "quan\u00adtity of \ufb01nance", "ＡＰＩ ｋｅｙ ４２", "zero\u200bwidth\ufeffno space\u00a0here\u3000there", "Dvořák Łódź Straße œuvre ΣΊΣΥΦΟΣ",
    "мой мои їжак іжак", "C++ and C# and C, .NET 5; end.Next", "type O- or AB+ blood, A-b", "2024-01-02 10.0.0.1 12:30 v1.2.3-rc1",
    "$2,400,000.50 and -1,000 or 1,00", "-40 degrees, +5, 3-4, x-5 \u221240", "x > 5; x<=5; a+b=c; 10^5", "I feel 😀 today 😡👍🏽 🇩🇪🇫🇷🇩", "∑ ≤ ∞",
    "getUserById XMLHttpRequest PDFs NASA's iPhone", "JavaScript javascript", "3m cable RTX4090 500mg covid19 H2O", "definately definitly pasword recieve runnning rnning",
    "snake_case state-of-the-art", "東京都庁 GPU東京 が ガ", "ภาษาไทย ป่า", "हिन्दी में", "안녕하세요 세계", "½ ² Ⅷ ①", "x" * 39, "x" * 40, "x" * 41, "word" * 30,
    "the the the the cat", " ".join(f"word{i}" for i in range(60)), "e\u0301cole co\u0308operate", "\u0000\u0001control\u007f", "a\u0323\u0302b", "שָׁלוֹם الْعَرَبِيَّة",
    "A- 'quoted' rock 'n' roll", "©\ufe0f ™ 5% #1 @home \\ *", "i++ ++i a## g#=", "(5)-3 [a]-3 ..Net",
]  # fmt: skip


def main():
    random = np.random.default_rng(11)
    levels = random.integers(0, 16, (ROWS, DIM))
    scales = random.integers(100, 32768, ROWS).astype("<i2")
    scales[0] = 0
    displacements, slots = perfect_hash([text_hash(0, token) for token in OWN])
    model = {
        "idf": random.integers(1, 256, 32).astype(np.uint8),
        "table": (levels - 7.5) * scales[:, None].astype(float) * SCALE_UNIT,
        "displacements": np.array(displacements, "<u2"),
        "fingerprints": np.array([0 if h is None else h % (1 << 16) for h in slots], "<u2"),
    }
    near = {}
    for word in OFTEN_MISSPELT:
        for spelling in without_a_letter(word):
            near.setdefault(text_hash(0, spelling), own_row(word, model))
    displacements, slots = perfect_hash(list(near))
    model["misspelt_displacements"] = np.array(displacements, "<u2")
    model["misspelt_rows"] = np.array([0 if h is None else (h % (1 << 15)) << 17 | near[h] for h in slots], "<u4")
    tensors = {
        "misspelt_rows": ("U32", model["misspelt_rows"]),
        "scales": ("I16", scales),
        "displacements": ("U16", model["displacements"]),
        "fingerprints": ("U16", model["fingerprints"]),
        "misspelt_displacements": ("U16", model["misspelt_displacements"]),
        "idf": ("U8", model["idf"]),
        "embeddings": ("U8", (levels[:, : DIM // 2] | levels[:, DIM // 2 :] << 4).astype(np.uint8)),
    }
    header, data = {}, b""
    header["__metadata__"] = {
        "format": "embeddings-worker", "name": "golden", "tokenizer": "text-as-written", "normalize": "true",
        "max_seq_len": str(MAX_WORDS), "lexical_dim": str(LEXICAL_DIM), "lexical_weight": str(LEXICAL_WEIGHT),
        "scale_unit": str(SCALE_UNIT),
    }  # fmt: skip
    for name, (dtype, values) in tensors.items():
        end = len(data) + values.nbytes
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), end]}
        data += values.tobytes()
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    folder = pathlib.Path(__file__).parent
    (folder / "text_as_written.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    with open(folder / "text_as_written.jsonl", "w", encoding="utf-8") as file:
        for text in TEXTS:
            for dimensions in (DIM + LEXICAL_DIM, DIM + 5, DIM, 3):
                ids, vector = embed(text, model, dimensions)
                line = {"text": text, "words": len(words_of(text)), "dimensions": dimensions,
                        "token_ids": ids, "embedding": [round(float(value), 9) for value in vector]}  # fmt: skip
                file.write(json.dumps(line, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
