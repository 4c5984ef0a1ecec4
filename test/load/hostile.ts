// Requests that mean harm: what they may cost, and that the next request is none the worse. `npm run test:hostile`: plain
// workerd, whose memory is that of its process. Linux: /proc.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { bundledModules, residentBytes, startWorkerd, type RunningServer } from "../../bench/workerd.js";
import { bundle } from "../../scripts/lib/bundle.js";
import { withService } from "../lib/harness.js";
import { seededWeights } from "../lib/weights.js";
import { trapInLaterChunks } from "../lib/trapping-wasm.js";

const MEGABYTE = 1e6;
const kvFolder = mkdtempSync(join(tmpdir(), "embeddings-worker-hostile-"));
let server: RunningServer;
before(async () => {
  writeFileSync(
    join(kvFolder, "model-weights"),
    seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 16 }),
  );
  server = await startWorkerd({ modules: bundledModules(await bundle()), kvFolder });
  assert.equal((await embed(JSON.stringify({ model: "m", input: "hello" }))).status, 200);
});
after(async () => {
  await server.stop();
  rmSync(kvFolder, { recursive: true });
});

const embed = (body: string): Promise<Response> =>
  fetch(`${server.url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });

async function errorOf(response: Response): Promise<{ status: number; code: string; message: string }> {
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, code: error.code, message: error.message };
}

describe("memory", () => {
  it("a body in chunks of one byte takes little more than its bytes", async () => {
    const before = residentBytes(server.pid);
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    const text = `{"model":"m","input":"${"a".repeat(50_000)}"}`;
    await write(socket, "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    for (let at = 0; at < text.length; at += 1000) {
      await write(socket, [...text.slice(at, at + 1000)].map((byte) => `1\r\n${byte}\r\n`).join(""));
    }
    await settled();
    const held = residentBytes(server.pid) - before;
    const answer = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
    await write(socket, "0\r\n\r\n");
    assert.match(await answer, /^HTTP\/1\.1 200 /);
    socket.destroy();
    assert.ok(held < 60 * MEGABYTE, `${held} bytes for a body of ${text.length}`);
  });

  it("a body is counted where a false length is stated beside its chunks", async () => {
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    const answer = new Promise<string>((resolve) =>
      socket.on("error", () => {}).once("data", (data) => resolve(data.toString())),
    );
    await write(
      socket,
      "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for (let megabytes = 0; megabytes < 12; megabytes++)
      await write(socket, `f4240\r\n${" ".repeat(MEGABYTE)}\r\n`);
    await write(socket, "0\r\n\r\n");
    assert.match(await answer, /^HTTP\/1\.1 413 /);
    socket.destroy();
  });

  for (const [name, body] of [
    ["nested 8 million deep", "[".repeat(8_000_000)],
    ["nested 8 million deep inside input", `{"model":"m","input":${"[".repeat(8_000_000)}`],
    ["of 2.6 million empty arrays", `{"model":"m","input":[${"[],".repeat(2_600_000)}[]]}`],
    [
      "of 2.6 million empty objects in a field that is ignored",
      `{"model":"m","input":"a","x":[${"{},".repeat(2_600_000)}{}]}`,
    ],
  ] as const) {
    it(`a body ${name} is refused before it is parsed`, async () => {
      const before = residentBytes(server.pid);
      const refused = await errorOf(await embed(body));
      assert.deepEqual([refused.status, refused.code], [400, "invalid_json"]);
      assert.match(refused.message, /^The body may hold at most \d+ arrays and objects; got more\.$/);
      const held = residentBytes(server.pid) - before;
      assert.ok(held < 100 * MEGABYTE, `${held} bytes`);
    });
  }

  it("a model's name of 8 MB is echoed whole", async () => {
    const name = "m".repeat(8_000_000);
    const answer = (await (await embed(JSON.stringify({ model: name, input: "a" }))).json()) as {
      model: string;
    };
    assert.equal(answer.model, name);
  });

  it("texts full of brackets and quotes are no such body", async () => {
    const input = Array.from({ length: 2000 }, (_, i) => `${'[{"\\'.repeat(20)} ${i} \\`);
    assert.equal((await embed(JSON.stringify({ model: "m", input }))).status, 200);
  });
});

describe("a request whose URL cannot be read", () => {
  for (const host of ["[", "a:99999"]) {
    it(`is told so in the API's own form: host ${host}`, async () => {
      const answer = await raw(`GET /health HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 404 /);
      assert.match(answer, /access-control-allow-origin: \*/i);
      assert.match(answer, /"code":"unknown_url"/);
    });
  }
});

describe("a request for a host that is no host", () => {
  for (const host of ["1.2.3.4.5", "x".repeat(5_000)]) {
    it(`is told what its path should be: host ${host.slice(0, 10)}`, async () => {
      const answer = await raw(`GET /v1/v1/models HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
      assert.match(answer, /^HTTP\/1\.1 404 /);
      assert.ok(answer.includes(`Set the base URL to http://${host}/v1 or`));
    });
  }
});

describe("a trap while a large answer is sent", () => {
  it("ends that answer, and the next requests get the right vectors", async () => {
    const large = { model: "m", input: Array.from({ length: 2048 }, (_, i) => `text ${i}`) };
    const weights = seededWeights({ vocabSize: 64, dimensions: 256, maxSeqLen: 16 });
    const hello = { model: "m", input: "hello" };
    const events: string[] = [];
    await withService(
      { weights, patchWasm: trapInLaterChunks, onLog: (line) => void events.push(line) },
      async (service) => {
        const expected = await (await service.embed(hello)).json();
        const broken = await service.embed(large);
        assert.equal(broken.status, 200);
        await assert.rejects(broken.json(), "its JSON has no end");
        // The broken answer took its connection with it, which a client may notice only now.
        const next = await service.embed(hello).catch(() => service.embed(hello));
        assert.equal(next.status, 200, "the broken instance was replaced at once");
        assert.deepEqual(await next.json(), expected);
        assert.ok(events.some((line) => line.includes("embedder_trapped")));
      },
    );
  });
});

describe("a KV that answers late", () => {
  it("is waited for: a load that took more than five seconds to begin is still of use", async () => {
    const weights = seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 16 });
    const kv = async (): Promise<Response> => {
      await new Promise((resolve) => setTimeout(resolve, 6_000));
      return new Response(weights.slice());
    };
    await withService({ kv }, async (service) => {
      assert.equal((await service.embed({ model: "m", input: "hello" })).status, 200);
    });
  });
});

describe("the metadata of a KV entry", () => {
  for (const sha256 of [7, "x\r\ny", "ABCDEF012345", null] as never[]) {
    it(`that is ${JSON.stringify(sha256)} is no version, and no failure`, () =>
      withService({ metadata: { length: 1, sha256 } }, async (service) => {
        const response = await service.embed({ model: "m", input: "hello" });
        assert.equal(response.status, 200);
        assert.equal(response.headers.get("x-model-version"), "unknown");
      }));
  }
});

describe("messages", () => {
  it("hold no half of a character", async () => {
    for (const body of [
      `{"model":"m","input":"a","encoding_format":"${"x".repeat(49)}😀😀"}`,
      '{"model":"m",😀',
    ]) {
      const { message } = await errorOf(await embed(body));
      assert.equal(message, Buffer.from(message).toString(), message);
    }
  });
});

function write(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => socket.write(text, (error) => (error ? reject(error) : resolve())));
}

function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1", () => socket.write(text));
    socket
      .on("data", (data) => (answer += data.toString()))
      .on("close", () => resolve(answer))
      .on("error", reject);
  });
}

/** The server has read what was sent: its CPU time stands still. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 3_000));
}
