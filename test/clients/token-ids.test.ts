// A text sent as cl100k_base token ids is the same text: 10,000 random ones, encoded by js-tiktoken.
import { Tiktoken } from "js-tiktoken/lite";
import cl100k from "js-tiktoken/ranks/cl100k_base";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readTable } from "../../scripts/build-cl100k.js";
import { API_KEY, installedVersion, serviceUnderTest, type Service } from "./service.js";

const TEXT_COUNT = 10_000;
const TEXTS_PER_REQUEST = 2_000;
const SEED = 20_240_601;

/** Ranges of code points; the last ones are half a surrogate pair each. */
const ALPHABETS: [name: string, first: number, last: number][] = [
  ["ASCII letters", 0x61, 0x7a],
  ["ASCII", 0x20, 0x7e],
  ["control characters", 0x00, 0x1f],
  ["Latin", 0xc0, 0x24f],
  ["combining accents", 0x300, 0x36f],
  ["Greek", 0x370, 0x3ff],
  ["Cyrillic", 0x400, 0x4ff],
  ["Hebrew", 0x5d0, 0x5ea],
  ["Arabic", 0x600, 0x6ff],
  ["Devanagari", 0x900, 0x97f],
  ["Thai", 0xe00, 0xe5b],
  ["Georgian", 0x10a0, 0x10ff],
  ["Ethiopic", 0x1200, 0x137f],
  ["spaces and marks", 0x2000, 0x206f],
  ["currency signs", 0x20a0, 0x20c0],
  ["mathematics", 0x2200, 0x22ff],
  ["kana", 0x3040, 0x30ff],
  ["Han", 0x4e00, 0x9fff],
  ["Hangul", 0xac00, 0xd7a3],
  ["private use", 0xe000, 0xe0ff],
  ["full width, byte order mark, replacement character", 0xfe00, 0xffff],
  ["cuneiform", 0x12000, 0x123ff],
  ["flags", 0x1f1e6, 0x1f1ff],
  ["emoji, skin tones", 0x1f300, 0x1f6ff],
  ["more emoji", 0x1f900, 0x1faff],
  ["rare Han", 0x20000, 0x2a6df],
  ["high surrogates, alone", 0xd800, 0xdbff],
  ["low surrogates, alone", 0xdc00, 0xdfff],
];
const PIECES = [
  "the quick brown fox",
  "👩‍👩‍👧‍👦",
  "<|endoftext|>",
  "\ufeff",
  "\r\n",
  "    ",
  "e\u0301",
  "don't",
  "3.14159",
];

const encoder = new Tiktoken(cl100k);
const texts = randomTexts();
const ids = texts.map((text) => encoder.encode(text, [], []));

let service: Service;
before(async () => {
  service = await serviceUnderTest();
});
after(() => service.close());

test(`the committed table turns ${TEXT_COUNT} texts' ids back into their bytes (${installedVersion("js-tiktoken")})`, () => {
  const table = readTable();
  texts.forEach((text, i) => {
    const bytes = Buffer.concat((ids[i] ?? []).map((id) => table[id] ?? Buffer.alloc(0)));
    assert.ok(bytes.equals(Buffer.from(text)), `text ${i}: ${JSON.stringify(text)}`);
  });
});

test(`${TEXT_COUNT} texts get the same vectors as ids and as strings, bit for bit`, async () => {
  for (let first = 0; first < TEXT_COUNT; first += TEXTS_PER_REQUEST) {
    const last = first + TEXTS_PER_REQUEST;
    await assertSameAnswer(ids.slice(first, last), texts.slice(first, last));
  }
});

test("ids that end in the middle of a character get the vectors of the text with U+FFFD for it", async () => {
  const table = readTable();
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const cut = ids
    .filter((text) => text.length > 2)
    .slice(0, TEXTS_PER_REQUEST)
    .map((text) => text.slice(1, -1));
  const decoded = cut.map((text) =>
    decoder.decode(Buffer.concat(text.map((id) => table[id] ?? Buffer.alloc(0)))),
  );
  const broken = decoded.filter((text, i) => text.includes("\ufffd") && !texts[i]?.includes("\ufffd")).length;
  assert.ok(broken > 100, `only ${broken} of the texts were cut within a character`);
  await assertSameAnswer(cut, decoded);
});

async function assertSameAnswer(tokenIds: number[][], strings: string[]): Promise<void> {
  const [fromIds, fromStrings] = [await embed(tokenIds), await embed(strings)];
  strings.forEach((text, i) => {
    assert.equal(fromIds.vectors[i], fromStrings.vectors[i], `${JSON.stringify(text)} as [${tokenIds[i]}]`);
  });
  assert.equal(fromIds.tokens, fromStrings.tokens, "tokens that the answers count");
}

async function embed(input: string[] | number[][]): Promise<{ vectors: string[]; tokens: number }> {
  const response = await fetch(`${service.baseURL}/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ model: "plain", input, encoding_format: "base64" }),
  });
  const answer = (await response.json()) as {
    data: { embedding: string }[];
    usage: { prompt_tokens: number };
  };
  assert.equal(response.status, 200, JSON.stringify(answer));
  return { vectors: answer.data.map((item) => item.embedding), tokens: answer.usage.prompt_tokens };
}

/** The same texts in every run: one to five runs of characters, each from one alphabet or a whole piece. */
function randomTexts(): string[] {
  const random = seededRandom(SEED);
  const below = (limit: number): number => Math.floor(random() * limit);
  return Array.from({ length: TEXT_COUNT }, () => {
    let text = "";
    for (let runs = 1 + below(5); runs > 0; runs--) {
      if (below(8) === 0) text += PIECES[below(PIECES.length)];
      const [, first, last] = ALPHABETS[below(ALPHABETS.length)]!;
      for (let length = 1 + below(12); length > 0; length--)
        text += String.fromCodePoint(first + below(last - first + 1));
      if (below(2) === 0) text += " ";
    }
    return text;
  });
}

/** mulberry32: numbers from 0 to 1. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
