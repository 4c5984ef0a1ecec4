// Keys, the rate limit, and that neither keys nor texts reach a log line.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startService, withService } from "../lib/harness.js";

const HELLO = { model: "m", input: "hello" };
const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

describe("with API_KEY set", () => {
  const cases: { name: string; headers: Record<string, string>; status: number; message?: string }[] = [
    {
      name: "no key is refused",
      headers: {},
      status: 401,
      message:
        "No API key was sent: expected the header 'Authorization: Bearer <key>', 'api-key: <key>' or 'x-api-key: <key>'.",
    },
    { name: "a wrong key is refused", headers: bearer("first-kez"), status: 401 },
    { name: "the start of a key is refused", headers: bearer("first"), status: 401 },
    { name: "a key with something after it is refused", headers: bearer("first-key2"), status: 401 },
    { name: "an empty key is refused", headers: bearer(""), status: 401 },
    { name: "all keys at once are refused", headers: bearer("first-key,second-key"), status: 401 },
    { name: "another scheme is refused", headers: { authorization: "Basic first-key" }, status: 401 },
    { name: "the first key is taken", headers: bearer("first-key"), status: 200 },
    { name: "the second key is taken", headers: bearer("second-key"), status: 200 },
    { name: "Azure's header is taken", headers: { "api-key": "first-key" }, status: 200 },
    { name: "x-api-key is taken", headers: { "X-API-Key": " second-key " }, status: 200 },
    { name: "a wrong key in Azure's header is refused", headers: { "api-key": "first" }, status: 401 },
    { name: "an empty key in Azure's header is refused", headers: { "api-key": "" }, status: 401 },
    {
      name: "a scheme in Azure's header is refused",
      headers: { "api-key": "Bearer first-key" },
      status: 401,
    },
    {
      name: "a right key beside another service's header is taken",
      headers: { authorization: "Basic dXNlcjpwYXNz", "x-api-key": "first-key" },
      status: 200,
    },
    {
      name: "two wrong keys are refused",
      headers: { ...bearer("first-kez"), "api-key": "second-kez" },
      status: 401,
    },
    {
      name: "the scheme's case does not matter",
      headers: { authorization: "bearer first-key" },
      status: 200,
    },
  ];
  for (const { name, headers, status, message } of cases) {
    it(name, async () => {
      const service = await lockedService;
      const response = await service.embed(HELLO, headers);
      assert.equal(response.status, status);
      if (status === 200) return;
      assert.equal(response.headers.get("www-authenticate"), "Bearer");
      assert.deepEqual(await response.json(), {
        error: {
          message:
            message ??
            "The API key is wrong: expected one of this endpoint's keys in 'Authorization: Bearer <key>', 'api-key: <key>' or 'x-api-key: <key>'.",
          type: "invalid_request_error",
          param: null,
          code: "invalid_api_key",
        },
      });
    });
  }

  it("models ask for a key, health and preflight do not", async () => {
    const service = await lockedService;
    const statuses = [
      service.fetch("/v1/models"),
      service.fetch("/v1/models/x"),
      service.fetch("/health"),
      service.fetch("/v1/embeddings", { method: "OPTIONS" }),
    ];
    assert.deepEqual(
      (await Promise.all(statuses)).map(({ status }) => status),
      [401, 401, 200, 204],
    );
  });

  it("of commas alone, nobody is let in", async () => {
    await withService({ bindings: { API_KEY: " , " } }, async (service) => {
      assert.equal((await service.embed(HELLO)).status, 401);
      assert.equal((await service.embed(HELLO, bearer(""))).status, 401);
      assert.equal((await service.embed(HELLO, bearer(","))).status, 401);
    });
  });

  it("is over", async () => (await lockedService).stop());
});

const lockedService = startService({ bindings: { API_KEY: "first-key, second-key" } });

describe("with a rate limit", () => {
  it("what goes beyond it is a 429 that says when to come back", async () => {
    const service = await startService({ rateLimit: 3 });
    try {
      const statuses: number[] = [];
      for (let i = 0; i < 4; i++) {
        const response = await service.embed(HELLO);
        statuses.push(response.status);
        if (response.status !== 429) continue;
        assert.equal(response.headers.get("retry-after"), "10");
        assert.deepEqual(await response.json(), {
          error: {
            message: "Too many requests: this endpoint's rate limit is reached. Try again in 10 seconds.",
            type: "rate_limit_error",
            param: null,
            code: "rate_limit_exceeded",
          },
        });
      }
      assert.deepEqual(statuses, [200, 200, 200, 429]);
      assert.equal((await service.fetch("/health")).status, 200);
    } finally {
      await service.stop();
    }
  });

  it("each key has its own, and a made-up key gets a 401 and uses up none", async () => {
    const service = await startService({ rateLimit: 2, bindings: { API_KEY: "a,b" } });
    try {
      const statuses: number[] = [];
      for (const key of ["wrong", "a", "wrong", "a", "a", "b"])
        statuses.push((await service.embed(HELLO, bearer(key))).status);
      assert.deepEqual(statuses, [401, 200, 401, 200, 429, 200]);
    } finally {
      await service.stop();
    }
  });

  it("without keys a made-up bearer does not evade it", async () => {
    const service = await startService({ rateLimit: 2 });
    try {
      const statuses: number[] = [];
      for (const key of ["x", "y", "z"]) statuses.push((await service.embed(HELLO, bearer(key))).status);
      assert.deepEqual(statuses, [200, 200, 429]);
    } finally {
      await service.stop();
    }
  });
});

describe("logs and answers", () => {
  it("hold a line of JSON for each failure and each load, and never a text, a key or a stack", async () => {
    const lines: string[] = [];
    const service = await startService({
      bindings: { API_KEY: "marked-key" },
      onLog: (line) => lines.push(line),
    });
    const answers: string[] = [];
    try {
      for (const [body, key] of [
        [{ model: "m", input: "marked-text" }, "marked-key"],
        [{ model: "m", input: ["marked-text", 1] }, "marked-key"],
        ['{"input":"marked-text"', "marked-key"],
        [{ model: "m", input: "marked-text", dimensions: 99 }, "marked-key"],
        [{ model: "m", input: "marked-text ".repeat(300_001) }, "marked-key"],
        [{ model: "m", input: "marked-text" }, "marked-guess"],
      ] as const) {
        const response = await service.embed(body, bearer(key));
        answers.push((await response.text()) + JSON.stringify(Object.fromEntries(response.headers)));
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    } finally {
      await service.stop();
    }
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      events.map(({ event, status, code, inputs }) => [event, status, code, inputs]),
      [
        ["model_loaded", undefined, undefined, undefined],
        ["request_failed", 400, "invalid_type", 0],
        ["request_failed", 400, "invalid_json", 0],
        ["request_failed", 400, "invalid_value", 1],
        ["request_failed", 400, "max_tokens_per_request", 1],
        ["request_failed", 401, "invalid_api_key", 0],
      ],
    );
    assert.equal(events[4]!["tokens"], 300_001);
    for (const line of lines) assert.doesNotMatch(line, /marked-(text|key|guess)| at /);
    for (const answer of answers) assert.doesNotMatch(answer, /marked-(key|guess)|worker\.js/);
  });
});
