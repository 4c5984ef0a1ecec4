// What the page makes of texts before and beside the endpoint: words, stems, BM25, passages of files.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import snowball from "snowball-stemmers";
import { Bm25 } from "../../public/bm25.js";
import { passagesOf } from "../../public/passages.js";
import { contentStems, englishStem, wordsAndStems } from "../../public/stems.js";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";

// ----------------------------------------------------------------------------------------------------- stems

test("English stems are Snowball's, for every word of the tokenizer's vocabulary", () => {
  const vocabulary = readFileSync(join(PROJECT_ROOT, "public", "cl100k_base.bin"), "latin1");
  const words = [...new Set(vocabulary.match(/[a-z]{1,30}/g))];
  assert.ok(words.length > 20_000, `${words.length} words`);
  const reference = snowball.newStemmer("english");
  const wrong = words.filter((word) => englishStem(word) !== reference.stem(word));
  assert.deepEqual(
    wrong.slice(0, 20).map((word) => `${word}: ${englishStem(word)}, not ${reference.stem(word)}`),
    [],
  );
});

// The cases of the crate's own tokenizer, which the models read texts with.
for (const [text, expected] of [
  ["", ""],
  [" ... - ' ", ""],
  ["Running dogs", "running run, dogs dog"],
  ["state-of-the-art", "state state, of of, the the, art art"],
  ["Don't stop; it’s John's", "dont dont, stop stop, its it, johns john"],
  ["'quoted' rock 'n' roll", "quoted quot, rock rock, n n, roll roll"],
  ["RFC2119 covid19", "rfc2119 rfc2119, covid19 covid19"],
  ["Straße ÉCOLE", "straße straße, école école"],
  ["Привет, Мир", "привет привет, мир мир"],
  ["東京都 GPU東", "東 東京, 京 京都, 都 都, gpu gpu, 東 東"],
] as const) {
  test(`reads the words of ${JSON.stringify(text)} as the models do`, () => {
    assert.equal(
      wordsAndStems(text)
        .map(({ word, stem }) => `${word} ${stem}`)
        .join(", "),
      expected,
    );
  });
}

test("function words do not count, unless a text has no others", () => {
  assert.deepEqual([...contentStems("How do I reset the passwords?")], ["reset", "password"]);
  assert.deepEqual([...contentStems("What is it?")], ["what", "is", "it"]);
});

// ------------------------------------------------------------------------------------------------------ BM25

test("BM25 scores are those of its formula", () => {
  const documents = [
    "red apples and red pears",
    "green pears",
    "a long text about the sea and its many ships",
    "apple",
  ];
  const lengths = [5, 2, 10, 1];
  const mean = (5 + 2 + 10 + 1) / 4;
  const idf = (having: number) => Math.log(1 + (4 - having + 0.5) / (having + 0.5));
  const part = (count: number, length: number, having: number) =>
    (idf(having) * count * 2.2) / (count + 1.2 * (1 - 0.75 + (0.75 * length) / mean));
  const expected = [
    { index: 0, score: part(2, lengths[0], 1) + part(1, lengths[0], 2) },
    { index: 3, score: part(1, lengths[3], 2) },
  ].sort((a, b) => b.score - a.score);
  const ranked = new Bm25(documents).rank("the red apple");
  assert.deepEqual(
    ranked.map(({ index }) => index),
    expected.map(({ index }) => index),
  );
  ranked.forEach(({ score }, i) => assert.ok(Math.abs(score - expected[i].score) < 1e-9));
});

test("BM25 names the shared words, the rarest first, in the forms that they have", () => {
  const index = new Bm25(["Parcels and a parcel from the shop", "the shop", "a shop"]);
  assert.deepEqual(index.shared(0, contentStems("shop for parcels")), {
    shared: ["parcels", "shop"],
    forms: ["parcels", "parcel", "shop"],
  });
});

// -------------------------------------------------------------------------------------------------- passages

/** That many words, in sentences of ten. */
function prose(words: number, word = "word"): string {
  return Array.from({ length: words }, (_, i) => `${word}${i}${i % 10 === 9 ? "." : ""}`).join(" ");
}

test("Markdown is cut at its headings, and each passage carries those above it", () => {
  const markdown = [
    "# Guide",
    "",
    `<a id="start"></a><!-- hidden -->Start with ${prose(20)}`,
    "",
    "```sh",
    "# no heading",
    "```",
    "",
    "## Baking ##",
    "",
    `Mix <b>flour</b> and ${prose(20)}`,
    "# Other",
    prose(15),
  ].join("\n");
  const passages = passagesOf("guide.md", markdown);
  assert.deepEqual(
    passages.map(({ place }) => place),
    ["Guide", "Guide › Baking", "Other"],
  );
  assert.match(passages[0].text, /^Guide\nStart with word0/);
  assert.match(passages[0].text, /# no heading/);
  assert.match(passages[1].text, /^Guide › Baking\nMix flour and/);
});

test("long texts are cut at the ends of sentences, stubs join what follows, and nothing is lost", () => {
  const text = `A title\n\n${prose(250)}\n\nShort.\n\n${prose(30, "other")}`;
  const passages = passagesOf("notes.txt", text);
  const counts = passages.map(({ text }) => text.split(/\s+/).length);
  assert.ok(counts.length >= 3 && counts.every((count) => count >= 12 && count <= 110), `${counts}`);
  assert.equal(
    passages
      .map(({ text }) => text)
      .join(" ")
      .replace(/\s+/g, " "),
    text.replace(/\s+/g, " "),
  );
  assert.match(passages[0].text, /^A title\nword0/);
  for (const { text } of passages) assert.match(text, /\.$/);
  const [, second] = passagesOf("endless.txt", Array.from({ length: 150 }, (_, i) => `w${i}`).join(" "));
  assert.ok(second, "a sentence without an end is cut, too");
});

test("a CSV file gives a passage for each row, with its columns' names, whatever separates them", () => {
  for (const separator of [",", ";", "\t"]) {
    const rows = [
      ["name", "job"],
      ["Ada", `"writes ""programs""${separator} and\nmore"`],
      ["Grace", ""],
      ["", "none"],
    ];
    assert.deepEqual(
      passagesOf("people.csv", `\uFEFF${rows.map((row) => row.join(separator)).join("\r\n")}\r\n`),
      [
        { text: `name: Ada\njob: writes "programs"${separator} and\nmore`, place: "row 2" },
        { text: "name: Grace", place: "row 3" },
        { text: "job: none", place: "row 4" },
      ],
    );
  }
  assert.deepEqual(passagesOf("one.csv", "question\nWhere is it?\n"), [
    { text: "Where is it?", place: "row 2" },
  ]);
  assert.deepEqual(passagesOf("empty.csv", ""), []);
});

test("a JSON file gives a passage for each member of its list, or for each field", () => {
  assert.deepEqual(
    passagesOf("a.json", '["one text", {"city": "Lima", "tags": ["old", "big"], "none": null}]'),
    [
      { text: "one text", place: "item 1" },
      { text: "city: Lima\ntags: old, big", place: "item 2" },
    ],
  );
  assert.deepEqual(passagesOf("b.json", '{"version": 1, "items": ["one", "two"]}'), [
    { text: "one", place: "item 1" },
    { text: "two", place: "item 2" },
  ]);
  assert.deepEqual(passagesOf("c.json", '{"greeting": "hello", "parting": "bye"}'), [
    { text: "greeting: hello", place: "greeting" },
    { text: "parting: bye", place: "parting" },
  ]);
  assert.deepEqual(passagesOf("d.jsonl", '{"text": "one"}\n{"text": "two"}\n'), [
    { text: "text: one", place: "item 1" },
    { text: "text: two", place: "item 2" },
  ]);
  assert.throws(() => passagesOf("e.json", "{ no"), /^Error: it is not JSON: /);
});
