// The HTTP contract: every row of the error table with its whole message, and which failure wins.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import type { Service } from "../lib/harness.js";
import { startService, withService } from "../lib/harness.js";

let service: Service;
before(async () => void (service = await startService()));
after(() => service.stop());

interface Refusal {
  name: string;
  body: unknown;
  headers?: Record<string, string>;
  status?: number;
  code: string;
  param: string | null;
  message: string;
}

const tooManyTexts = Array.from({ length: 2049 }, () => "a");

const REFUSALS: Refusal[] = [
  // The body.
  {
    name: "an empty body",
    body: "",
    code: "invalid_json",
    param: null,
    message: "The body must be a JSON object; got nothing.",
  },
  {
    name: "a body that is not JSON",
    body: "{",
    code: "invalid_json",
    param: null,
    message:
      "The body is not valid JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)",
  },
  {
    name: "an array",
    body: "[]",
    code: "invalid_json",
    param: null,
    message: "The body must be a JSON object; got an array.",
  },
  {
    name: "null",
    body: "null",
    code: "invalid_json",
    param: null,
    message: "The body must be a JSON object; got null.",
  },
  {
    name: "a string",
    body: '"a"',
    code: "invalid_json",
    param: null,
    message: "The body must be a JSON object; got the string 'a'.",
  },
  {
    name: "a content type that is not JSON",
    body: "{}",
    headers: { "content-type": "text/plain" },
    status: 415,
    code: "unsupported_media_type",
    param: null,
    message: "The content type must be application/json; got 'text/plain'.",
  },
  // model
  {
    name: "no model",
    body: { input: "a" },
    code: "missing_required_parameter",
    param: "model",
    message: "The field 'model' is required; got nothing.",
  },
  {
    name: "a null model",
    body: { model: null, input: "a" },
    code: "missing_required_parameter",
    param: "model",
    message: "The field 'model' is required; got nothing.",
  },
  {
    name: "a model that is a number",
    body: { model: 7, input: "a" },
    code: "invalid_type",
    param: "model",
    message: "'model' must be a string; got the number 7.",
  },
  {
    name: "an empty model",
    body: { model: "", input: "a" },
    code: "invalid_value",
    param: "model",
    message: "'model' must not be empty; got ''.",
  },
  // input
  {
    name: "no input",
    body: { model: "m" },
    code: "missing_required_parameter",
    param: "input",
    message: "The field 'input' is required; got nothing.",
  },
  {
    name: "an input that is an object",
    body: { model: "m", input: {} },
    code: "invalid_type",
    param: "input",
    message: "'input' must be a string, an array of strings, or an array of token ids; got an object.",
  },
  {
    name: "an empty string",
    body: { model: "m", input: "" },
    code: "invalid_value",
    param: "input",
    message: "'input' must not be an empty string; got ''.",
  },
  {
    name: "an empty array",
    body: { model: "m", input: [] },
    code: "invalid_value",
    param: "input",
    message: "'input' must not be empty; got [].",
  },
  {
    name: "an empty string in an array",
    body: { model: "m", input: ["a", ""] },
    code: "invalid_value",
    param: "input[1]",
    message: "'input[1]' must not be an empty string; got ''.",
  },
  {
    name: "a number among strings",
    body: { model: "m", input: ["a", "b", "c", 4] },
    code: "invalid_type",
    param: "input[3]",
    message: "'input[3]' must be a string; got the number 4.",
  },
  {
    name: "a null first element",
    body: { model: "m", input: [null] },
    code: "invalid_type",
    param: "input[0]",
    message: "'input[0]' must be a string, a token id, or an array of token ids; got null.",
  },
  {
    name: "more than 2048 texts",
    body: { model: "m", input: tooManyTexts },
    code: "array_above_max_length",
    param: "input",
    message: "'input' may hold at most 2048 texts in one request; got 2049.",
  },
  {
    name: "more than 300,000 tokens",
    body: { model: "m", input: ["a ".repeat(300_000), "b c"] },
    code: "max_tokens_per_request",
    param: "input",
    message:
      "'input' may hold at most 300000 tokens in one request; got 300002. Send fewer texts at once: chunk_size in LangChain for Python, batchSize in LangChain.js, embed_batch_size in LlamaIndex.",
  },
  // token ids
  {
    name: "a string among token ids",
    body: { model: "m", input: [1, "a"] },
    code: "invalid_type",
    param: "input[1]",
    message: "'input[1]' must be an integer; got the string 'a'.",
  },
  {
    name: "a token id that is no integer",
    body: { model: "m", input: [1.5] },
    code: "invalid_type",
    param: "input[0]",
    message: "'input[0]' must be an integer; got the number 1.5.",
  },
  {
    name: "a token id out of range",
    body: { model: "m", input: [[1], [2, 100256]] },
    code: "invalid_value",
    param: "input[1][1]",
    message: "'input[1][1]' must be a cl100k_base token id of text, from 0 to 100255; got 100256.",
  },
  {
    name: "a special token",
    body: { model: "m", input: [100257] },
    code: "invalid_value",
    param: "input[0]",
    message:
      "'input[0]' must be a cl100k_base token id of text, from 0 to 100255; got 100257, the special token <|endoftext|>.",
  },
  {
    name: "an empty array of token ids",
    body: { model: "m", input: [[1], []] },
    code: "invalid_value",
    param: "input[1]",
    message: "'input[1]' must hold at least one token id; got [].",
  },
  {
    name: "a string among arrays of token ids",
    body: { model: "m", input: [[1], "a"] },
    code: "invalid_type",
    param: "input[1]",
    message: "'input[1]' must be an array of token ids; got the string 'a'.",
  },
  // The other fields.
  {
    name: "an unknown encoding format",
    body: { model: "m", input: "a", encoding_format: "hex" },
    code: "invalid_value",
    param: "encoding_format",
    message: "'encoding_format' must be 'float' or 'base64'; got 'hex'.",
  },
  {
    name: "an encoding format that is a boolean",
    body: { model: "m", input: "a", encoding_format: true },
    code: "invalid_type",
    param: "encoding_format",
    message: "'encoding_format' must be 'float' or 'base64'; got the boolean true.",
  },
  {
    name: "dimensions as a string",
    body: { model: "m", input: "a", dimensions: "8" },
    code: "invalid_type",
    param: "dimensions",
    message: "'dimensions' must be an integer; got the string '8'.",
  },
  {
    name: "dimensions with a fraction",
    body: { model: "m", input: "a", dimensions: 1.5 },
    code: "invalid_type",
    param: "dimensions",
    message: "'dimensions' must be an integer; got the number 1.5.",
  },
  {
    name: "no dimensions at all",
    body: { model: "m", input: "a", dimensions: 0 },
    code: "invalid_value",
    param: "dimensions",
    message: "'dimensions' must be from 1 to 8 with this model; got 0.",
  },
  {
    name: "more dimensions than the model has",
    body: { model: "m", input: "a", dimensions: 9 },
    code: "invalid_value",
    param: "dimensions",
    message: "'dimensions' must be from 1 to 8 with this model; got 9.",
  },
  {
    name: "an unknown input type",
    body: { model: "m", input: "a", input_type: "question" },
    code: "invalid_value",
    param: "input_type",
    message: "'input_type' must be 'query' or 'document'; got 'question'.",
  },
  {
    name: "an input type that is an array",
    body: { model: "m", input: "a", input_type: ["query"] },
    code: "invalid_type",
    param: "input_type",
    message: "'input_type' must be 'query' or 'document'; got an array.",
  },
  {
    name: "a user that is a number",
    body: { model: "m", input: "a", user: 7 },
    code: "invalid_type",
    param: "user",
    message: "'user' must be a string; got the number 7.",
  },
  {
    name: "a long wrong value, which the message cuts",
    body: { model: "m", input: "a", encoding_format: "x".repeat(60) },
    code: "invalid_value",
    param: "encoding_format",
    message: `'encoding_format' must be 'float' or 'base64'; got '${"x".repeat(50)}…'.`,
  },
];

describe("a request that is refused", () => {
  for (const { name, body, headers, status = 400, code, param, message } of REFUSALS) {
    it(`for ${name} says so`, async () => {
      const response = await service.embed(body, headers);
      assert.deepEqual(await response.json(), {
        error: { message, type: "invalid_request_error", param, code },
      });
      assert.equal(response.status, status);
      assertCommonHeaders(response);
    });
  }

  it("for bytes that are not UTF-8 says so", async () => {
    const response = await service.fetch("/v1/embeddings", {
      method: "POST",
      body: new Uint8Array([0x22, 0xff, 0x22]),
    });
    assert.equal(response.status, 400);
    assert.deepEqual(await response.json(), {
      error: {
        message: "The body is not valid UTF-8.",
        type: "invalid_request_error",
        param: null,
        code: "invalid_json",
      },
    });
  });
});

describe("the first failure wins", () => {
  const ok = { model: "m", input: "a" };
  const steps: { wrong: string; body: unknown; param: string | null }[] = [
    { wrong: "model, before input's type", body: { input: {} }, param: "model" },
    {
      wrong: "input's type, before encoding_format",
      body: { model: "m", input: 1, encoding_format: 1 },
      param: "input",
    },
    {
      wrong: "encoding_format, before dimensions' type",
      body: { ...ok, encoding_format: 1, dimensions: "a" },
      param: "encoding_format",
    },
    {
      wrong: "dimensions' type, before input_type",
      body: { ...ok, dimensions: "a", input_type: 1 },
      param: "dimensions",
    },
    { wrong: "input_type, before user", body: { ...ok, input_type: 1, user: 1 }, param: "input_type" },
    { wrong: "user, before the number of texts", body: { ...ok, input: [], user: 1 }, param: "user" },
    {
      wrong: "the number of texts, before the items",
      body: { ...ok, input: [...tooManyTexts, 1] },
      param: "input",
    },
    {
      wrong: "the items in order, before dimensions' bound",
      body: { ...ok, input: ["", 1], dimensions: 9 },
      param: "input[0]",
    },
    {
      wrong: "dimensions' bound, before the tokens",
      body: { ...ok, input: "a ".repeat(300_001), dimensions: 9 },
      param: "dimensions",
    },
  ];
  for (const { wrong, body, param } of steps) {
    it(wrong, async () => {
      const { error } = (await (await service.embed(body)).json()) as { error: { param: string | null } };
      assert.equal(error.param, param);
    });
  }

  it("404 and 405 before 401, 401 before 415, 415 before the body", async () => {
    const locked = await startService({ bindings: { API_KEY: "secret" } });
    const key = { authorization: "Bearer secret" };
    try {
      const statuses = await Promise.all(
        [
          locked.fetch("/v1/nothing", { method: "POST" }),
          locked.fetch("/v1/embeddings"),
          locked.embed("{", { "content-type": "text/plain" }),
          locked.embed("{", { "content-type": "text/plain", ...key }),
          locked.embed("{", key),
        ].map(async (response) => (await response).status),
      );
      assert.deepEqual(statuses, [404, 405, 401, 415, 400]);
    } finally {
      await locked.stop();
    }
  });

  it("a body that is too large before what is in it", async () => {
    assert.equal((await service.embed("{".repeat(8 * 1024 * 1024 + 1))).status, 413);
  });
});

describe("routes", () => {
  it("an unknown path is a 404 that names it", async () => {
    const response = await service.fetch("/v1/nothing", { method: "POST", body: "{}" });
    assert.equal(response.status, 404);
    assert.deepEqual(await response.json(), {
      error: {
        message: "Unknown request URL: POST /v1/nothing.",
        type: "invalid_request_error",
        param: null,
        code: "unknown_url",
      },
    });
  });

  it("a base URL without /v1 is told where the API is", async () => {
    const { error } = (await (await service.fetch("/embeddings", { method: "POST" })).json()) as {
      error: { message: string };
    };
    assert.equal(
      error.message,
      "Unknown request URL: POST /embeddings. The base URL of clients ends in /v1.",
    );
  });

  for (const [method, path, allow] of [
    ["GET", "/v1/embeddings", "POST, OPTIONS"],
    ["DELETE", "/v1/embeddings", "POST, OPTIONS"],
    ["POST", "/v1/models", "GET, HEAD, OPTIONS"],
    ["POST", "/v1/models/x", "GET, HEAD, OPTIONS"],
    ["PUT", "/health", "GET, HEAD, OPTIONS"],
    ["POST", "/", "GET, HEAD, OPTIONS"],
  ] as const) {
    it(`${method} ${path} is a 405 that allows ${allow}`, async () => {
      const response = await service.fetch(path, { method });
      assert.equal(response.status, 405);
      assert.equal(response.headers.get("allow"), allow);
      const { error } = (await response.json()) as { error: { message: string; code: string } };
      assert.equal(error.message, `${path} answers ${allow.split(",")[0]}; got ${method}.`);
      assert.equal(error.code, "method_not_allowed");
    });
  }

  it("the page has its own content type and all headers of the API, also to HEAD and where the client has it already", async () => {
    await withService({ assets: true }, async (service) => {
      const page = await service.fetch("/");
      assert.match(await page.text(), /^<!doctype html>/i);
      const head = await service.fetch("/", { method: "HEAD" });
      const unchanged = await service.fetch("/", {
        headers: { "if-none-match": page.headers.get("etag") ?? "" },
      });
      assert.deepEqual(
        [page, head, unchanged].map(({ status }) => status),
        [200, 200, 304],
      );
      for (const answer of [page, head])
        assert.match(answer.headers.get("content-type") ?? "", /^text\/html/);
      assert.doesNotMatch(unchanged.headers.get("content-type") ?? "", /json/);
      for (const answer of [page, head, unchanged]) {
        assert.equal(answer.headers.get("access-control-allow-origin"), "*");
        assert.equal(answer.headers.get("x-model-version"), "unknown");
        assert.match(answer.headers.get("x-request-id") ?? "", /^req_/);
      }
    });
  });

  it("GET /v1/models lists the served model with its limits", async () => {
    assert.deepEqual(await (await service.fetch("/v1/models")).json(), { object: "list", data: [MODEL] });
  });

  it("GET /v1/models/{id} is the served model, and 404 for any other", async () => {
    assert.deepEqual(await (await service.fetch("/v1/models/embeddings-worker")).json(), MODEL);
    const response = await service.fetch("/v1/models/text-embedding-3%2Fsmall");
    assert.equal(response.status, 404);
    assert.deepEqual(await response.json(), {
      error: {
        message:
          "The model 'text-embedding-3/small' does not exist; this endpoint serves 'embeddings-worker'.",
        type: "invalid_request_error",
        param: "model",
        code: "model_not_found",
      },
    });
  });

  it("GET /health names the model", async () => {
    const response = await service.fetch("/health");
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), {
      status: "ok",
      name: "embeddings-worker",
      dimensions: 8,
      dtype: "F32",
    });
  });

  it("HEAD answers as GET does, without a body", async () => {
    for (const path of ["/health", "/v1/models", "/v1/models/embeddings-worker"]) {
      const response = await service.fetch(path, { method: "HEAD" });
      assert.equal(response.status, 200, path);
      assert.equal(response.headers.get("content-type"), "application/json");
      assert.equal(await response.text(), "");
    }
  });
});

const MODEL = {
  id: "embeddings-worker",
  object: "model",
  created: 0,
  owned_by: "embeddings-worker",
  architecture: "static",
  dimensions: 8,
  max_dimensions: 8,
  semantic_dimensions: 8,
  max_input_tokens: 16,
  max_inputs_per_request: 2048,
  max_tokens_per_request: 300_000,
  max_body_bytes: 8_388_608,
};

describe("CORS", () => {
  it("preflight allows what is asked for, without a key", async () => {
    const locked = await startService({ bindings: { API_KEY: "secret" } });
    try {
      const response = await locked.fetch("/v1/embeddings", {
        method: "OPTIONS",
        headers: {
          "access-control-request-headers": "authorization, content-type, x-stainless-os",
          origin: "https://a.example",
        },
      });
      assert.equal(response.status, 204);
      assert.equal(response.headers.get("access-control-allow-origin"), "*");
      assert.equal(response.headers.get("access-control-allow-methods"), "GET, POST, OPTIONS");
      assert.equal(
        response.headers.get("access-control-allow-headers"),
        "authorization, content-type, x-stainless-os",
      );
      assert.equal(response.headers.get("access-control-max-age"), "86400");
    } finally {
      await locked.stop();
    }
  });

  it("OPTIONS on any path is answered", async () => {
    assert.equal((await service.fetch("/anything", { method: "OPTIONS" })).status, 204);
  });
});

describe("content type", () => {
  for (const contentType of [
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON",
    "application/vnd.api+json",
  ]) {
    it(`${contentType} is JSON`, async () => {
      assert.equal(
        (await service.embed({ model: "m", input: "a" }, { "content-type": contentType })).status,
        200,
      );
    });
  }

  it("a missing one is accepted", async () => {
    const body = new TextEncoder().encode('{"model":"m","input":"a"}');
    assert.equal((await service.fetch("/v1/embeddings", { method: "POST", body })).status, 200);
  });
});

describe("a body that is too large", () => {
  const message = (got: string): string => `The body may have at most 8388608 bytes; got ${got}.`;

  it("with Content-Length is refused when its client has sent it all", async () => {
    const response = await service.embed("a".repeat(9_000_000));
    assert.equal(response.status, 413);
    assert.deepEqual(await response.json(), {
      error: {
        message: message("9000000"),
        type: "invalid_request_error",
        param: null,
        code: "request_too_large",
      },
    });
  });

  it("without Content-Length is counted while it is read", async () => {
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (sent++ < 9) controller.enqueue(new Uint8Array(1_000_000).fill(97));
        else controller.close();
      },
    });
    const response = await service.fetch("/v1/embeddings", {
      method: "POST",
      body,
      duplex: "half",
    } as RequestInit);
    assert.equal(response.status, 413);
    const { error } = (await response.json()) as { error: { message: string } };
    assert.equal(error.message, message("9000000"));
  });

  it("at the limit is read", async () => {
    const frame = '{"model":"m","input":""}';
    const response = await service.embed(
      frame.replace('""', `"${"a".repeat(8 * 1024 * 1024 - frame.length)}"`),
    );
    assert.equal(response.status, 200);
  });

  it("is drained on every early refusal, so that the client reads the answer", async () => {
    const upload = "a".repeat(20_000_000);
    for (const [path, contentType, status] of [
      ["/nothing", "application/json", 404],
      ["/health", "application/json", 405],
      ["/v1/embeddings", "text/plain", 415],
    ] as const) {
      const response = await service.fetch(path, {
        method: "POST",
        headers: { "content-type": contentType },
        body: upload,
      });
      assert.equal(response.status, status);
      assertCommonHeaders(response);
    }
  });

  it("that lies about its length is not believed", async () => {
    // Content-Length says 10: HTTP ends the body there, and what follows is not part of it.
    const answer = await rawRequest(
      `POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{"model":"m","input":"a"}`,
    );
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /invalid_json/);
  });
});

function rawRequest(text: string): Promise<string> {
  const { hostname, port } = new URL(service.url);
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.on("error", reject).on("data", (data) => {
      answer += data.toString();
      if (!answer.includes('"code":')) return;
      socket.destroy();
      resolve(answer);
    });
  });
}

function assertCommonHeaders(response: Response): void {
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
  assert.equal(
    response.headers.get("access-control-expose-headers"),
    "x-request-id, x-model, x-model-version, x-truncated-inputs, x-empty-inputs, retry-after, www-authenticate, allow",
  );
  assert.match(response.headers.get("x-request-id") ?? "", /^req_[0-9a-f]{32}$/);
  assert.equal(response.headers.get("x-model-version"), "unknown");
}
