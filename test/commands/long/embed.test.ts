// `npm run embed` against the real Worker, and against an endpoint that is busy, slow or gone for a while.
import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { retryAfterSeconds } from "../../../scripts/lib/embed/endpoint.js";
import { passagesOf } from "../../../scripts/lib/embed/markdown.js";
import { PROJECT_ROOT } from "../../../scripts/lib/project.js";
import { fromBase64, startService, type Service } from "../../lib/harness.js";

const folder = mkdtempSync(join(tmpdir(), "embed-"));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(
  args: string[],
  env: Record<string, string> = {},
): { child: ChildProcess; outcome: Promise<Outcome> } {
  const { API_KEY: _, EMBEDDINGS_URL: __, ...inherited } = process.env;
  const child = spawn(process.execPath, ["--import", "tsx", "scripts/embed.ts", ...args], {
    cwd: PROJECT_ROOT,
    env: { ...inherited, ...env },
  });
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]!.on("data", (data: Buffer) => (texts[name] += data.toString()));
  const outcome = once(child, "close").then(([code]) => ({ code: code as number | null, ...texts }));
  return { child, outcome };
}

function embed(args: string[], env?: Record<string, string>): Promise<Outcome> {
  return start(args, env).outcome;
}

async function embedWell(args: string[], env?: Record<string, string>): Promise<Outcome> {
  const outcome = await embed(args, env);
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome;
}

/** Writes a file into the test's folder and returns its path. */
function file(name: string, content: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function linesOf(path: string): Record<string, unknown>[] {
  return readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

interface Npy {
  shape: number[];
  values: Float32Array;
}

function readNpy(path: string): Npy {
  const bytes = readFileSync(path);
  assert.equal(bytes.toString("latin1", 0, 8), "\x93NUMPY\x01\x00");
  const start = 10 + bytes.readUInt16LE(8);
  assert.equal(start % 64, 0);
  const header = bytes.toString("latin1", 10, start);
  assert.ok(header.endsWith("\n"));
  const [, rows, dimensions] =
    /^\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \}/.exec(header)!;
  return {
    shape: [Number(rows), Number(dimensions)],
    values: new Float32Array(new Uint8Array(bytes.subarray(start)).buffer),
  };
}

describe("npm run embed, against the Worker", () => {
  let service: Service;
  before(async () => void (service = await startService({ bindings: { API_KEY: "bulk-key" } })));
  after(() => service.stop());

  const run = (args: string[]): Promise<Outcome> =>
    embedWell([...args, "--url", service.url], { API_KEY: "bulk-key" });

  async function vectorsOf(input: string[], more: object = {}): Promise<number[][]> {
    const answer = await service.embed(
      { model: "m", input, encoding_format: "base64", ...more },
      { authorization: "Bearer bulk-key" },
    );
    const { data } = (await answer.json()) as { data: { embedding: string }[] };
    return data.map(({ embedding }) => Array.from(fromBase64(embedding)));
  }

  const asFloats = (values: unknown): number[] => (values as number[]).map(Math.fround);

  it("embeds a text file, a text a line, empty ones too", async () => {
    const path = file("texts.txt", "hello world\r\n\nrust is fast\n   \n???\nline\u2028separator");
    const { stdout, stderr } = await run([path, "--batch", "2"]);
    const rows = linesOf(`${path}.embeddings.jsonl`);
    const texts = ["hello world", "", "rust is fast", "   ", "???", "line\u2028separator"];
    assert.deepEqual(
      rows.map(({ index, text }) => [index, text]),
      texts.map((text, index) => [index, text]),
    );
    const [hello, rust, marks, separator] = await vectorsOf([
      "hello world",
      "rust is fast",
      "???",
      "line\u2028separator",
    ]);
    const zero = Array.from({ length: 8 }, () => 0);
    assert.deepEqual(
      rows.map(({ embedding }) => asFloats(embedding)),
      [hello, zero, rust, zero, marks, separator],
    );
    assert.match(stdout, /: 6 rows of 8 dimensions by embeddings-worker \(version unknown\), 0\.?\d* MB$/m);
    assert.match(stderr, /^6 rows with \d+ tokens in .*tokens\/s$/m);
    const zeroPlaces = marks!.every((value) => value === 0) ? "line 2, line 4, line 5" : "line 2, line 4";
    assert.ok(stdout.includes(`so that their vectors are zero): ${zeroPlaces}\n`), stdout);
    assert.ok(!existsSync(`${path}.embeddings.jsonl.partial`));
  });

  it("embeds JSONL and keeps the other fields, and names rows that were cut", async () => {
    const long = "word ".repeat(40).trim();
    const path = file(
      "rows.jsonl",
      [
        { id: 7, body: "hello", tags: ["a"] },
        { id: 8, body: long },
      ]
        .map((row) => JSON.stringify(row))
        .join("\n") + '\n\n"a plain string"\n',
    );
    const out = join(folder, "rows.out.jsonl");
    const { stdout } = await run([path, "--column", "body", "--out", out]);
    assert.deepEqual(
      linesOf(out).map(({ embedding: _, ...fields }) => fields),
      [
        { index: 0, id: 7, tags: ["a"], body: "hello" },
        { index: 1, id: 8, body: long },
        { index: 2, body: "a plain string" },
      ],
    );
    assert.match(
      stdout,
      /^1 of them is longer than the model reads, and cut: line 2 \(40 tokens, 16 read\)$/m,
    );
    const about = JSON.parse(readFileSync(`${out}.about.json`, "utf8")) as { truncated: object[] };
    assert.deepEqual(about.truncated, [{ index: 1, tokens: 40, tokens_read: 16 }]);
  });

  it("embeds CSV with quotes, commas and line ends in a field, into .npy", async () => {
    const path = file("rows.csv", '\uFEFFid,text\r\n1,"one, two"\r\n2,"three\n""four"""\r\n');
    const out = join(folder, "rows.npy");
    await run([path, "--out", out, "--dimensions", "3"]);
    const expected = await vectorsOf(["one, two", 'three\n"four"'], { dimensions: 3 });
    const { shape, values } = readNpy(out);
    assert.deepEqual(shape, [2, 3]);
    assert.deepEqual(Array.from(values), expected.flat());
  });

  it("embeds a folder of Markdown, a passage a row, into .parquet", async () => {
    file(
      "notes/b.md",
      "# Bread\n\nMix flour and water.\n\n```sh\n# no heading\n```\n\n## Rye\n\nSour dough.\n",
    );
    file("notes/sub/a.md", "No heading here.\n");
    file("notes/node_modules/c.md", "Not the user's.\n");
    const out = join(folder, "notes.parquet");
    await run([join(folder, "notes"), "--out", out]);
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(out) });
    assert.deepEqual(
      rows.map(({ index, text, fields }) => ({ index, text, fields })),
      [
        {
          index: 0n,
          text: "Bread\nMix flour and water.\n\n```sh\n# no heading\n```",
          fields: { file: "b.md", line: 3, heading: "Bread" },
        },
        {
          index: 1n,
          text: "Bread › Rye\nSour dough.",
          fields: { file: "b.md", line: 11, heading: "Bread › Rye" },
        },
        { index: 2n, text: "No heading here.", fields: { file: "sub/a.md", line: 1, heading: "" } },
      ],
    );
    assert.deepEqual(
      rows.map(({ embedding }) => embedding as number[]),
      await vectorsOf(rows.map(({ text }) => text as string)),
    );
    const { key_value_metadata } = await parquetMetadataAsync(await asyncBufferFromFile(out));
    assert.deepEqual(key_value_metadata, [
      { key: "model", value: "embeddings-worker" },
      { key: "model_version", value: "unknown" },
    ]);
  });

  it("sends again in halves what is too much for one request", async () => {
    const text = "many words ".repeat(10_000);
    const path = file("long.txt", Array.from({ length: 40 }, (_, i) => `${i} ${text}`).join("\n"));
    const out = join(folder, "long.jsonl");
    await run([path, "--out", out]);
    assert.deepEqual(
      linesOf(out).map(({ index }) => index),
      Array.from({ length: 40 }, (_, i) => i),
    );
  });

  it("names the row that the endpoint refuses, and the key that is missing", async () => {
    const path = file("huge.txt", `short\n${"a ".repeat(300_001)}\n`);
    const refused = await embed([path, "--url", service.url, "--key", "bulk-key", "--batch", "1"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^error: line 2 is refused: 'input' may hold at most 300000 tokens/m);
    const locked = await embed([path, "--url", service.url]);
    assert.equal(locked.code, 1);
    assert.match(locked.stderr, /^error: http:.*\/v1 answered 401: No API key was sent/m);
  });
});

// ------------------------------------------------------------------------------ an endpoint that has its moods

/** Answers with a vector that tells the text, and remembers every text that it embedded. */
class MoodyEndpoint {
  readonly embedded: string[] = [];
  readonly times: number[] = [];
  requests = 0;
  /** Decides on a request by its number, from 1: undefined lets it be answered. */
  mood: (request: number, response: ServerResponse) => boolean = () => false;
  milliseconds = 0;
  private readonly server: Server = createServer((request, response) => void this.answer(request, response));

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.times.push(performance.now());
    const number = ++this.requests;
    const body = Buffer.concat((await request.toArray()) as Buffer[]).toString();
    if (this.mood(number, response)) return;
    const { input } = JSON.parse(body) as { input: string[] };
    await new Promise((resolve) => setTimeout(resolve, this.milliseconds));
    this.embedded.push(...input);
    const data = input.map((text, index) => ({ index, embedding: base64(vectorOf(text)) }));
    response.setHeader("x-model-version", "0123456789ab");
    response.end(JSON.stringify({ data, usage: { total_tokens: 3 * input.length } }));
  }
}

/** Two dimensions: nobody's text is another's. */
function vectorOf(text: string): Float32Array {
  return Float32Array.of(Number(/\d+/.exec(text)?.[0] ?? 0) + 1, text.length);
}

function base64(vector: Float32Array): string {
  return Buffer.from(vector.buffer).toString("base64");
}

async function withEndpoint(work: (endpoint: MoodyEndpoint) => Promise<void>): Promise<void> {
  const endpoint = await new MoodyEndpoint().listen();
  try {
    await work(endpoint);
  } finally {
    endpoint.close();
  }
}

const rowTexts = (count: number): string[] => Array.from({ length: count }, (_, i) => `text number ${i}`);

function assertWhole(out: string, texts: string[]): void {
  assert.deepEqual(
    linesOf(out).map(({ index, text, embedding }) => ({ index, text, embedding })),
    texts.map((text, index) => ({ index, text, embedding: Array.from(vectorOf(text)) })),
  );
}

describe("npm run embed, against an endpoint that is busy", () => {
  for (const [name, status, header] of [
    ["429 with retry-after in seconds", 429, () => "2"],
    ["503 with retry-after as a date", 503, () => new Date(Date.now() + 3_000).toUTCString()],
  ] as const) {
    it(`waits as long as it is told: ${name}`, () =>
      withEndpoint(async (endpoint) => {
        let refusedAt = 0;
        endpoint.mood = (request, response) => {
          if (request !== 3) return false;
          refusedAt = performance.now();
          response.writeHead(status, { "retry-after": header() });
          response.end(JSON.stringify({ error: { message: "slow down" } }));
          return true;
        };
        endpoint.milliseconds = 20;
        const path = file(`busy-${status}.txt`, rowTexts(100).join("\n"));
        const { stderr } = await embedWell([
          path,
          "--url",
          endpoint.url,
          "--batch",
          "5",
          "--concurrency",
          "2",
        ]);
        assertWhole(`${path}.embeddings.jsonl`, rowTexts(100));
        assert.match(stderr, new RegExp(`^${status}: slow down; again in [123]\\.\\d s$`, "m"));
        assert.deepEqual([...endpoint.embedded].sort(), rowTexts(100).sort(), "each text is embedded once");
        // The other one may have been under way; whatever begins later waits.
        const early = endpoint.times.filter((time) => time > refusedAt + 200 && time < refusedAt + 1_900);
        assert.deepEqual(early, []);
      }));
  }

  it("tries again when a connection breaks or a server before it answers", () =>
    withEndpoint(async (endpoint) => {
      endpoint.mood = (request, response) => {
        if (request === 1) response.destroy();
        else if (request === 2) response.writeHead(502).end("<html>bad gateway</html>");
        return request <= 2;
      };
      const path = file("broken.txt", rowTexts(10).join("\n"));
      await embedWell([path, "--url", endpoint.url]);
      assertWhole(`${path}.embeddings.jsonl`, rowTexts(10));
    }));

  it("does not try again what is refused for good", () =>
    withEndpoint(async (endpoint) => {
      endpoint.mood = (_, response) => {
        response
          .writeHead(404)
          .end(JSON.stringify({ error: { message: "no such model", code: "model_not_found" } }));
        return true;
      };
      const path = file("refused.txt", "a");
      const { code, stderr } = await embed([path, "--url", endpoint.url]);
      assert.deepEqual([code, stderr], [1, `error: ${endpoint.url}/v1 answered 404: no such model\n`]);
      assert.equal(endpoint.requests, 1);
    }));

  it("understands both forms of retry-after", () => {
    assert.equal(retryAfterSeconds("7"), 7);
    assert.equal(retryAfterSeconds("0.5"), 0.5);
    assert.equal(retryAfterSeconds(null), undefined);
    assert.equal(retryAfterSeconds("soon"), undefined);
    assert.equal(retryAfterSeconds(new Date(0).toUTCString()), 0);
    const inAMinute = retryAfterSeconds(new Date(Date.now() + 60_000).toUTCString())!;
    assert.ok(inAMinute > 57 && inAMinute <= 60, String(inAMinute));
  });
});

describe("npm run embed, stopped half-way", () => {
  const texts = rowTexts(400);

  async function stopHalfway(
    path: string,
    endpoint: MoodyEndpoint,
    signal: NodeJS.Signals,
  ): Promise<Outcome> {
    endpoint.milliseconds = 30;
    const { child, outcome } = start([path, "--url", endpoint.url, "--batch", "10", "--concurrency", "3"]);
    while (endpoint.embedded.length < 120) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill(signal);
    const ended = await outcome;
    assert.ok(endpoint.embedded.length < 400, "it was half-way");
    assert.ok(!existsSync(`${path}.embeddings.jsonl`), "there is no output that is not whole");
    return ended;
  }

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it(`by ${signal}: goes on where it was, and no text is embedded twice`, () =>
      withEndpoint(async (endpoint) => {
        const path = file(`${signal}.txt`, texts.join("\n"));
        const stopped = await stopHalfway(path, endpoint, signal);
        assert.equal(stopped.code, 130, stopped.stderr);
        assert.match(
          stopped.stderr,
          /^Stopped\. What is embedded is kept: the same command goes on from there\.$/m,
        );
        const before = endpoint.embedded.length;
        const { stderr } = await embedWell([path, "--url", endpoint.url, "--batch", "7"]);
        assert.match(stderr, new RegExp(`^${before} of 400 rows were embedded by an earlier run$`, "m"));
        assertWhole(`${path}.embeddings.jsonl`, texts);
        assert.deepEqual([...endpoint.embedded].sort(), [...texts].sort());
      }));
  }

  it("by Ctrl+C in a terminal, where npm and the command both get it: the same", () =>
    withEndpoint(async (endpoint) => {
      const path = file("terminal.txt", texts.join("\n"));
      endpoint.milliseconds = 30;
      const args = ["run", "embed", "--", path, "--url", endpoint.url, "--batch", "10"];
      const npm = spawn("npm", args, { cwd: PROJECT_ROOT, detached: true });
      const ended = once(npm, "close");
      let stderr = "";
      npm.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
      while (endpoint.embedded.length < 120) await new Promise((resolve) => setTimeout(resolve, 5));
      process.kill(-npm.pid!, "SIGINT");
      await ended;
      assert.match(stderr, /^Stopped\. What is embedded is kept/m);
      await embedWell([path, "--url", endpoint.url]);
      assertWhole(`${path}.embeddings.jsonl`, texts);
      assert.deepEqual([...endpoint.embedded].sort(), [...texts].sort());
    }));

  it("by kill -9, again and again: no row is lost or there twice", () =>
    withEndpoint(async (endpoint) => {
      const path = file("killed.txt", texts.join("\n"));
      endpoint.milliseconds = 10;
      let kills = 0;
      for (let wait = 30; ; wait += 60) {
        const sofar = endpoint.requests;
        const { child, outcome } = start([
          path,
          "--url",
          endpoint.url,
          "--batch",
          "10",
          "--concurrency",
          "2",
        ]);
        const ended = outcome.then(({ code }) => code);
        while (endpoint.requests === sofar && child.exitCode === null && child.signalCode === null)
          await new Promise((resolve) => setTimeout(resolve, 5));
        const code = await Promise.race([
          ended,
          new Promise((resolve) => setTimeout(() => resolve("late"), wait)),
        ]);
        if (code === 0) break;
        assert.equal(code, "late");
        child.kill("SIGKILL");
        await outcome;
        kills++;
      }
      assert.ok(kills >= 2, `${kills} kills`);
      assertWhole(`${path}.embeddings.jsonl`, texts);
      // What was under way is sent again, and nothing else.
      assert.ok(
        endpoint.embedded.length <= 400 + kills * 40,
        `${endpoint.embedded.length} texts, ${kills} kills`,
      );
    }));

  for (const [what, keep] of [
    ["in the midst of a record", (size: number) => size - 3],
    ["in the midst of the first line", () => 10],
    ["before the first byte", () => 0],
  ] as const) {
    it(`${what} of its journal: that is cut off`, () =>
      withEndpoint(async (endpoint) => {
        const path = file("torn.txt", texts.join("\n"));
        const out = join(folder, `torn-${keep(100)}.jsonl`);
        endpoint.milliseconds = 20;
        const { child, outcome } = start([path, "--url", endpoint.url, "--out", out, "--batch", "10"]);
        while (endpoint.embedded.length < 100) await new Promise((resolve) => setTimeout(resolve, 5));
        child.kill("SIGKILL");
        await outcome;
        const journal = openSync(`${out}.partial`, "r+");
        ftruncateSync(journal, keep(statSync(`${out}.partial`).size));
        closeSync(journal);
        await embedWell([path, "--url", endpoint.url, "--out", out]);
        assertWhole(out, texts);
      }));
  }

  it("and with other rows, another model or other dimensions afterwards: it does not mix them", () =>
    withEndpoint(async (endpoint) => {
      const path = file("changed.txt", texts.join("\n"));
      await stopHalfway(path, endpoint, "SIGKILL");
      const journal = `${path}.embeddings.jsonl.partial`;
      const other = await embed([path, "--url", endpoint.url, "--model", "other"]);
      assert.deepEqual(
        [other.code, other.stderr],
        [
          1,
          `error: ${journal} holds what an earlier run embedded, with model "embeddings-worker", now it is "other": remove it to begin anew, or name another --out\n`,
        ],
      );
      const cut = await embed([path, "--url", endpoint.url, "--dimensions", "1"]);
      assert.match(cut.stderr, /with dimensions null, now it is 1: remove it/);
      writeFileSync(path, "other\nrows\n");
      const changed = await embed([path, "--url", endpoint.url]);
      assert.match(changed.stderr, /of rows that have changed since: remove it/);
    }));

  it("and finished: run again it says so and asks nothing; with other rows it leaves the output alone", () =>
    withEndpoint(async (endpoint) => {
      const path = file("twice.txt", "one\ntwo");
      await embedWell([path, "--url", endpoint.url]);
      const { requests } = endpoint;
      const again = await embedWell([path, "--url", endpoint.url]);
      assert.match(again.stdout, /is complete already: 2 rows of 2 dimensions/);
      assert.equal(endpoint.requests, requests);
      writeFileSync(path, "one\ntwo\nthree");
      const other = await embed([path, "--url", endpoint.url]);
      assert.equal(other.code, 1);
      assert.match(other.stderr, /is there already, and not from these rows with these settings: remove it/);
      assert.equal(linesOf(`${path}.embeddings.jsonl`).length, 2);
    }));

  it("while the model is changed: it does not mix the two", () =>
    withEndpoint(async (endpoint) => {
      const path = file("model.txt", texts.join("\n"));
      endpoint.mood = (request, response) => {
        if (request < 5) return false;
        const data = Array.from({ length: 10 }, (_, index) => ({ index, embedding: [1, 2] }));
        response.setHeader("x-model-version", "ba9876543210");
        response.end(JSON.stringify({ data }));
        return true;
      };
      const { code, stderr } = await embed([path, "--url", endpoint.url, "--batch", "10"]);
      assert.equal(code, 1);
      assert.match(stderr, /changed its model from version 0123456789ab to ba9876543210 meanwhile/);
    }));
});

it("npm run embed holds a large file's rows in a small heap, for each format", () =>
  withEndpoint(async (endpoint) => {
    const row = `${"some words of a row that is long enough ".repeat(40)}`;
    const path = file("large.txt", Array.from({ length: 40_000 }, (_, i) => `${i} ${row}`).join("\n"));
    assert.ok(statSync(path).size > 60e6);
    for (const ending of ["jsonl", "npy", "parquet"]) {
      const out = join(folder, `large.${ending}`);
      await embedWell([path, "--url", endpoint.url, "--out", out, "--batch", "1000"], {
        NODE_OPTIONS: "--max-old-space-size=100",
      });
      assert.ok(statSync(out).size > 3e5);
    }
    const { shape, values } = readNpy(join(folder, "large.npy"));
    assert.deepEqual(shape, [40_000, 2]);
    for (const i of [0, 1, 27_777, 39_999]) assert.equal(values[2 * i], i + 1);
  }));

describe("npm run embed says in one line what is wrong:", () => {
  const text = (): string => file("ok.txt", "hello");
  for (const [what, args, message] of [
    ["no file", () => [], /^error: usage: npm run embed -- FILE/],
    [
      "a file that is not there",
      () => ["no-such.txt"],
      /^error: no-such\.txt: there is no such file or folder$/,
    ],
    [
      "an empty file",
      () => [file("empty.txt", "")],
      /^error: .*empty\.txt: there is nothing in it to embed$/,
    ],
    ["a folder without Markdown", () => [mkdtempSync(join(folder, "none-"))], /there are no Markdown files/],
    [
      "white space alone",
      () => [file("blank.txt", " \n\n"), "--url", "http://127.0.0.1:9"],
      /^error: .*its rows are white space alone: there is nothing to embed$/,
    ],
    [
      "another output",
      () => [text(), "--out", "a.txt"],
      /^error: --out must end in \.jsonl, \.npy, \.parquet; got a\.txt$/,
    ],
    [
      "a batch that is too large",
      () => [text(), "--batch", "4000"],
      /^error: --batch wants a whole number from 1 to 2048; got "4000"$/,
    ],
    [
      "an input type that is none",
      () => [text(), "--input-type", "text"],
      /^error: --input-type wants query or document; got "text"$/,
    ],
    ["a flag that is none", () => [text(), "--colour"], /^error: Unknown option '--colour'/],
    [
      "a line that is no JSON",
      () => [file("bad.jsonl", '{"text":"a"}\n{"text":')],
      /^error: .*bad\.jsonl, line 2: not JSON: /,
    ],
    [
      "a column that is not there",
      () => [file("cols.csv", "id,body\n1,a\n")],
      /^error: .*cols\.csv, record 1: there is no 'text' among id, body: --column names the text$/,
    ],
    [
      "a text that is a number",
      () => [file("num.jsonl", '{"text":7}')],
      /line 1: 'text' must be a string; got 7$/,
    ],
    [
      "CSV that breaks off",
      () => [file("quote.csv", 'text\n"open')],
      /^error: .*quote\.csv: Quote Not Closed/,
    ],
    [
      "bytes that are no UTF-8",
      () => [bytes("latin.txt", [0x61, 0x0a, 0xe9, 0x0a])],
      /latin\.txt: not UTF-8, in or after line 1$/,
    ],
  ] as const) {
    it(what, async () => {
      const { code, stdout, stderr } = await embed([...args()]);
      assert.equal(code, 1);
      assert.equal(stdout, "");
      assert.match(stderr.trim(), message);
    });
  }

  function bytes(name: string, content: number[]): string {
    const path = join(folder, name);
    writeFileSync(path, Uint8Array.from(content));
    return path;
  }
});

it("Markdown is cut at headings, and a long section between two blocks", () => {
  const paragraph = "word ".repeat(50).trim();
  const markdown = `# A\n\n${paragraph}\n\n${paragraph}\n\n- ${paragraph}\n\n### C\n\n#\n\nlast`;
  assert.deepEqual(
    passagesOf(markdown).map(({ line, heading, text }) => [line, heading, text.split(/\s+/).length]),
    [
      [3, "A", 100],
      [7, "A", 51],
      [13, "", 1],
    ],
  );
});

it("npm run embed is the command", () =>
  new Promise<void>((resolve, reject) => {
    execFile("npm", ["run", "embed"], { cwd: PROJECT_ROOT }, (error, _, stderr) => {
      try {
        assert.equal(error?.code, 1);
        assert.match(stderr, /error: usage: npm run embed -- FILE/);
        resolve();
      } catch (failure) {
        reject(failure as Error);
      }
    });
  }));
