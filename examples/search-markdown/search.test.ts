// The example against the real Worker with the shipped weights, on this project's own documents, whatever they
// say at the time.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { PROJECT_ROOT, SHIPPED_WEIGHTS } from "../../scripts/lib/project.js";
import { startService, type Service } from "../../test/lib/harness.js";
import { seededWeights } from "../../test/lib/weights.js";
import { passagesOf } from "./search.js";

const WEIGHTS = readFileSync(SHIPPED_WEIGHTS);
let folder: string;
let service: Service;
let indexFile: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "search-markdown-"));
  indexFile = join(folder, "index.db");
  service = await startService({
    weights: WEIGHTS,
    metadata: { length: WEIGHTS.length, sha256: "a".repeat(64) },
  });
});

after(async () => {
  await service?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

function search(args: string[], url = service.url): Promise<Outcome> {
  const command = ["--import", "tsx", join(import.meta.dirname, "search.ts"), ...args, "--index", indexFile];
  const env = { ...process.env, EMBEDDINGS_BASE_URL: `${url}/v1` };
  return new Promise((resolve) => {
    execFile(process.execPath, command, { env, cwd: import.meta.dirname }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

/** What `ask` prints, best first. */
function resultsOf({
  code,
  stdout,
  stderr,
}: Outcome): { similarity: number; file: string; line: number; heading: string }[] {
  assert.equal(code, 0, stderr);
  return [...stdout.matchAll(/^(-?[\d.]+) {2}(.+?):(\d+) {2}(.*)$/gm)].map(
    ([, similarity, file, line, heading]) => ({
      similarity: Number(similarity),
      file: file!,
      line: Number(line),
      heading: heading!,
    }),
  );
}

/** The project's own documents, those that people read. */
function copyDocuments(): string[] {
  const names = ["README.md", "CHANGELOG.md", "SECURITY.md", "model/README.md", "model/FORMAT.md"];
  const present = names.filter((name) => existsSync(join(PROJECT_ROOT, name)));
  for (const name of [...present, "examples/search-markdown/README.md"]) {
    mkdirSync(join(folder, "documents", name, ".."), { recursive: true });
    copyFileSync(join(PROJECT_ROOT, name), join(folder, "documents", name));
  }
  return present;
}

test("indexes the project's documents and finds each passage by its own words", async () => {
  const present = copyDocuments();
  const indexed = await search(["index", join(folder, "documents")]);
  assert.equal(indexed.code, 0, indexed.stderr);
  const counts =
    /^(\d+) passages of (\d+) files are in .*, embedded by embeddings-worker \(weights aaaaaaaaaaaa\) in 384 dimensions\.$/m.exec(
      indexed.stdout,
    );
  assert.ok(counts, indexed.stdout);
  assert.equal(Number(counts[2]), present.length + 1);
  assert.ok(Number(counts[1]) > present.length);

  let at = 1;
  const paragraphs: { text: string; at: number }[] = [];
  for (const paragraph of readFileSync(join(import.meta.dirname, "README.md"), "utf8").split("\n\n")) {
    if (/^[A-Z]/.test(paragraph) && paragraph.split(/\s+/).length > 12)
      paragraphs.push({ text: paragraph.replaceAll("\n", " "), at });
    at += paragraph.split("\n").length + 1;
  }
  assert.ok(paragraphs.length >= 3);
  for (const { text, at } of paragraphs.slice(0, 5)) {
    const found = resultsOf(await search(["ask", text, "--top", "3"]));
    assert.equal(found.length, 3);
    assert.deepEqual(
      found.map(({ similarity }) => similarity),
      found.map(({ similarity }) => similarity).sort((a, b) => b - a),
    );
    assert.ok(
      found.some(
        ({ file, line: from }) =>
          file === join("examples", "search-markdown", "README.md") && from <= at && at < from + 40,
      ),
      `the paragraph of line ${at} is not among the results for itself: ${JSON.stringify(found)}`,
    );
  }
});

test("answers a question with the passage that is about it, and says where that stands", async () => {
  mkdirSync(join(folder, "notes", "more"), { recursive: true });
  writeFileSync(
    join(folder, "notes", "cooking.md"),
    [
      "# Cooking",
      "",
      "## Bread",
      "",
      "Mix flour, water, salt and yeast. Let the dough rise, then bake it in a hot oven.",
      "",
      "```sh",
      "# this is a comment, not a heading",
      "bake bread",
      "```",
      "",
      "## Soup",
      "",
      "Simmer onions, carrots and lentils in vegetable stock.",
    ].join("\n"),
  );
  writeFileSync(
    join(folder, "notes", "more", "garden.md"),
    "Roses want sun and water.\n\n# Tools\n\nSharpen the spade and oil the shears before winter.\n",
  );
  mkdirSync(join(folder, "notes", "node_modules"));
  writeFileSync(
    join(folder, "notes", "node_modules", "other.md"),
    "# Bread\n\nNot a document of the user.\n",
  );
  const indexed = await search(["index", join(folder, "notes")]);
  assert.match(indexed.stdout, /^3 passages of 2 files/, indexed.stderr);

  const [bread] = resultsOf(await search(["ask", "baking dough from flour and yeast", "--top", "1"]));
  assert.deepEqual([bread?.file, bread?.line, bread?.heading], ["cooking.md", 5, "Cooking › Bread"]);
  const [garden] = resultsOf(await search(["ask", "do roses need sun"]));
  assert.deepEqual([garden?.file, garden?.line, garden?.heading], [join("more", "garden.md"), 1, ""]);
});

test("takes the model and the dimensions that it is told, and asks with those of the index", async () => {
  const indexed = await search([
    "index",
    join(folder, "notes"),
    "--model",
    "another-name",
    "--dimensions",
    "100",
  ]);
  assert.match(
    indexed.stdout,
    /embedded by another-name \(weights aaaaaaaaaaaa\) in 100 dimensions\.$/m,
    indexed.stderr,
  );
  const [bread] = resultsOf(await search(["ask", "baking dough from flour and yeast", "--top", "1"]));
  assert.equal(bread?.heading, "Cooking › Bread");
});

test("HTML, badges, anchors and tables of contents are left out, and lines keep their numbers", () => {
  const markdown = [
    '<p align="center">', // 1
    '  <img src="logo.png"', // 2
    '       alt="logo">', // 3
    "</p>", // 4
    '# Title <a id="title"></a> [![build][badge]][ci]', // 5
    "<!-- a comment", // 6
    "over two lines -->", // 7
    "- [One](#one)", // 8
    "- [`Two(a | b[])`](#two)", // 9
    "", // 10
    "Read [the guide](https://example.com/guide) or [the other][ref] before you start with all of this here.", // 11
    "", // 12
    "```html", // 13
    "<b># code stays</b>", // 14
    "```", // 15
    "", // 16
    "<details><summary><code>X-Header</code></summary>", // 17
    "", // 18
    "It is a header of its own, and this text says in more than a dozen words what it does.", // 19
    "</details>", // 20
    "", // 21
    "[ref]: https://example.com", // 22
  ].join("\n");
  assert.deepEqual(passagesOf("a.md", markdown), [
    {
      file: "a.md",
      line: 11,
      heading: "Title",
      sections: ["Title"],
      text: "Read the guide or the other before you start with all of this here.\n\n```html\n<b># code stays</b>\n```",
    },
    {
      file: "a.md",
      line: 19,
      heading: "Title › X-Header",
      sections: ["X-Header"],
      text: "It is a header of its own, and this text says in more than a dozen words what it does.",
    },
  ]);
});

test("a section of few words is joined with what follows, and keeps its place", () => {
  const long = "This section has more than a dozen words, so that it can stand for itself in a search.";
  const markdown = [
    "# Options",
    "",
    "## log",
    '<a id="log"></a>',
    "",
    "Type: boolean",
    "",
    "## level",
    "",
    long,
    "",
    "## end",
    "",
    long,
  ];
  assert.deepEqual(
    passagesOf("a.md", markdown.join("\n")).map(({ line, heading, sections, text }) => ({
      line,
      heading,
      sections,
      text,
    })),
    [
      {
        line: 6,
        heading: "Options › log",
        sections: ["log", "level"],
        text: `Type: boolean\nlevel\n${long}`,
      },
      { line: 14, heading: "Options › end", sections: ["end"], text: long },
    ],
  );
});

test("passages and questions without a word, whose vectors are zero, spoil nothing", async () => {
  writeFileSync(join(folder, "notes", "a-first.md"), "---\n");
  const indexed = await search(["index", join(folder, "notes")]);
  assert.match(indexed.stdout, /^3 passages of 3 files/, indexed.stderr);
  assert.match(indexed.stdout, /\nLeft out, since it has no word: a-first\.md\n$/);
  const [bread] = resultsOf(await search(["ask", "baking dough from flour and yeast", "--top", "100"]));
  assert.equal(bread?.heading, "Cooking › Bread");
  const { code, stderr } = await search(["ask", "\u200B"]);
  assert.deepEqual(
    [code, stderr.trim()],
    [1, "error: the question has no word in it, and so no embedding that could be compared"],
  );
});

test("refuses to mix models: the index names one, the endpoint another", async () => {
  const before = statSync(indexFile).mtimeMs;
  for (const dimensions of [8, 384]) {
    const weights = seededWeights({ vocabSize: 64, dimensions, maxSeqLen: 64 });
    const other = await startService({
      weights,
      metadata: { length: weights.length, sha256: "b".repeat(64) },
    });
    try {
      const refused = await search(["ask", "bread"], other.url);
      assert.equal(refused.code, 1);
      assert.equal(refused.stdout, "");
      assert.equal(
        refused.stderr.trim(),
        `error: ${indexFile} was made with weights aaaaaaaaaaaa, and ${other.url}/v1 now serves bbbbbbbbbbbb. ` +
          "Their vectors cannot be compared: run `search.ts index <folder>` again.",
      );
      assert.equal(statSync(indexFile).mtimeMs, before, "the index is left as it was");
    } finally {
      await other.stop();
    }
  }
});

const MISTAKES = [
  {
    name: "a folder that is not there",
    args: ["index", join("no", "such", "folder")],
    says: /^error: there is no folder .*such.folder$/,
  },
  {
    name: "no command",
    args: [],
    says: /^error: usage: search\.ts index <folder> \[--model NAME\] \[--dimensions N\] \| search\.ts ask/,
  },
  { name: "an empty question", args: ["ask", ""], says: /^error: .*input/i },
  {
    name: "a number of results that is none",
    args: ["ask", "bread", "--top", "many"],
    says: /^error: --top is a number of passages from 1 to 100; got many$/,
  },
  {
    name: "a number of dimensions that is none",
    args: ["index", ".", "--dimensions", "0"],
    says: /^error: --dimensions is a number of values from 1 to 65536; got 0$/,
  },
  {
    name: "a model at a question, which has that of its index",
    args: ["ask", "bread", "--model", "other"],
    says: /^error: --model and --dimensions belong to `index`; `ask` takes what the index was made with$/,
  },
];

for (const { name, args, says } of MISTAKES) {
  test(`says in one line what is wrong: ${name}`, async () => {
    const { code, stderr, stdout } = await search(args);
    assert.equal(code, 1);
    assert.match(stderr.trim(), says);
    assert.equal(stdout, "");
  });
}

test("an endpoint that does not answer leaves the old index as it was", async () => {
  const before = readFileSync(indexFile);
  const { code, stderr } = await search(["index", join(folder, "notes")], "http://127.0.0.1:9");
  assert.equal(code, 1);
  assert.match(stderr, /^error: no answer from http:\/\/127\.0\.0\.1:9\/v1\. Is the Worker running\?/);
  assert.deepEqual(readFileSync(indexFile), before);
});
