"""Makes words_and_stems.jsonl and words_and_stems.safetensors: what model/FORMAT.md says of the tokenizer
words-and-stems, written a second time and without a look at the Rust code.

    pip install snowballstemmer==2.2.0 regex numpy && python make_words_and_stems.py
"""

import json
import math
import pathlib
import struct

import numpy as np
import regex
import snowballstemmer

# A row has 20 bytes: the 16 that readers take at once, and four more.
ROWS, DIM, LEXICAL_DIM, LEXICAL_WEIGHT, MAX_WORDS, SCALE_UNIT = 40, 40, 16, 0.7, 50, 0.0001
MASK = (1 << 64) - 1
UNSPACED = [(0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x30FF),
            (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
            (0x20000, 0x3FFFF)]
STEMMER = snowballstemmer.stemmer("english")


def siphash_1_3(key, data):
    def rotl(value, bits):
        return ((value << bits) | (value >> (64 - bits))) & MASK

    v = [key ^ 0x736F6D6570736575, 0x646F72616E646F6D, key ^ 0x6C7967656E657261, 0x7465646279746573]

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK; v[1] = rotl(v[1], 13) ^ v[0]; v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK; v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK; v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK; v[1] = rotl(v[1], 17) ^ v[2]; v[2] = rotl(v[2], 32)

    padded = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (block,) in struct.iter_unpack("<Q", padded):
        v[3] ^= block
        rounds(1)
        v[0] ^= block
    v[2] ^= 0xFF
    rounds(3)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def text_hash(key, text):
    return siphash_1_3(key, text.encode() + b"\xff")


def is_unspaced(character):
    return any(first <= ord(character) <= last for first, last in UNSPACED)


def words_and_stems(text):
    runs, run = [], ""
    for index, character in enumerate(text):
        if regex.match(r"[\p{Alphabetic}\p{N}]", character):
            if run and is_unspaced(character) != is_unspaced(run[0]):
                runs.append(run)
                run = ""
            run += character.lower() if character != "Σ" else "σ"
        else:
            joins = character in "'\u2019" and run and regex.match(r"[\p{Alphabetic}\p{N}]", text[index + 1 : index + 2])
            if not joins and run:
                runs.append(run)
                run = ""
    if run:
        runs.append(run)
    for run in runs:
        if is_unspaced(run[0]):
            yield from ((run[i], run[i : i + 2]) for i in range(len(run)))
        else:
            yield run, STEMMER.stemWord(run) if regex.fullmatch("[a-z]+", run) else run


def read(text, model):
    """Token ids and the lexical part."""
    ids, counts = [], {}
    for word, stem in list(words_and_stems(text))[:MAX_WORDS]:
        word_hash, stem_hash = text_hash(0, word), text_hash(1, stem)
        ids += [2 + word_hash % (ROWS - 2), 2 + stem_hash % (ROWS - 2)]
        counts[stem_hash] = counts.get(stem_hash, 0) + 1
    return ids, lexical_part(counts, model["idf"], LEXICAL_DIM)


def lexical_part(counts, idf, dimensions):
    """The sketch of a text's stems; `counts` says how often each hash of a stem comes."""
    lexical = np.zeros(dimensions)
    block_dim = dimensions // 4
    for stem_hash, count in counts.items():
        value = (1 + math.log(count)) * float(idf[stem_hash % len(idf)])
        for block in range(4):
            bits = stem_hash >> 16 * block & 0xFFFF
            lexical[block * block_dim + (bits >> 1) % block_dim] += -value if bits & 1 else value
    return lexical


def normalised(vector):
    norm = np.linalg.norm(vector)
    return vector / norm if norm > 0 else vector


def embed(text, model, dimensions, is_damped=False):
    ids, lexical = read(text, model)
    semantic = sum((model["table"][i] for i in ids), np.zeros(DIM))
    if dimensions <= DIM:
        return ids, normalised(semantic[:dimensions])
    weight = LEXICAL_WEIGHT / (math.sqrt(max(1, np.linalg.norm(lexical) / 510)) if is_damped else 1)
    whole = np.concatenate([normalised(semantic), weight * normalised(lexical)])
    return ids, normalised(whole[:dimensions])


def main():
    random = np.random.default_rng(7)
    levels = random.integers(0, 16, (ROWS, DIM))
    scales = random.integers(100, 32768, ROWS).astype("<i2")
    scales[0] = 0
    model = {
        "idf": random.integers(1, 256, 32).astype(np.uint8),
        "table": (levels - 7.5) * scales[:, None].astype(float) * SCALE_UNIT,
    }
    tensors = {
        "scales": ("I16", scales),
        "idf": ("U8", model["idf"]),
        "embeddings": ("U8", (levels[:, : DIM // 2] | levels[:, DIM // 2 :] << 4).astype(np.uint8)),
    }
    header, data = {}, b""
    header["__metadata__"] = {
        "format": "embeddings-worker", "name": "golden", "tokenizer": "words-and-stems", "normalize": "true",
        "max_seq_len": str(MAX_WORDS), "lexical_dim": str(LEXICAL_DIM), "lexical_weight": str(LEXICAL_WEIGHT),
        "scale_unit": str(SCALE_UNIT),
    }
    for name, (dtype, values) in tensors.items():
        end = len(data) + values.nbytes
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), end]}
        data += values.tobytes()
    header = json.dumps(header, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    folder = pathlib.Path(__file__).parent
    (folder / "words_and_stems.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)

    texts = [
        "", "   ", "...!?", "a", "Hello, world!", "Running dogs ran", "the art of the new york times", "New-York",
        "It is not good; don't stop, don\u2019t STOP.", "'quoted' rock 'n' roll's", "state-of-the-art RFC2119 covid19",
        "Straße ÉCOLE naïve İstanbul ΣΊΣΥΦΟΣ", "Привет, мир! Приветы", "東京都庁 GPU東京", "ภาษาไทย ง่าย", "हिन्दी में", "안녕하세요 세계",
        "½ ² ４２ Ⅷ", "snake_case camelCase x=3.14", "zero\u200bwidth\ufeffno space\u00a0here\u3000there", "👍🏽 emoji ok",
        "generalization generalizations oscillators skies dying news inning", "w" * 63, "w" * 64, "word" * 100,
        "the the the the cat", " ".join(f"word{i}" for i in range(60)), "e\u0301cole co\u0308operate", "\u0000\u0001control\u007f",
    ]
    with open(folder / "words_and_stems.jsonl", "w", encoding="utf-8") as file:
        for text in texts:
            for dimensions in (DIM + LEXICAL_DIM, DIM + 5, DIM, 3):
                ids, vector = embed(text, model, dimensions)
                line = {"text": text, "words": len(list(words_and_stems(text))), "dimensions": dimensions,
                        "token_ids": [int(i) for i in ids], "embedding": rounded(vector)}
                if dimensions > DIM:
                    line["damped"] = rounded(embed(text, model, dimensions, is_damped=True)[1])
                file.write(json.dumps(line, ensure_ascii=True) + "\n")


def rounded(vector):
    return [round(float(value), 8) for value in vector]


if __name__ == "__main__":
    main()
