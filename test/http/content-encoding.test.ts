// Bodies in gzip: read like any other, the limit counted on what comes out, and a bomb refused early and cheaply.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { after, before, describe, it } from "node:test";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { startService, type Service } from "../lib/harness.js";

const HELLO = JSON.stringify({ model: "m", input: ["hello", "world"] });
const LIMIT = 8 * 1024 * 1024;

let service: Service;
before(async () => void (service = await startService()));
after(() => service.stop());

interface Answer {
  status: number;
  acceptEncoding: string | undefined;
  body: { error?: { code: string; message: string; param: null }; data?: unknown[] };
}

/** With its length, or in chunks of so many bytes without one. */
function post(body: Uint8Array, contentEncoding: string, chunkBytes?: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      `${service.url}/v1/embeddings`,
      {
        method: "POST",
        // workerd closes a connection that was idle for five seconds, which a busy client may see too late.
        agent: false,
        headers: {
          "content-type": "application/json",
          "content-encoding": contentEncoding,
          ...(chunkBytes === undefined && { "content-length": body.byteLength }),
        },
      },
      (response) => {
        let text = "";
        response.on("data", (data: Buffer) => (text += data.toString()));
        response.on("end", () =>
          resolve({
            status: response.statusCode!,
            acceptEncoding: response.headers["accept-encoding"],
            body: JSON.parse(text) as Answer["body"],
          }),
        );
      },
    );
    request.on("error", reject);
    const step = chunkBytes ?? body.byteLength;
    for (let start = 0; start < body.byteLength; start += step)
      request.write(body.subarray(start, start + step));
    request.end();
  });
}

async function plainAnswer(): Promise<unknown> {
  return (await service.embed(HELLO)).json();
}

describe("a body in gzip", () => {
  for (const [name, coding, chunkBytes] of [
    ["is read", "gzip", undefined],
    ["is read whatever the case", "GZip", undefined],
    ["is read under its old name", "x-gzip", undefined],
    ["is read with identity beside it", "identity, gzip", undefined],
    ["is read without a length", "gzip", 16],
    ["is read byte by byte", "gzip", 1],
  ] as const) {
    it(name, async () => {
      const { status, body } = await post(gzipSync(HELLO), coding, chunkBytes);
      assert.equal(status, 200, JSON.stringify(body));
      assert.deepEqual(body, await plainAnswer());
    });
  }

  it("that holds large texts is read up to the limit, and not a byte beyond", async () => {
    const frame = '{"model":"m","input":""}';
    const filled = (bytes: number): string => frame.replace('""', `"${"a".repeat(bytes - frame.length)}"`);
    assert.equal((await post(gzipSync(filled(LIMIT)), "gzip")).status, 200);
    const { status, body } = await post(gzipSync(filled(LIMIT + 1)), "gzip");
    assert.equal(status, 413);
    assert.match(body.error!.message, /^The body may have at most 8388608 bytes; got more than \d+\.$/);
  });

  it("of noise, which gzip makes no smaller, comes out as it went in", async () => {
    const words = Array.from({ length: 60_000 }, (_, i) => ((i * 2654435761) % 4294967296).toString(36));
    const text = JSON.stringify({ model: "m", input: words.join(" ") });
    const { body } = await post(gzipSync(text), "gzip");
    assert.deepEqual(body, await (await service.embed(text)).json());
  });

  for (const [name, bytes] of [
    ["not gzip", Buffer.from(HELLO)],
    ["cut off", gzipSync(HELLO).subarray(0, -5)],
    ["damaged", gzipSync(HELLO).fill(0xff, 20, 30)],
    ["followed by something else", Buffer.concat([gzipSync(HELLO), Buffer.from("more")])],
    ["cut off in its header", gzipSync(HELLO).subarray(0, 5)],
  ] as const) {
    it(`that is ${name} is a 400 that says so`, async () => {
      const { status, body } = await post(bytes, "gzip");
      assert.equal(status, 400);
      assert.equal(body.error!.code, "invalid_json");
      assert.match(body.error!.message, /^The body is not gzip, or not whole: /);
    });
  }

  it("that holds no JSON is told so as any other", async () => {
    const { body } = await post(gzipSync("{"), "gzip");
    assert.match(body.error!.message, /^The body is not valid JSON: /);
  });
});

describe("a gzip bomb", () => {
  /** A thousand times larger than it is: 1 GB. */
  const bomb = gzipSync(Buffer.alloc(1_000_000_000, " "));

  it("is refused early: for 1 GB no more is unpacked than the limit", async () => {
    await post(gzipSync(HELLO), "gzip");
    const memory = peakMemory();
    const start = performance.now();
    const { status, body } = await post(bomb, "gzip");
    assert.equal(status, 413);
    const got = Number(/got more than (\d+)\.$/.exec(body.error!.message)![1]);
    assert.ok(got > LIMIT && got <= LIMIT + 64 * 1024, `${got} bytes were unpacked`);
    assert.ok(performance.now() - start < 2_000);
    assert.ok(peakMemory() - memory < 60e6, `${(peakMemory() - memory) / 1e6} MB`);
  });

  it("ten at a time do not keep others from being answered", async () => {
    const bombs = Promise.all(Array.from({ length: 10 }, () => post(bomb, "gzip")));
    const start = performance.now();
    assert.equal((await service.embed(HELLO)).status, 200);
    assert.ok(performance.now() - start < 3_000);
    assert.deepEqual(new Set((await bombs).map(({ status }) => status)), new Set([413]));
  });

  it("that never gives anything is refused by what was sent", async () => {
    // A file name in the header may be of any length.
    const header = Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]);
    const { status } = await post(
      Buffer.concat([header, Buffer.alloc(LIMIT + 1_000_000, "a")]),
      "gzip",
      65_536,
    );
    assert.equal(status, 413);
    // So may stored blocks that are empty.
    const blocks = Buffer.alloc(10_000_000).fill(Buffer.from([0, 0, 0, 0xff, 0xff]));
    const plain = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    assert.equal((await post(Buffer.concat([plain, blocks]), "gzip")).status, 413);
  });
});

describe("a body in another coding is a 415 that names those that are read", () => {
  for (const [coding, bytes] of [
    ["deflate", deflateSync(HELLO)],
    ["br", brotliCompressSync(HELLO)],
    ["zstd", Buffer.from(HELLO)],
    ["compress", Buffer.from(HELLO)],
    ["gzip, gzip", gzipSync(gzipSync(HELLO))],
    ["gzip, br", brotliCompressSync(gzipSync(HELLO))],
    ["none", Buffer.from(HELLO)],
  ] as const) {
    it(coding, async () => {
      const { status, acceptEncoding, body } = await post(bytes, coding);
      assert.deepEqual(body, {
        error: {
          message: `The body may be sent as it is or with 'content-encoding: gzip'; got '${coding}'.`,
          type: "invalid_request_error",
          param: null,
          code: "unsupported_content_encoding",
        },
      });
      assert.deepEqual([status, acceptEncoding], [415, "gzip, identity"]);
    });
  }

  it("after the content type and before the body", async () => {
    const typed = await service.embed("{", { "content-type": "text/plain", "content-encoding": "br" });
    assert.equal(((await typed.json()) as Answer["body"]).error?.code, "unsupported_media_type");
    const large = await post(Buffer.alloc(LIMIT + 1), "br");
    assert.equal(large.status, 415);
  });

  for (const coding of ["identity", "", "identity, identity"]) {
    it(`and '${coding}' is no coding`, async () => {
      assert.deepEqual((await post(Buffer.from(HELLO), coding)).body, await plainAnswer());
    });
  }
});

/** The most that any workerd started from here has taken, in bytes. */
function peakMemory(): number {
  const peaks = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, "utf8");
        const isOurs = /^Name:\s+workerd$/m.test(status) && status.includes(`\nPPid:\t${process.pid}\n`);
        return isOurs ? Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024 : 0;
      } catch {
        return 0;
      }
    });
  return Math.max(...peaks);
}
