// The entrypoint for other Workers, called by other Workers: real workerd, real RPC.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { WorkerOptions } from "miniflare";
import { fromBase64, startService, withService, type Service, type ServiceOptions } from "../lib/harness.js";
import { namedWeights, seededWeights } from "../lib/weights.js";

/** Calls a method with arguments as JSON, and answers with what it gives or throws. */
const RELAY = `
export default {
  async fetch(request, env) {
    const { method, args } = await request.json();
    try {
      const result = await env.EMBEDDINGS[method](...args);
      const kinds = result?.vectors?.map((vector) => vector.constructor.name + " of " + vector.buffer.byteLength);
      return Response.json({ result: { ...result, vectors: result?.vectors?.map((vector) => Array.from(vector)) }, kinds });
    } catch (error) {
      return Response.json({ thrown: { name: error.name, message: error.message } });
    }
  },
};`;

/** As code for Workers AI is written: https://developers.cloudflare.com/workers-ai/models/bge-small-en-v1.5/ */
const WORKERS_AI_CODE = `
export default {
  async fetch(request, env) {
    const stories = ["This is a story about an orange cloud", "This is a story about a llama"];
    const embeddings = await env.AI.run("@cf/baai/bge-small-en-v1.5", { text: stories });
    const one = await env.AI.run("@cf/baai/bge-small-en-v1.5", { text: stories[0] });
    return Response.json({ embeddings, one });
  },
};`;

function caller(script: string, binding: string): WorkerOptions {
  return {
    name: "caller",
    modules: true,
    script,
    compatibilityDate: "2026-04-01",
    serviceBindings: { [binding]: { name: "embeddings-worker", entrypoint: "Embeddings" } },
  };
}

interface Answer {
  result?: {
    vectors?: number[][];
    error?: { code: string; message: string; param: string | null };
    [field: string]: unknown;
  };
  kinds?: string[];
  thrown?: { name: string; message: string };
}

async function call(service: Service, method: string, ...args: unknown[]): Promise<Answer> {
  const answer = await service.fetch("/", { method: "POST", body: JSON.stringify({ method, args }) });
  return (await answer.json()) as Answer;
}

const RELAYED: ServiceOptions = { callers: [caller(RELAY, "EMBEDDINGS")] };

describe("another Worker's embed()", () => {
  let service: Service;
  let plain: Service;
  before(async () => {
    // A key and a limit are set for HTTP: the binding needs none.
    const locked = { bindings: { API_KEY: "secret" }, rateLimit: 1 };
    [service, plain] = await Promise.all([startService({ ...RELAYED, ...locked }), startService()]);
  });
  after(() => Promise.all([service.stop(), plain.stop()]));

  async function vectorsOverHttp(input: string[], more: object = {}): Promise<number[][]> {
    const answer = await plain.embed({ model: "m", input, encoding_format: "base64", ...more });
    const { data } = (await answer.json()) as { data: { embedding: string }[] };
    return data.map(({ embedding }) => Array.from(fromBase64(embedding)));
  }

  it("gives the vectors of HTTP, each a Float32Array of its own, and what is to be known of them", async () => {
    const long = "word ".repeat(20).trim();
    const texts = ["hello world", "???? ", " ", long];
    const { result, kinds } = await call(service, "embed", texts);
    const { vectors, ...rest } = result!;
    const expected = await vectorsOverHttp(texts);
    assert.deepEqual(vectors, expected);
    assert.deepEqual(kinds, [
      "Float32Array of 32",
      "Float32Array of 32",
      "Float32Array of 32",
      "Float32Array of 32",
    ]);
    const empty = expected.flatMap((vector, i) => (vector.every((value) => value === 0) ? [i] : []));
    assert.ok(empty.includes(2));
    assert.deepEqual(rest, {
      model: "embeddings-worker",
      version: "unknown",
      tokens: 19,
      truncated: [{ index: 3, tokens: 20, tokens_read: 16 }],
      empty,
    });
  });

  it("takes one text, dimensions, and options that are null or left out", async () => {
    const [expected] = await vectorsOverHttp(["hello"], { dimensions: 3 });
    assert.deepEqual((await call(service, "embed", "hello", { dimensions: 3 })).result?.vectors, [expected]);
    const [whole] = await vectorsOverHttp(["hello"]);
    const options = { model: null, dimensions: null, inputType: null };
    for (const given of [options, null, {}])
      assert.deepEqual((await call(service, "embed", ["hello"], given)).result?.vectors, [whole]);
  });

  it("gives as many as the limit, in the order of the texts", async () => {
    const texts = Array.from({ length: 2048 }, (_, i) => `text ${i % 7}`);
    const { result } = await call(service, "embed", texts);
    assert.deepEqual(result?.vectors, await vectorsOverHttp(texts));
  });

  for (const [what, args, error] of [
    [
      "nothing",
      [],
      {
        code: "missing_required_parameter",
        param: "texts",
        message: "The field 'texts' is required; got nothing.",
      },
    ],
    [
      "a number",
      [7],
      {
        code: "invalid_type",
        param: "texts",
        message: "'texts' must be a string or an array of strings; got the number 7.",
      },
    ],
    [
      "no text",
      [[]],
      { code: "invalid_value", param: "texts", message: "'texts' must not be empty; got []." },
    ],
    [
      "an empty text",
      [["a", ""]],
      {
        code: "invalid_value",
        param: "texts[1]",
        message: "'texts[1]' must not be an empty string; got ''.",
      },
    ],
    [
      "token ids",
      [[1, 2]],
      { code: "invalid_type", param: "texts[0]", message: "'texts[0]' must be a string; got the number 1." },
    ],
    [
      "2049 texts",
      [Array.from({ length: 2049 }, () => "a")],
      {
        code: "array_above_max_length",
        param: "texts",
        message: "'texts' may hold at most 2048 texts in one request; got 2049.",
      },
    ],
    [
      "too many tokens",
      ["a ".repeat(300_001)],
      {
        code: "max_tokens_per_request",
        param: "texts",
        message: "'texts' may hold at most 300000 tokens in one request; got 300001.",
      },
    ],
    [
      "9 MB",
      [["a".repeat(9_000_000)]],
      {
        code: "request_too_large",
        param: "texts",
        message: "'texts' may have at most 8388608 characters altogether; got 9000000.",
      },
    ],
    [
      "too many dimensions",
      ["a", { dimensions: 9 }],
      {
        code: "invalid_value",
        param: "dimensions",
        message: "'dimensions' must be from 1 to 8 with this model; got 9.",
      },
    ],
    [
      "dimensions as a string",
      ["a", { dimensions: "8" }],
      {
        code: "invalid_type",
        param: "dimensions",
        message: "'dimensions' must be an integer; got the string '8'.",
      },
    ],
    [
      "another input type",
      ["a", { inputType: "text" }],
      {
        code: "invalid_value",
        param: "inputType",
        message: "'inputType' must be 'query' or 'document'; got 'text'.",
      },
    ],
    [
      "an empty model",
      ["a", { model: "" }],
      { code: "invalid_value", param: "model", message: "'model' must not be empty; got ''." },
    ],
    [
      "options that are none",
      ["a", 5],
      { code: "invalid_type", param: "options", message: "'options' must be an object; got the number 5." },
    ],
  ] as const) {
    it(`given ${what} gives the error as a value`, async () => {
      assert.deepEqual((await call(service, "embed", ...args)).result, { error });
    });
  }

  it("has no methods beside it but run()", async () => {
    for (const method of [
      "fetch",
      "connect",
      "parse",
      "log",
      "env",
      "ctx",
      "embedFor",
      "alarm",
      "tail",
      "queue",
      "scheduled",
    ]) {
      const { thrown } = await call(service, method, "a");
      assert.ok(thrown !== undefined, `${method} is no method`);
    }
  });
});

describe("another Worker's run(), in place of Workers AI", () => {
  it("serves code that is written for env.AI", () =>
    withService({ callers: [caller(WORKERS_AI_CODE, "AI")] }, async (service) => {
      const { embeddings, one } = (await (await service.fetch("/")).json()) as Record<
        string,
        { shape: number[]; data: number[][] }
      >;
      assert.deepEqual(Object.keys(embeddings!).sort(), ["data", "shape"]);
      assert.deepEqual(embeddings!.shape, [2, 8]);
      assert.deepEqual(one, { shape: [1, 8], data: [embeddings!.data[0]] });
      for (const vector of embeddings!.data) assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-6);
    }));

  it("answers with the model of that name, whoever it is said to be from", () => {
    const models = [
      namedWeights({ name: "first", vocabSize: 64, dimensions: 4 }),
      namedWeights({ name: "bge-small-en-v1.5", vocabSize: 64, dimensions: 6 }),
    ];
    return withService({ ...RELAYED, models }, async (service) => {
      const shapeOf = async (model: string): Promise<unknown> =>
        (await call(service, "run", model, { text: ["a"], pooling: "cls" })).result?.["shape"];
      assert.deepEqual(await shapeOf("@cf/baai/bge-small-en-v1.5"), [1, 6]);
      assert.deepEqual(await shapeOf("@cf/baai/bge-m3"), [1, 4]);
      const { result } = await call(service, "embed", ["a"], { model: "BAAI/bge-small-en-v1.5" });
      assert.equal(result?.["model"], "bge-small-en-v1.5");
      assert.match(String(result?.["version"]), /^[0-9a-f]{12}$/);
    });
  });

  it("throws what is wrong, as env.AI does", () =>
    withService(RELAYED, async (service) => {
      for (const [args, message] of [
        [["m"], "missing_required_parameter: The field 'text' is required; got nothing."],
        [["m", { text: [] }], "invalid_value: 'text' must not be empty; got []."],
        [["m", { text: ["a", 1] }], "invalid_type: 'text[1]' must be a string; got the number 1."],
        [[7, { text: "a" }], "invalid_type: 'model' must be a string; got the number 7."],
      ] as const) {
        assert.deepEqual((await call(service, "run", ...args)).thrown, { name: "Error", message });
      }
    }));
});

describe("where something is wrong here", () => {
  it("embed() gives it as a value, run() throws it, and the log says so without a text", async () => {
    const lines: string[] = [];
    await withService({ ...RELAYED, weights: null, onLog: (line) => lines.push(line) }, async (service) => {
      const { error } = (await call(service, "embed", "marked-text")).result!;
      assert.equal(error?.code, "model_unavailable");
      assert.match(error.message, /^The model is not available\. .*Try again\.$/);
      const { thrown } = await call(service, "run", "m", { text: "marked-text" });
      assert.match(thrown!.message, /^model_unavailable: The model is not available\./);
    });
    const failures = lines
      .filter((line) => line.includes("call_failed"))
      .map((line) => JSON.parse(line) as unknown);
    assert.deepEqual(failures, [
      { event: "call_failed", code: "model_unavailable", inputs: 1, tokens: 0 },
      { event: "call_failed", code: "model_unavailable", inputs: 1, tokens: 0 },
    ]);
    assert.ok(!lines.join().includes("marked-text"));
  });

  it("calls of two Workers and requests at once each get their own", () =>
    withService(
      { ...RELAYED, weights: seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 64 }) },
      async (service) => {
        const alone = new Map<string, unknown>();
        for (let i = 0; i < 5; i++)
          alone.set(`text ${i}`, (await call(service, "embed", `text ${i}`)).result?.vectors);
        await Promise.all(
          Array.from({ length: 60 }, async (_, i) => {
            const text = `text ${i % 5}`;
            assert.deepEqual((await call(service, "embed", text)).result?.vectors, alone.get(text));
          }),
        );
      },
    ));
});
