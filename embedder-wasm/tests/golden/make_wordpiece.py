"""Makes wordpiece.json: token ids that Hugging Face's `tokenizers` gives, of two small vocabularies.

    pip install tokenizers==0.23.3 && python make_wordpiece.py
"""

import json
import pathlib
import random

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

OPTIONS = ("clean_text", "chinese_chars", "strip_accents", "lower_case")
WORDS = """the of a hello world run ##ning ##s un ##aff ##able token ##iz ##ation new york state art don t it is not good
sep cls pad mask unk naive cafe resume straße strasse istanbul привет мир при ##вет 東 京 東京 ##京 中 ##文 한 ##국 ᄒ ##ᅡ ##ᆫ ภา ##ษา 👍 ##🏽
Hello World Café ÉCOLE École ecole ##cole 1 ##0 2024 3 14 http www . com ##x ww ##ww ##www q ##ed ##ing""".split()

TEXTS = [
    "", " ", "\t\n\r", "a", "Hello, world!", "hello world hello", "unaffable tokenization running", "New-York state-of-the-art",
    "It is not good; don't stop, don\u2019t STOP.", "'quoted' \"double\" `back` «guillemets» “curly” 〈angle〉 ¿que? ¡si!", "snake_case camelCase x=3.14 C++ C# .NET a/b a\\b",
    "$2,400,000 -40° 50% ~ ^ | < > = + £ € ¥ ₹ ₿", "user@example.com https://www.example.com/a?b=c&d=e#f",
    # special tokens as text
    "[CLS]", "[SEP]", "a [SEP] b", "[sep]", "[UNK] [PAD] [MASK]", "[[SEP]]", "##ing ##s", "# #ing", "<unk>", "@@ed q@@ed",
    # accents, composed and not; order of marks
    "naïve café résumé École ÉCOLE", "nai\u0308ve cafe\u0301 re\u0301sume\u0301", "a\u0323\u0302 a\u0302\u0323 \u1ead", "\u0301 \u0301a \u0301\u0301", "a\u0344b a\u0340b \u0f73 \u0f76 \u0f77 \u0f81",
    "\u212b \u2126 \u212a \u1e9b\u0323 \u1fef \u037e \u0387 \u2329\u232a \u226e \u2260", "ﬁ ﬂ ﬀ ſ ß ẞ straße STRASSE", "İstanbul ISTANBUL ıı İİ", "ΣΊΣΥΦΟΣ Σ ς ᾳ ᾼ Ἀθῆναι ΐ ΰ",
    "Ǆ ǅ ǆ Ǉ ŉ ǰ ẖ և ΐ", "Ԕ Ꭰ ꭰ Ა ა Ⴀ ⴀ Ⱥ ⱥ Ɥ 𐐀 𐐨 𞤀 𞤢 Ⓐ Ⅷ", "クﾞ ガ か\u3099 が \u3099", "\u302ea\u302f\u302e b\u302e\u1b44 中\u302e", "\u1d15e \U0001d15e \U0001d160\U0001d16d\U0001d165 \U0001d1bb",
    "क़ क\u093c हिन्दी में काम", "ক্ষ বাংলা ো \u09cb", "தமிழ் \u0bca \u0bcb", "ಕನ್ನಡ \u0cc0 \u0ccb", "മലയാളം \u0d4c", "සිංහල \u0ddd", "བོད་སྐད། \u0f43", "မြန်မာ \u1026", "ᬅᬆ \u1b06 \u1b44", "\U0001109a \U0001112e \U0001134b \U000114bb \U000115ba",
    # scripts
    "Привет, мир! Приветы ПРИВЕТ Ёлка Й", "東京都庁 GPU東京 東京", "中文字符,测试。「引用」、全角！", "日本語のテキスト、カタカナ・ひらがな", "안녕하세요 세계 한국 한\u1112\u1161\u11ab 각 힣 \ud7a4 \uac00", "ภาษาไทย ง่าย ภาษา", "العَرَبِيَّة ؟ ، لا", "עִבְרִית ״ ׳ ־",
    "ქართული ენა", "Հայերեն ։ ՞", "ትግርኛ ። ፣", "ខ្មែរ ។", "ᠮᠣᠩᠭᠣᠯ ᠃ \u180e", "ᏣᎳᎩ", "ꦗꦮ ꧀ ꧋", "𐎀𐎁 𐤀 𒀀 𓀀", "豈更車 \uf900 \ufa0e \ufa10 \ufa70 \U0002f800 \U0002f81a \U0002fa1d \U0002fa20", "\u3400 \u4dbf \u4dc0 \u4e00 \u9fff \ua000 \U00020000 \U0002a6df \U0002a6e0 \U0002a700 \U0002b81f \U0002b820 \U0002b91f \U0002b920 \U0002ceaf \U0002ceb0 \U00030000",
    "\u3000\u3001\u3002 \uff21\uff30\uff29 \uff0c\uff01 \uff5e \u30fb", "a中b 中a1 é中é",
    # emoji and symbols
    "👍🏽 emoji ok 👍", "👩\u200d👩\u200d👧 🇩🇪 ☺\ufe0f 1\ufe0f\u20e3", "∑ ≤ ∞ ∫ √ π µ Ω", "½ ² ４２ Ⅷ ① ㎏ ™ © ®", "→ ← ⇒ ■ ● ★ ♥ ♪ ⌘ ⏎", "§ ¶ † ‡ • … ‰ ′ ″ ‽ ⁂", "‐ ‑ ‒ – — ― ⸺ 〜 ﹘ －", "_ ‿ ⁀ ﹏ ＿", "⟨a⟩ ⦃b⦄ ❨c❩ 【d】 ﴾e﴿",
    # white space and control characters
    "a\u00a0b\u1680c\u2000d\u2003e\u2028f\u2029g\u202fh\u205fi\u3000j", "zero\u200bwidth\u200cnon\u200djoiner\u2060word\ufeffbom", "soft\u00adhyphen", "a\x00b\x01c\x0bd\x0ce\x1cf\x1dg\x7fh\x85i\x9fj", "\x00\x01control\x7f", "a\ufffdb \ufffd \ufffe \uffff", "\ue000 a\uf8ffb \U000f0000 \U0010fffd \U0010ffff", "\u061c \u200e \u200f \u202a \u202e \u2066 \u2069", "\U000e0001 \U000e0041 \U000e007f \U000e0100",
    "line one\r\nline two\n\n\ttabbed", "\u0085 next\u0085line", "\u180b\u180c \ufe0f \u034f \u115f \u1160 \u3164 \uffa0",
    # newer than the tables
    "\u08d5 \u1ac0 \u1df9 \u2e43 \u2e52 \u0dff \U00011c41 \U0001e95e \U0001fae0 \u1c89 \ua7cb", "\u08d4\u0334 a\u08d4\u1dfb\u0301 \U0001e944\U0001e94a \U00011446\U00011442",
    # long words
    "w" * 99, "w" * 100, "w" * 101, "é" * 100, "é" * 101, "e\u0301" * 100, "e\u0301" * 101, "中" * 101, "각" * 34, "각" * 33, "ß" * 100, "İ" * 100, "İ" * 101, "😀" * 100, "😀" * 101, "\u0301" * 200 + "a",
    "w" * 5000, ("w" * 100 + ".") * 3, "\u302e\u302f" * 60, "a\u302f" * 50 + "\u1b44", "the " * 300, "." * 150, "wwwww", "wwwwww", "runnings runningq q",
]

ALPHABETS = ["abcdefg THE.,-'", "éèêëÀÇñöüÅåøœ ", "aeiou\u0301\u0308\u0323\u0334\u0345 ", "абвгдЁёЙй ,", "東京中文かなカナ、。 ", "각한국\u1112\u1161\u11ab\u1100 ",
             "กขคภาษ่้ ", "अआइकख़ड़\u093c\u094d ", "אבגָּ ־", "ابتًٌَُ ،", "😀👍🏽\u200d\ufe0f🇩🇪 ", "\x00\x0b\x1f\x7f\x85\xa0\xad\u200b\ufffdab", "\u302e\u302f\u1b44\u08d4\u1dfb\u0301\u0f73\U0001d165\U0001d16da ",
             "ẞßİıΣςǅ ", "<>=$+^`|~_-#[] a", "\uf900\ufa10\ufa11\U0002f81a\u4e00\u9fff\u3007 ", "".join(map(chr, range(0x1E00, 0x1F00))), "".join(map(chr, range(0x2000, 0x2070))), "".join(map(chr, range(0xC0, 0x250)))]


def random_texts(source, count):
    for _ in range(count):
        alphabet = "".join(source.sample(ALPHABETS, source.randint(1, 3)))
        yield "".join(source.choice(alphabet) for _ in range(source.randint(1, 30)))


def vocabulary(special, prefix, words, characters):
    words = [prefix + word[2:] if word.startswith("##") else word for word in words]
    singles = [form for character in characters for form in (character, prefix + character)]
    return list(dict.fromkeys([*special, *words, *singles]))


def tokenizer(tokens, model, options):
    clean_text, chinese_chars, strip_accents, lower_case = options
    made = Tokenizer(models.WordPiece(
        {token: id for id, token in enumerate(tokens)}, unk_token=model["unknown_token"],
        max_input_chars_per_word=model["max_word_characters"], continuing_subword_prefix=model["continuing_prefix"]))
    made.normalizer = normalizers.BertNormalizer(
        clean_text=clean_text, handle_chinese_chars=chinese_chars, strip_accents=strip_accents, lowercase=lower_case)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = model["cls_token"], model["sep_token"]
    made.post_processor = processors.BertProcessing((sep, tokens.index(sep)), (cls, tokens.index(cls)))
    return made


def main():
    source = random.Random(7)
    texts = [*TEXTS, *random_texts(source, 150)]
    # Every second character of the texts, in the forms that the options give it, is a token; the others are unknown.
    forms = "".join(texts) + "".join(normalizers.NFD().normalize_str(text) for text in texts)
    characters = sorted(c for c in set(forms + forms.lower()) if c != "\n")[::2]
    bert = {"unknown_token": "[UNK]", "continuing_prefix": "##", "max_word_characters": 100, "cls_token": "[CLS]", "sep_token": "[SEP]"}
    other = {"unknown_token": "<unk>", "continuing_prefix": "@@", "max_word_characters": 5, "cls_token": "<s>", "sep_token": "</s>"}
    golden = []
    for model, special, characters in ((bert, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], characters),
                                       (other, ["<s>", "</s>", "<unk>"], "abcdefgw中東")):
        tokens = vocabulary(special, model["continuing_prefix"], WORDS, characters)
        cases = []
        for index, text in enumerate(texts):
            # Each text with all options, and with another one of their 16 combinations.
            for bits in (15, index % 15):
                made = tokenizer(tokens, model, [bool(bits >> place & 1) for place in range(4)])
                ids = made.encode(text).ids
                made.enable_truncation(8)
                cases.append({"text": text, "options": [name for place, name in enumerate(OPTIONS) if bits >> place & 1],
                              "ids": ids, "first_ids": made.encode(text).ids})
        golden.append({**model, "vocabulary": "\n".join(tokens), "cases": cases})
    lines = ",\n".join(
        json.dumps({**model, "cases": []})[:-2] + "\n" + ",\n".join(json.dumps(case) for case in model["cases"]) + "]}"
        for model in golden)
    (pathlib.Path(__file__).parent / "wordpiece.json").write_text("[" + lines + "]\n", encoding="utf-8")


main()
