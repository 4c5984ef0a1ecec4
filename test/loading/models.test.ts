// Several models in one Worker: which one answers, how their weights come out of KV, and what they do to each other.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import * as embedder from "../../embedder-wasm/embedder.js";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";
import { catalogueFor, fromBase64, startService, withService, type Service } from "../lib/harness.js";
import { TRAPPING_BYTES, trapOnLongTexts } from "../lib/trapping-wasm.js";
import { namedWeights } from "../lib/weights.js";

const FIRST = namedWeights({ name: "First-Model", vocabSize: 64, dimensions: 8 });
const SECOND = namedWeights({
  name: "second",
  vocabSize: 64,
  dimensions: 12,
  aliases: { "second-short": 5 },
});
const THIRD = namedWeights({ name: "third", vocabSize: 64, dimensions: 16 });
/** 26.6 MB: more than one KV value holds. */
const LARGE = namedWeights({ name: "large", vocabSize: 26_500, dimensions: 1000 });
const MAX_PART_BYTES = 25 * 1024 * 1024;

const TEXTS = ["hello world", "the quick brown fox", "rust is fast", "one", "two words"];

/** The embeddings of TEXTS by a file alone, without the Worker. */
const expected = new Map<Uint8Array, Float32Array[]>();
before(() => {
  embedder.startEmbedder(readFileSync(join(PROJECT_ROOT, "embedder-wasm", "pkg", "embedder_wasm_bg.wasm")));
  for (const file of [FIRST, SECOND, THIRD, LARGE]) {
    const model = embedder.loadWhole(file);
    const { dimensions } = embedder.modelInfo(model);
    const options = { dimensions, format: "vectors", firstIndex: 0, workBudget: Infinity } as const;
    const values = new Float32Array(embedder.embed(model, TEXTS, options).elements.slice().buffer);
    expected.set(
      file,
      TEXTS.map((_, i) => values.slice(i * dimensions, (i + 1) * dimensions)),
    );
    embedder.dropModel(model);
  }
});

async function vectorsOf(response: Response): Promise<Float32Array[]> {
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const { data } = JSON.parse(text) as { data: { embedding: string }[] };
  return data.map(({ embedding }) => fromBase64(embedding));
}

const ask = (service: Service, model: string, more: object = {}): Promise<Response> =>
  service.embed({ model, input: TEXTS, encoding_format: "base64", ...more });

async function assertAnswersRightly(service: Service, model: string, file: Uint8Array): Promise<void> {
  assert.deepEqual(await vectorsOf(await ask(service, model)), expected.get(file));
}

async function messageOf(response: Response): Promise<string> {
  return ((await response.json()) as { error: { message: string } }).error.message;
}

const keyOf = (file: Uint8Array): string => catalogueFor([file])[0]!.key;
const MODELS = (...files: Uint8Array[]): string => JSON.stringify(catalogueFor(files));

/** A KV that has these files, in parts; `answer` may answer in its place. */
function kvWith(
  files: Uint8Array[],
  answer: (key: string) => Response | Promise<Response> | undefined = () => undefined,
) {
  const values = new Map<string, Uint8Array>();
  for (const file of files) {
    for (let start = 0, part = 1; start < file.length; start += MAX_PART_BYTES, part++)
      values.set(
        part === 1 ? keyOf(file) : `${keyOf(file)}.${part}`,
        file.slice(start, start + MAX_PART_BYTES),
      );
  }
  const reads: string[] = [];
  const kv = async (request: Request): Promise<Response> => {
    const key = new URL(request.url).pathname.slice(1);
    reads.push(key);
    const value = values.get(key);
    return (await answer(key)) ?? new Response(value?.slice() ?? null, { status: value ? 200 : 404 });
  };
  return { kv, reads };
}

describe("which model answers", () => {
  let service: Service;
  before(async () => void (service = await startService({ models: [FIRST, SECOND, THIRD] })));
  after(() => service.stop());

  const cases: { asked: string; answers: string; file: Uint8Array }[] = [
    { asked: "second", answers: "second", file: SECOND },
    { asked: "first-model", answers: "First-Model", file: FIRST },
    { asked: "@cf/somebody/THIRD", answers: "third", file: THIRD },
    { asked: "text-embedding-3-small", answers: "First-Model", file: FIRST },
    { asked: "second/", answers: "First-Model", file: FIRST },
  ];
  for (const { asked, answers, file } of cases) {
    it(`${asked} is answered by ${answers}, and the answer says so`, async () => {
      const response = await ask(service, asked);
      assert.equal(response.headers.get("x-model"), answers);
      assert.equal(response.headers.get("x-model-version"), keyOf(file).slice(-12));
      assert.match(response.headers.get("access-control-expose-headers") ?? "", /\bx-model\b/);
      const answer = (await response.clone().json()) as { model: string };
      assert.equal(answer.model, asked);
      assert.deepEqual(await vectorsOf(response), expected.get(file));
    });
  }

  it("another name of the same file has its own default dimensions, and the file's own as the bound", async () => {
    const short = await vectorsOf(await ask(service, "second-short"));
    assert.deepEqual(short, await vectorsOf(await ask(service, "second", { dimensions: 5 })));
    const whole = await vectorsOf(await ask(service, "second-short", { dimensions: 12 }));
    assert.deepEqual(whole, expected.get(SECOND));
    const response = await ask(service, "second-short", { dimensions: 13 });
    assert.equal(response.status, 400);
    assert.equal(response.headers.get("x-model"), "second-short");
    assert.equal(await messageOf(response), "'dimensions' must be from 1 to 12 with this model; got 13.");
  });

  it("/v1/models lists all names, the default first, and finds each as a request does", async () => {
    const { data } = (await (await service.fetch("/v1/models")).json()) as {
      data: { id: string; dimensions: number; max_dimensions: number }[];
    };
    assert.deepEqual(
      data.map(({ id, dimensions, max_dimensions }) => [id, dimensions, max_dimensions]),
      [
        ["First-Model", 8, 8],
        ["second", 12, 12],
        ["second-short", 5, 12],
        ["third", 16, 16],
      ],
    );
    assert.deepEqual(await (await service.fetch("/v1/models/somebody%2FThird")).json(), data[3]);
    assert.equal(
      await messageOf(await service.fetch("/v1/models/fourth")),
      "The model 'fourth' does not exist; this endpoint serves 'First-Model', 'second', 'second-short', 'third'.",
    );
  });
});

describe("a model with words of its own for questions", () => {
  const weights = namedWeights({
    name: "asked",
    vocabSize: 64,
    dimensions: 8,
    prompts: { query_prompt: "a question: " },
  });

  it("reads them before each text that is one, and nothing before other texts", () =>
    withService({ weights }, async (service) => {
      const embed = async (input: string[], input_type?: string) => {
        const body = { model: "asked", input, input_type, encoding_format: "base64" };
        const answer = await service.embed(body);
        const { usage } = (await answer.clone().json()) as { usage: { prompt_tokens: number } };
        return { vectors: await vectorsOf(answer), tokens: usage.prompt_tokens };
      };
      const plain = await embed(TEXTS);
      const asked = await embed(TEXTS, "query");
      assert.deepEqual(asked, await embed(TEXTS.map((text) => `a question: ${text}`)));
      assert.equal(asked.tokens, plain.tokens + 2 * TEXTS.length);
      assert.notDeepEqual(asked.vectors, plain.vectors);
      assert.deepEqual(await embed(TEXTS, "document"), plain);
    }));
});

describe("MAX_REQUEST_TOKENS", () => {
  const catalogue = catalogueFor([FIRST, SECOND]);
  const withTransformer = catalogue.map((entry, i) => (i === 0 ? entry : { ...entry, architecture: "bert" }));
  const MODELS = withTransformer;

  it("takes the place of a transformer's limit, and of no static model's", () => {
    const { kv } = kvWith([FIRST, SECOND]);
    return withService({ kv, bindings: { MODELS, MAX_REQUEST_TOKENS: "4" } }, async (service) => {
      const { data } = (await (await service.fetch("/v1/models")).json()) as {
        data: { max_tokens_per_request: number }[];
      };
      assert.deepEqual(
        data.map(({ max_tokens_per_request }) => max_tokens_per_request),
        [300_000, 4, 4],
      );
      const input = ["one two three", "four five"];
      assert.equal((await service.embed({ model: "first-model", input })).status, 200);
      const refused = await service.embed({ model: "second", input });
      assert.equal(refused.status, 400);
      assert.equal(
        await messageOf(refused),
        "'input' may hold at most 4 tokens in one request; got 5. Send fewer texts at once: chunk_size in LangChain for Python, batchSize in LangChain.js, embed_batch_size in LlamaIndex.",
      );
      assert.equal((await service.embed({ model: "second", input: "one two three four" })).status, 200);
    });
  });

  it("that is no number is a 503 that says so", () =>
    withService({ bindings: { MODELS, MAX_REQUEST_TOKENS: "many" } }, async (service) => {
      const response = await ask(service, "second");
      assert.equal(response.status, 503);
      assert.equal(
        await messageOf(response),
        "The model is not available. The variable MAX_REQUEST_TOKENS must be a positive integer; got 'many'. Try again.",
      );
    }));
});

describe("the catalogue", () => {
  it("tells about all models, though KV fails", () =>
    withService(
      { kv: () => new Response("no", { status: 500 }), bindings: { MODELS: MODELS(FIRST, SECOND) } },
      async (service) => {
        const list = await service.fetch("/v1/models");
        assert.equal(list.status, 200);
        assert.equal(list.headers.get("x-model-version"), keyOf(FIRST).slice(-12));
        assert.equal((await service.fetch("/v1/models/second")).status, 200);
        const api = (await (await service.fetch("/openapi.json")).json()) as {
          components: { schemas: { Dimensions: { maximum: number }; ModelId: { examples: string[] } } };
        };
        assert.equal(api.components.schemas.Dimensions.maximum, 12);
        assert.deepEqual(api.components.schemas.ModelId.examples, ["First-Model", "second", "second-short"]);
        assert.equal((await service.fetch("/health")).status, 503);
      },
    ));

  const [entry] = catalogueFor([FIRST]);
  const unreadable: { name: string; models: string; reason: string }[] = [
    {
      name: "is no JSON",
      models: "First-Model",
      reason: "Unexpected token 'F', \"First-Model\" is not valid JSON",
    },
    { name: "is empty", models: "[]", reason: "expected an array of models" },
    {
      name: "has a model without a key",
      models: JSON.stringify([entry, { ...entry, key: undefined }]),
      reason: "[1].key must be a text; got the undefined undefined",
    },
    {
      name: "has a model without dimensions",
      models: JSON.stringify([{ ...entry, dimensions: 0 }]),
      reason: "[0].dimensions must be a positive integer; got the number 0",
    },
    {
      name: "has a hash that is none",
      models: JSON.stringify([{ ...entry, sha256: "x\r\ny" }]),
      reason: "[0].sha256 must be 64 hex digits; got the string 'x\r\ny'",
    },
  ];
  for (const { name, models, reason } of unreadable) {
    it(`that ${name} is a 503 that says so`, () =>
      withService({ bindings: { MODELS: models } }, async (service) => {
        const response = await ask(service, "second");
        assert.equal(response.status, 503);
        assert.equal(response.headers.get("x-model-version"), "unknown");
        assert.equal(
          await messageOf(response),
          `The model is not available. The variable MODELS cannot be read: ${reason}. Try again.`,
        );
      }));
  }
});

describe("a file in two parts", () => {
  it("gives the vectors that it gives as a whole", () =>
    withService({ models: [FIRST, LARGE] }, (service) => assertAnswersRightly(service, "large", LARGE)));

  it("is found under MODEL_KEY alone as well", () => {
    const { kv, reads } = kvWith([LARGE]);
    const key = keyOf(LARGE);
    return withService({ kv, bindings: { MODEL_KEY: key } }, async (service) => {
      await assertAnswersRightly(service, "any", LARGE);
      assert.deepEqual(reads, [key, `${key}.2`]);
      const answer = await ask(service, "any");
      assert.equal(answer.headers.get("x-model"), "large");
    });
  });

  const second = LARGE.slice(MAX_PART_BYTES);
  for (const { name, part, reason } of [
    { name: "is not there", part: null, reason: `there is nothing under the KV key '${keyOf(LARGE)}.2'` },
    {
      name: "is too short",
      part: second.slice(0, 1000),
      reason: `the part '${keyOf(LARGE)}.2' has 1000 bytes; expected ${second.length}`,
    },
    {
      name: "is too long",
      part: new Uint8Array([...second, 0]),
      reason: `the file goes on after the ${LARGE.length} bytes that its header describes`,
    },
  ]) {
    it(`whose second one ${name} is a 503 that says so`, () => {
      const { kv } = kvWith([LARGE], (key) =>
        key.endsWith(".2") ? new Response(part, { status: part === null ? 404 : 200 }) : undefined,
      );
      return withService({ kv, bindings: { MODELS: MODELS(LARGE) } }, async (service) => {
        const response = await ask(service, "large");
        assert.equal(response.status, 503);
        assert.equal(
          await messageOf(response),
          `The model is not available. Its weights cannot be used: ${reason}. Try again.`,
        );
      });
    });
  }
});

describe("two models on a cold isolate", () => {
  it("load at the same time, each once, and every request gets its own model's vectors", () => {
    // Neither is sent before both were asked for.
    let asked = new Set<string>();
    let release = (): void => {};
    const both = new Promise<void>((resolve) => (release = resolve));
    const { kv, reads } = kvWith([SECOND, LARGE], async (key) => {
      asked = asked.add(key);
      if (asked.size === 2) release();
      await both;
      return undefined as never;
    });
    return withService({ kv, bindings: { MODELS: MODELS(SECOND, LARGE) } }, async (service) => {
      await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          i % 2 === 0
            ? assertAnswersRightly(service, "second", SECOND)
            : assertAnswersRightly(service, "large", LARGE),
        ),
      );
      assert.deepEqual(reads.sort(), [keyOf(LARGE), `${keyOf(LARGE)}.2`, keyOf(SECOND)].sort());
    });
  });

  it("of which one fails to load: the other answers, and the next request tries again", () => {
    let failures = 1;
    const { kv, reads } = kvWith([FIRST, SECOND], (key) =>
      key === keyOf(SECOND) && failures-- > 0 ? new Response("no", { status: 500 }) : undefined,
    );
    return withService({ kv, bindings: { MODELS: MODELS(FIRST, SECOND) } }, async (service) => {
      const [first, failed] = await Promise.all([ask(service, "first-model"), ask(service, "second")]);
      assert.equal(failed.status, 503);
      assert.equal(failed.headers.get("x-model"), "second");
      assert.deepEqual(await vectorsOf(first), expected.get(FIRST));
      await assertAnswersRightly(service, "second", SECOND);
      await assertAnswersRightly(service, "first-model", FIRST);
      assert.equal(reads.length, 3);
    });
  });
});

describe("when the instance is lost", () => {
  it("by a trap, all models are loaded anew and answer rightly", () => {
    const { kv, reads } = kvWith([FIRST, SECOND]);
    const bindings = { MODELS: MODELS(FIRST, SECOND) };
    return withService({ kv, bindings, patchWasm: trapOnLongTexts }, async (service) => {
      await assertAnswersRightly(service, "first-model", FIRST);
      await assertAnswersRightly(service, "second", SECOND);
      const trapped = await service.embed({ model: "second", input: "a".repeat(TRAPPING_BYTES) });
      assert.equal(trapped.status, 503);
      await Promise.all([
        assertAnswersRightly(service, "first-model", FIRST),
        assertAnswersRightly(service, "second", SECOND),
      ]);
      assert.equal(reads.length, 4);
    });
  });

  it("in the middle of a call that never ended, as when a request is killed, the next call notices", () => {
    // An error that wasm makes is made by a function of the host: where that throws, the call is left half-way, here in
    // the reading of a file that is none. The load is given up then, which is the next call.
    const patchWorker = (source: string): string => {
      const makesError = /__wbg_Error_\w+: .*function\(arg0, arg1\) \{/;
      assert.match(source, makesError);
      return source.replace(makesError, (start) => `${start} throw "killed";`);
    };
    const { kv } = kvWith([FIRST], (key) => (key === keyOf(SECOND) ? new Response("no weights") : undefined));
    const events: string[] = [];
    const bindings = { MODELS: MODELS(FIRST, SECOND) };
    return withService(
      { kv, bindings, patchWorker, onLog: (line) => void events.push(line) },
      async (service) => {
        await assertAnswersRightly(service, "first-model", FIRST);
        const failed = await ask(service, "second");
        assert.equal(failed.status, 503);
        assert.equal(
          await messageOf(failed),
          "The model is not available. The embedder failed and is being replaced. Try again.",
        );
        assert.equal(failed.headers.get("retry-after"), "1");
        await assertAnswersRightly(service, "first-model", FIRST);
        assert.equal(events.filter((line) => line.includes('"embedder_trapped"')).length, 1);
      },
    );
  });
});

describe("with room for two models of three", () => {
  const bindings = { MODELS: MODELS(FIRST, SECOND, THIRD) };
  const constants = { MAX_WEIGHTS_BYTES: FIRST.length + THIRD.length };

  it("the one that was used longest ago goes, and comes back when it is asked for", () => {
    const { kv, reads } = kvWith([FIRST, SECOND, THIRD]);
    const dropped: string[] = [];
    const onLog = (line: string): void => {
      const { event, key } = JSON.parse(line) as { event: string; key: string };
      if (event === "model_dropped") dropped.push(key);
    };
    return withService({ kv, bindings, constants, onLog }, async (service) => {
      await assertAnswersRightly(service, "first-model", FIRST);
      await assertAnswersRightly(service, "second", SECOND);
      await assertAnswersRightly(service, "first-model", FIRST);
      await assertAnswersRightly(service, "third", THIRD);
      assert.deepEqual(dropped, [keyOf(SECOND)]);
      await assertAnswersRightly(service, "first-model", FIRST);
      await assertAnswersRightly(service, "second", SECOND);
      assert.deepEqual(dropped, [keyOf(SECOND), keyOf(THIRD)]);
      assert.deepEqual(reads, [FIRST, SECOND, THIRD, SECOND].map(keyOf));
    });
  });

  it("40 requests for all three at once get their own model's vectors, or a 503 with the time to wait", () => {
    const { kv } = kvWith([FIRST, SECOND, THIRD]);
    return withService({ kv, bindings, constants }, async (service) => {
      const files = { "first-model": FIRST, second: SECOND, third: THIRD };
      const names = Object.keys(files) as (keyof typeof files)[];
      let answered = 0;
      await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          const name = names[i % 3]!;
          const response = await ask(service, name);
          if (response.status === 503) {
            assert.equal(response.headers.get("retry-after"), "1");
            return;
          }
          assert.deepEqual(await vectorsOf(response), expected.get(files[name]));
          answered++;
        }),
      );
      assert.ok(answered > 0, `${answered} answered`);
      for (const name of names) await assertAnswersRightly(service, name, files[name]);
    });
  });

  it("a model that a request holds stays, and a third one has to wait", () => {
    const { kv } = kvWith([FIRST, SECOND, THIRD]);
    const slow = { SLICE_WORK: 1, PAUSE_MILLISECONDS: 1, MAX_WEIGHTS_BYTES: THIRD.length + 10 };
    return withService({ kv, bindings, constants: slow }, async (service) => {
      await assertAnswersRightly(service, "third", THIRD);
      let done = false;
      const input = Array.from({ length: 2048 }, (_, i) => `text ${i}`);
      const long = service
        .embed({ model: "third", input, encoding_format: "base64" })
        .finally(() => (done = true));
      let refused: Response | undefined;
      while (!done && refused?.status !== 503) refused = await ask(service, "second");
      assert.equal((await vectorsOf(await long)).length, 2048);
      assert.equal(refused?.status, 503);
      assert.equal(
        await messageOf(refused),
        "The model is not available. Other models, which are in use, take all the memory for weights. Try again.",
      );
      await assertAnswersRightly(service, "second", SECOND);
    });
  });
});
