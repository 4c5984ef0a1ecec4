// What `npm run tune` is made of, but for the training itself: test/commands/long/tune.test.ts has that.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { generalPairs, measure } from "../../scripts/lib/tune/measure.js";
import { readPairs, splitPairs, type Columns, type Pair } from "../../scripts/lib/tune/pairs.js";
import { epochsFor } from "../../scripts/lib/tune/trainer.js";
import { checkedWeights } from "../../scripts/lib/weights.js";
import { bestOf } from "../../scripts/tune.js";
import { namedWeights } from "../lib/weights.js";

const PAIRS: Pair[] = Array.from({ length: 120 }, (_, i) => ({
  anchor: `question ${i}, "quoted"`,
  positive: `answer ${i}`,
}));

let folder: string;
before(() => (folder = mkdtempSync(join(tmpdir(), "tune-test-"))));
after(() => rmSync(folder, { recursive: true }));

function read(name: string, lines: string[], columns?: Columns): Promise<Pair[]> {
  const path = join(folder, name);
  writeFileSync(path, lines.join("\n"));
  return readPairs(path, columns);
}

describe("pairs", () => {
  const tsv = PAIRS.map(({ anchor, positive }) => `${anchor}\t${positive}`);
  const quoted = ({ anchor, positive }: Pair) => `"${anchor.replaceAll('"', '""')}","${positive}"`;

  test("are read from TSV with and without a header, from CSV and from JSONL", async () => {
    assert.deepEqual(await read("plain.tsv", tsv), PAIRS);
    assert.deepEqual(await read("header.tsv", ["anchor\tpositive", ...tsv, ""]), PAIRS);
    assert.deepEqual(await read("pairs.csv", ["anchor,positive", ...PAIRS.map(quoted)]), PAIRS);
    assert.deepEqual(
      await read(
        "pairs.jsonl",
        PAIRS.map((pair) => JSON.stringify(pair)),
      ),
      PAIRS,
    );
  });

  test("are read from the columns that are named", async () => {
    const columns: Columns = ["question", "reply"];
    const rows = PAIRS.map(({ anchor, positive }, i) => `${positive}\t${i}\t${anchor}`);
    assert.deepEqual(await read("columns.tsv", ["reply\tid\tquestion", ...rows], columns), PAIRS);
    const records = PAIRS.map(({ anchor, positive }, id) =>
      JSON.stringify({ id, question: anchor, reply: positive }),
    );
    assert.deepEqual(await read("columns.jsonl", records, columns), PAIRS);
  });

  test("that come again are one, and white space becomes single spaces", async () => {
    const csv = ["anchor,positive", ...PAIRS.map(quoted), ...PAIRS.map(quoted)];
    csv[1] = `" question  0,\n""quoted""","answer\t0"`;
    assert.deepEqual(await read("twice.csv", csv), PAIRS);
  });

  test("that cannot be used are refused with their line", async () => {
    const cases: [name: string, lines: string[], message: string, columns?: Columns][] = [
      [
        "one-column.tsv",
        ["a\tb", "", "only one"],
        "line 3: expected 2 columns (anchor, a tab, positive), got 1: only one",
      ],
      [
        "three-columns.tsv",
        ["q\ta\tid", "a\tb\t1", "c\td"],
        "line 3: expected 3 columns, got 2: c\td",
        ["q", "a"],
      ],
      ["blank.tsv", ["a\tb", "c\t "], "line 2: expected text in the column positive, got none"],
      [
        "names.csv",
        ["question,answer", '"a\nb",c'],
        "line 3: there is no column 'anchor' among question, answer: --columns anchor,positive names the two",
      ],
      ["number.jsonl", ['{"anchor":"a","positive":1}'], "line 1: 'positive' must be a string; got 1"],
      ["string.jsonl", ['"a"'], "line 1: expected an object with anchor and positive, got a string"],
      ["array.jsonl", ["", "[1]"], "line 2: a line must be an object or a string; got [1]"],
    ];
    for (const [name, lines, message, columns] of cases)
      await assert.rejects(read(name, lines, columns), {
        message: `${join(folder, name)}, ${message}`,
      });
  });

  test("that are too few are refused", async () => {
    await assert.rejects(read("few.tsv", tsv.slice(0, 99)), {
      message: `${join(folder, "few.tsv")}: at least 100 different pairs are wanted; got 99`,
    });
  });

  test("in another kind of file are refused", async () => {
    await assert.rejects(
      read("pairs.parquet", tsv),
      /: \.tsv, \.csv or \.jsonl can be read, and no \.parquet$/,
    );
    await assert.rejects(readPairs(join(folder, "none.tsv")), /none\.tsv: there is no such file$/);
  });
});

describe("the split", () => {
  test("takes each pair once, the same way whatever the order", () => {
    const split = splitPairs(PAIRS);
    const parts = [split.choosing, split.report, split.training];
    assert.deepEqual(
      parts.map((part) => part.length),
      [25, 25, 70],
    );
    const byAnchor = (a: Pair, b: Pair) => (a.anchor < b.anchor ? -1 : 1);
    assert.deepEqual(parts.flat().sort(byAnchor), [...PAIRS].sort(byAnchor));
    assert.deepEqual(splitPairs([...PAIRS].reverse()), split);
  });

  test("holds back a tenth twice, and at most 500", () => {
    const many = Array.from({ length: 9000 }, (_, i) => ({ anchor: `a${i}`, positive: `p${i}` }));
    assert.equal(splitPairs(many.slice(0, 1000)).report.length, 100);
    assert.equal(splitPairs(many).choosing.length, 500);
  });
});

describe("the choice", () => {
  test("is the most careful rate of those within a point of the best", () => {
    const candidates = [
      { rate: 0.005, score: 60.9 },
      { rate: 0.01, score: 61.2 },
      { rate: 0.02, score: 62 },
    ];
    assert.equal(bestOf(candidates).rate, 0.01);
    assert.equal(bestOf(candidates.slice(0, 2)).rate, 0.005);
  });

  test("of epochs is for 40 steps, within bounds", () => {
    assert.deepEqual([100, 4000, 45_000, 1_000_000].map(epochsFor), [40, 10, 3, 3]);
  });
});

describe("what is measured", () => {
  test("is how often the own text is nearest, and the general questions", () => {
    const weights = checkedWeights(namedWeights({ name: "tiny", vocabSize: 512, dimensions: 64 }));
    const same = PAIRS.map(({ positive }) => ({ anchor: positive, positive }));
    const [meaning, ...others] = measure(weights, same);
    assert.deepEqual(others, [], "this model has no lexical part");
    assert.equal(meaning?.dimensions, 64);
    // Two of 120 may share their rows of a table as small as this.
    assert.ok(meaning.firstRight > 80, `${meaning.firstRight}`);
    const crossed = PAIRS.map(({ positive }, i) => ({
      anchor: PAIRS[(i + 1) % PAIRS.length]!.positive,
      positive,
    }));
    assert.ok(measure(weights, crossed)[0]!.firstRight < 20);
    assert.ok(meaning.general > 0 && meaning.general < 100, `${meaning.general}`);
  });

  test("has general questions that are all different, and so are their answers", () => {
    const pairs = generalPairs();
    assert.equal(pairs.length, 64);
    assert.equal(new Set(pairs.flatMap(({ anchor, positive }) => [anchor, positive])).size, 128);
  });
});
