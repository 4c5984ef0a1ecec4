// What the openai package makes of the answers that are no embeddings: errors, waiting, models.
import OpenAI from "openai";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { startService, withService, type Service } from "../lib/harness.js";
import { seededWeights } from "../lib/weights.js";
import { installedVersion } from "./service.js";

const MODEL = "text-embedding-3-small";
const KEY = "the-key";

let open: Service;
before(async () => {
  open = await startService();
});
after(() => open.stop());

test(`a bad request raises BadRequestError with the Worker's own message (${installedVersion("openai")})`, async () => {
  const error = await rejection(clientOf(open).embeddings.create({ model: MODEL, input: ["hello", ""] }));
  assert.ok(error instanceof OpenAI.BadRequestError);
  assert.equal(error.message, "400 'input[1]' must not be an empty string; got ''.");
  assert.equal(error.param, "input[1]");
  assert.equal(error.code, "invalid_value");
  assert.equal(error.type, "invalid_request_error");
  assert.match(error.requestID ?? "", /^req_/);
});

test("a wrong key raises AuthenticationError, the right one gets an answer", () =>
  withService({ bindings: { API_KEY: KEY } }, async (service) => {
    const error = await rejection(
      clientOf(service, { apiKey: "wrong" }).embeddings.create({ model: MODEL, input: "hello" }),
    );
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(
      error.message,
      "401 The API key is wrong: expected one of this endpoint's keys in 'Authorization: Bearer <key>', 'api-key: <key>' or 'x-api-key: <key>'.",
    );
    assert.equal(error.code, "invalid_api_key");
    const answer = await clientOf(service, { apiKey: KEY }).embeddings.create({
      model: MODEL,
      input: "hello",
    });
    assert.equal(answer.data.length, 1);
  }));

test("a base URL without /v1 raises NotFoundError, which says what is missing", async () => {
  const client = new OpenAI({ baseURL: open.url, apiKey: KEY });
  const error = await rejection(client.embeddings.create({ model: MODEL, input: "hello" }));
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(
    error.message,
    "404 Unknown request URL: POST /embeddings. The base URL of clients ends in /v1.",
  );
});

test("the models are listed, the listed one is described, another is not found", async () => {
  const client = clientOf(open);
  const models = [];
  for await (const model of client.models.list()) models.push(model);
  const [model] = models;
  assert.ok(model !== undefined && models.length === 1);
  assert.equal(model.object, "model");
  assert.deepEqual(await client.models.retrieve(model.id), model);
  const error = await rejection(client.models.retrieve("another-model"));
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, "model_not_found");
});

test("a rate limit raises RateLimitError where retries are off", () =>
  withService({ rateLimit: 1 }, async (service) => {
    const client = clientOf(service, { maxRetries: 0 });
    await earlyInPeriod();
    await client.embeddings.create({ model: MODEL, input: "hello" });
    const error = await rejection(client.embeddings.create({ model: MODEL, input: "hello" }));
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.code, "rate_limit_exceeded");
    assert.equal(error.headers.get("retry-after"), "10");
  }));

test("a rate limit is waited out for as long as retry-after says, and the request is then answered", () =>
  withService({ rateLimit: 1 }, async (service) => {
    const { attempts, fetch } = watchedFetch();
    const client = clientOf(service, { maxRetries: 1, fetch });
    await earlyInPeriod();
    await client.embeddings.create({ model: MODEL, input: "hello" });
    const answer = await client.embeddings.create({ model: MODEL, input: "hello" });
    assert.equal(answer.data.length, 1);
    assert.deepEqual(
      attempts.map((attempt) => attempt.status),
      [200, 429, 200],
    );
    const [, refused, served] = attempts;
    // Timers may be some milliseconds early.
    assert.ok(served!.started - refused!.started >= 9_990, `waited ${served!.started - refused!.started} ms`);
  }));

test("a 503 while the weights cannot be read is tried again and then answered", async () => {
  const weights = seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 16 });
  let reads = 0;
  const kv = (): Response =>
    ++reads === 1 ? new Response("", { status: 500 }) : new Response(weights.slice());
  await withService({ kv }, async (service) => {
    const { attempts, fetch } = watchedFetch();
    const answer = await clientOf(service, { fetch }).embeddings.create({ model: MODEL, input: "hello" });
    assert.equal(answer.data[0]?.embedding.length, 8);
    assert.deepEqual(
      attempts.map((attempt) => attempt.status),
      [503, 200],
    );
    assert.equal(reads, 2);
  });
});

test("weights that stay away raise InternalServerError when the retries are used up", () =>
  withService({ weights: null }, async (service) => {
    const client = clientOf(service, { maxRetries: 1 });
    const error = await rejection(client.embeddings.create({ model: MODEL, input: "hello" }));
    assert.ok(error instanceof OpenAI.InternalServerError);
    assert.equal(error.status, 503);
    assert.equal(error.code, "model_unavailable");
  }));

/** The limiter counts anew every ten seconds by the clock: two requests must not stand on both sides of that. */
async function earlyInPeriod(): Promise<void> {
  const milliseconds = Date.now() % 10_000;
  if (milliseconds > 5_000) await setTimeout(10_000 - milliseconds);
}

function clientOf(service: Service, options: ConstructorParameters<typeof OpenAI>[0] = {}): OpenAI {
  return new OpenAI({ baseURL: `${service.url}/v1`, apiKey: KEY, ...options });
}

/** A fetch that keeps when each attempt started and what it got. */
function watchedFetch(): { attempts: { started: number; status: number }[]; fetch: typeof fetch } {
  const attempts: { started: number; status: number }[] = [];
  return {
    attempts,
    fetch: async (url, init) => {
      const started = performance.now();
      const answer = await fetch(url, init);
      attempts.push({ started, status: answer.status });
      return answer;
    },
  };
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("the request was answered");
}
