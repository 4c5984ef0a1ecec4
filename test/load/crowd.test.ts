// Crowds and clients that behave badly: many at once on a cold isolate, some that leave, dawdle or never finish. Nobody
// else waits for them, and nothing is left behind. `npm run soak` watches memory over minutes of the same.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { startService, type Service } from "../lib/harness.js";
import { seededWeights } from "../lib/weights.js";

const WEIGHTS = seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 16 });
const HELLO = JSON.stringify({ model: "m", input: "hello" });
/** No one is kept waiting by others; generous, for a busy machine: those who dawdle or stop here would keep them for good. */
const MAX_ANSWER_MILLISECONDS = 15_000;
const MAX_WAIT_MILLISECONDS = 30_000;

describe("1,000 connections at once on a cold isolate", () => {
  it("are all answered rightly, after one read of the weights", async () => {
    let reads = 0;
    const kv = async (): Promise<Response> => {
      reads++;
      await pause(300);
      return new Response(WEIGHTS.slice());
    };
    const service = await startService({ kv });
    try {
      const clients = await Promise.all(Array.from({ length: 1000 }, () => RawClient.connect(service)));
      const answers = await Promise.all(
        clients.map(async (client) => {
          client.send(request(HELLO));
          return client.answer();
        }),
      );
      const [first] = answers;
      assert.match(first!.body, /^\{"object":"list","data":\[\{"object":"embedding","embedding":\[/);
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
      assert.deepEqual(new Set(answers.map(({ body }) => body)), new Set([first!.body]));
      assert.equal(reads, 1);
      clients.forEach((client) => client.leave());
    } finally {
      await service.stop();
    }
  });
});

describe("a service with bad company", { concurrency: true }, () => {
  let service: Service;
  let expected: string;
  const logLines: string[] = [];
  before(async () => {
    service = await startService({ weights: WEIGHTS, onLog: (line) => void logLines.push(line) });
    expected = await (await service.embed(HELLO)).text();
  });
  after(async () => {
    await assertOthersAreServed();
    await service.stop();
    const failed = logLines.filter((line) => /internal_error|trapped/.test(line));
    assert.deepEqual(failed, []);
  });

  async function assertOthersAreServed(): Promise<void> {
    const started = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await RawClient.connect(service);
        client.send(request(HELLO));
        const { body } = await client.answer();
        client.leave();
        return body;
      }),
    );
    assert.deepEqual(new Set(answers), new Set([expected]));
    assert.ok(performance.now() - started < MAX_ANSWER_MILLISECONDS);
  }

  it("outlives 200 clients that leave in the midst of their request", async () => {
    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const client = await RawClient.connect(service);
        client.send(request(HELLO).slice(0, 20 + i));
        await pause(i % 20);
        client.leave();
      }),
    );
    await assertOthersAreServed();
  });

  it("outlives 40 clients that leave in the midst of a large answer", async () => {
    const large = JSON.stringify({ model: "m", input: Array.from({ length: 2048 }, (_, i) => `text ${i}`) });
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        const client = await RawClient.connect(service);
        client.send(request(large));
        await client.firstBytes();
        client.leave();
      }),
    );
    await assertOthersAreServed();
  });

  it("waits for 50 bodies that trickle in, and keeps nobody else waiting", async () => {
    const clients = await Promise.all(Array.from({ length: 50 }, () => RawClient.connect(service)));
    const trickling = Promise.all(
      clients.map(async (client) => {
        for (const byte of request(HELLO)) {
          client.send(byte);
          await pause(5);
        }
        const { status, body } = await client.answer();
        assert.equal(status, 200);
        assert.equal(body, expected);
        client.leave();
      }),
    );
    await assertOthersAreServed();
    await trickling;
  });

  it("keeps nobody waiting for 200 uploads that stop half-way", async () => {
    const clients = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(service)));
    for (const client of clients) client.send(`${request(HELLO, 1_000_000)}{"model":`);
    await assertOthersAreServed();
    clients.forEach((client) => client.leave());
    await assertOthersAreServed();
  });

  it("refuses an upload that never ends after ten seconds of reading on", async () => {
    const client = await RawClient.connect(service);
    const started = performance.now();
    client.send(request("", 1_000_000).replace("/v1/embeddings", "/v1/nothing"));
    const trickle = setInterval(() => client.send("a"), 100);
    try {
      const { status, body } = await client.answer();
      assert.equal(status, 404);
      assert.match(body, /unknown_url/);
      const seconds = (performance.now() - started) / 1000;
      assert.ok(seconds > 9 && seconds < 25, `${seconds} seconds`);
    } finally {
      clearInterval(trickle);
      client.leave();
    }
  });
});

function request(body: string, contentLength = Buffer.byteLength(body)): string {
  const head = [
    "POST /v1/embeddings HTTP/1.1",
    "host: localhost",
    "content-type: application/json",
    `content-length: ${contentLength}`,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A connection of its own, on which a test does as it likes. */
class RawClient {
  private received = "";
  private constructor(private readonly socket: Socket) {
    socket
      .setNoDelay(true)
      .on("data", (data) => (this.received += data.toString()))
      .on("error", () => {});
  }

  static connect(service: Service): Promise<RawClient> {
    const { hostname, port } = new URL(service.url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => resolve(new RawClient(socket))).once(
        "error",
        reject,
      );
    });
  }

  send(text: string): void {
    if (!this.socket.destroyed) this.socket.write(text);
  }

  leave(): void {
    this.socket.destroy();
  }

  async firstBytes(): Promise<void> {
    while (this.received === "") await pause(2);
  }

  /** Reads one answer, by its Content-Length. */
  async answer(): Promise<{ status: number; body: string }> {
    const started = performance.now();
    while (performance.now() - started < MAX_WAIT_MILLISECONDS) {
      const [head = "", body] = this.received.split("\r\n\r\n", 2);
      const length = /^content-length: (\d+)/im.exec(head)?.[1];
      if (body !== undefined && body.length >= Number(length))
        return { status: Number(head.slice(9, 12)), body };
      if (this.socket.destroyed)
        throw new Error(`the connection was lost after '${this.received.slice(0, 200)}'`);
      await pause(5);
    }
    throw new Error(`no answer in ${MAX_WAIT_MILLISECONDS} ms; received '${this.received.slice(0, 200)}'`);
  }
}
