// Requests that are nearly right: paths with slashes too many and of other APIs, keys and bodies in other forms. What can
// be meant one way alone is answered, everything else is told what would be right.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import OpenAI, { AzureOpenAI } from "openai";
import { startService, withService, type Service } from "../lib/harness.js";
import { namedWeights } from "../lib/weights.js";

const HELLO = { model: "m", input: "hello" };

let service: Service;
let expected: unknown;
before(async () => {
  service = await startService({ assets: true });
  expected = await (await service.embed(HELLO)).json();
});
after(() => service.stop());

interface RawAnswer {
  status: number;
  headers: string;
  body: string;
}

/** The path as it stands here, byte for byte. */
function send(target: Service, method: string, path: string, body = "", headers = ""): Promise<RawAnswer> {
  const { hostname, port, host } = new URL(target.url);
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(Number(port), hostname, () =>
      socket.write(
        `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n${headers}` +
          `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      ),
    );
    socket
      .setEncoding("utf8")
      .on("error", reject)
      .on("close", () => reject(new Error(`the connection ended after ${text}`)))
      .on("data", (data) => {
        text += String(data);
        const answer = wholeAnswer(text);
        if (answer === undefined) return;
        resolve(answer);
        socket.destroy();
      });
  });
}

/** Undefined until all of it is there, by its length or its last chunk. */
function wholeAnswer(text: string): RawAnswer | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const headers = text.slice(0, end);
  const rest = text.slice(end + 4);
  const length = /^content-length: (\d+)$/im.exec(headers)?.[1];
  const isWhole =
    length === undefined ? rest.endsWith("0\r\n\r\n") : Buffer.byteLength(rest) >= Number(length);
  if (!isWhole) return undefined;
  const body = length === undefined ? rest.slice(rest.indexOf("{"), rest.lastIndexOf("}") + 1) : rest;
  return { status: Number(text.slice(9, 12)), headers, body };
}

describe("a path that can mean one route alone is answered", () => {
  for (const path of [
    "//v1/embeddings",
    "/v1//embeddings",
    "/v1/embeddings/",
    "///v1///embeddings///",
    "/v1/embeddings/?x=1",
    "/openai/deployments/m/embeddings?api-version=2024-10-21",
    "/openai/deployments/m/embeddings",
    "/openai/v1/embeddings",
    "/openai/v1/embeddings?api-version=preview",
  ]) {
    it(`POST ${path}`, async () => {
      const answer = await send(service, "POST", path, JSON.stringify(HELLO));
      assert.equal(answer.status, 200, answer.body);
      assert.deepEqual(JSON.parse(answer.body), expected);
    });
  }

  for (const [path, part] of [
    ["/v1/models/", '"object":"list"'],
    ["//v1/models", '"object":"list"'],
    ["/v1//models//embeddings-worker/", '"id":"embeddings-worker"'],
    ["/openai/v1/models", '"object":"list"'],
    ["/health/", '"status":"ok"'],
    ["//openapi.json", '"openapi":"3.1.0"'],
  ] as const) {
    it(`GET ${path}`, async () => {
      const answer = await send(service, "GET", path);
      assert.equal(answer.status, 200, answer.body);
      assert.ok(answer.body.includes(part), answer.body.slice(0, 100));
    });
  }

  it("with the methods, the key and the limits of that route", () =>
    withService({ bindings: { API_KEY: "secret" }, rateLimit: 1 }, async (locked) => {
      const statuses: number[] = [];
      for (const [method, path, key] of [
        ["GET", "//v1/embeddings", "secret"],
        ["POST", "//v1/embeddings", "wrong"],
        ["POST", "/openai/deployments/m/embeddings", ""],
        ["POST", "/v1/embeddings/", "secret"],
        // The period of the limit may end between two of them.
        ["POST", "/v1//embeddings", "secret"],
        ["POST", "/v1//embeddings", "secret"],
        ["POST", "/v1//embeddings", "secret"],
      ] as const)
        statuses.push(
          (await send(locked, method, path, JSON.stringify(HELLO), `api-key: ${key}\r\n`)).status,
        );
      assert.deepEqual(statuses.slice(0, 4), [405, 401, 401, 200]);
      assert.ok(statuses.slice(4).includes(429), statuses.join());
    }));

  it("the deployment of Azure's path is the model where the body names none", () => {
    const models = ["first", "second"].map((name) => namedWeights({ name, vocabSize: 64, dimensions: 4 }));
    return withService({ models }, async (several) => {
      for (const [deployment, body, model, answeredBy] of [
        ["second", { input: "a" }, "second", "second"],
        ["second", { input: "a", model: null }, "second", "second"],
        ["second", { input: "a", model: "first" }, "first", "first"],
        ["my%20own", { input: "a" }, "my own", "first"],
      ] as const) {
        const path = `/openai/deployments/${deployment}/embeddings?api-version=2024-10-21`;
        const answer = await send(several, "POST", path, JSON.stringify(body));
        assert.equal((JSON.parse(answer.body) as { model: string }).model, model);
        assert.match(answer.headers, new RegExp(`^x-model: ${answeredBy}\\r?$`, "im"));
      }
    });
  });
});

describe("a path that means something else is a 404 that says what would be right", () => {
  for (const [method, path, hint] of [
    [
      "POST",
      "/v1/v1/embeddings",
      /^\/v1 is there twice: .* Set the base URL to http:\/\/127\.0\.0\.1:\d+\/v1 or/,
    ],
    [
      "POST",
      "/v1/embeddings/embeddings",
      /^The base URL ends before \/embeddings, .* http:\/\/127\.0\.0\.1:\d+\/v1\.$/,
    ],
    ["POST", "/V1/Embeddings", /in small letters.* set the base URL to http:\/\/127\.0\.0\.1:\d+\/v1\.$/],
    [
      "POST",
      "/v1/engines/ada/embeddings",
      /name the model in the field 'model'.*http:\/\/127\.0\.0\.1:\d+\/v1\/embeddings\.$/,
    ],
    ["POST", "/api/embed", /Ollama's API.* base URL http:\/\/127\.0\.0\.1:\d+\/v1\.$/],
    ["POST", "/api/embeddings", /Ollama's API/],
    ["GET", "/api/tags", /Ollama's API/],
    ["POST", "/embeddings", /^The base URL of clients ends in \/v1\.$/],
    ["POST", "/v1/embeddings%20", /nothing before or behind/],
    ["POST", "/v1/chat/completions", /makes embeddings and nothing else/],
    ["GET", "/v1", /is the base URL that clients are given/],
  ] as const) {
    it(`${method} ${path}`, async () => {
      const answer = await send(service, method, path, method === "POST" ? JSON.stringify(HELLO) : "");
      assert.equal(answer.status, 404);
      const { error } = JSON.parse(answer.body) as { error: { message: string; code: string } };
      assert.equal(error.code, "unknown_url");
      const start = `Unknown request URL: ${method} ${path}. `;
      assert.ok(error.message.startsWith(start), error.message);
      assert.match(error.message.slice(start.length), hint);
    });
  }

  it("and the openai package with a wrong base URL raises that message", async () => {
    const client = new OpenAI({ baseURL: `${service.url}/v1/v1`, apiKey: "any" });
    await assert.rejects(
      client.embeddings.create(HELLO),
      (error) =>
        error instanceof OpenAI.NotFoundError &&
        error.message.includes(`Set the base URL to ${service.url}/v1 or`),
    );
  });
});

describe("clients that are set for something else", () => {
  it("the openai package with slashes behind its base URL", async () => {
    for (const baseURL of [`${service.url}/v1/`, `${service.url}//v1`, `${service.url}/openai/v1/`]) {
      const client = new OpenAI({ baseURL, apiKey: "any" });
      const { data } = await client.embeddings.create({ ...HELLO, encoding_format: "float" });
      assert.deepEqual(data, (expected as { data: unknown }).data);
    }
  });

  it("AzureOpenAI, which sends its key as api-key and its model in the path", () =>
    withService({ bindings: { API_KEY: "azure-key" } }, async (locked) => {
      const azure = (apiKey: string): AzureOpenAI =>
        new AzureOpenAI({
          endpoint: locked.url,
          apiKey,
          apiVersion: "2024-10-21",
          deployment: "text-embedding-3-small",
        });
      const { data, model } = await azure("azure-key").embeddings.create({
        ...HELLO,
        encoding_format: "float",
      });
      assert.deepEqual(data, (expected as { data: unknown }).data);
      assert.equal(model, "m");
      await assert.rejects(
        azure("wrong").embeddings.create(HELLO),
        (error) => error instanceof OpenAI.AuthenticationError && error.message.includes("'api-key: <key>'"),
      );
    }));
});

describe("a body that is nearly right is told what was meant:", () => {
  const cases: [string, object, { message: string; param: string; code: string }][] = [
    ...["inputs", "texts", "text", "prompt", "content", "documents", "sentences"].map(
      (name): (typeof cases)[number] => [
        `${name} in place of input`,
        { model: "m", [name]: ["hello"] },
        {
          message: `The field 'input' is required; got '${name}' in its place: rename that to 'input'.`,
          param: "input",
          code: "missing_required_parameter",
        },
      ],
    ),
    [
      "a null input beside prompt",
      { model: "m", input: null, prompt: "hello" },
      {
        message: "The field 'input' is required; got 'prompt' in its place: rename that to 'input'.",
        param: "input",
        code: "missing_required_parameter",
      },
    ],
    [
      "texts one level too deep",
      { model: "m", input: [["hello", "world"]] },
      {
        message:
          "The texts in 'input' are nested one level too deep: expected ['hello', ...], got [['hello', ...]].",
        param: "input[0]",
        code: "invalid_type",
      },
    ],
    [
      "each text in an array of its own",
      { model: "m", input: [["hello"], ["world"]] },
      {
        message:
          "The texts in 'input' are nested one level too deep: expected ['hello', ...], got [['hello', ...]].",
        param: "input[0]",
        code: "invalid_type",
      },
    ],
  ];
  for (const [name, body, error] of cases) {
    it(name, async () => {
      const answer = await service.embed(body);
      assert.equal(answer.status, 400);
      assert.deepEqual(await answer.json(), { error: { ...error, type: "invalid_request_error" } });
    });
  }

  it("while the field itself counts where both are there", async () => {
    assert.deepEqual(await (await service.embed({ ...HELLO, texts: ["other"], prompt: 1 })).json(), expected);
  });
});

describe("a content type that is sent twice", () => {
  for (const [contentType, status] of [
    ["application/json, application/json", 200],
    ["application/json,application/json; charset=utf-8", 200],
    ['application/json; profile="a,b"', 200],
    ["application/json, text/plain", 415],
    ["text/plain, application/json", 415],
    ["application/json,", 415],
  ] as const) {
    it(`${contentType} is ${status === 200 ? "JSON" : "none"}`, async () => {
      assert.equal((await service.embed(HELLO, { "content-type": contentType })).status, status);
    });
  }

  it("as two header lines is JSON", async () => {
    const answer = await send(
      service,
      "POST",
      "/v1/embeddings",
      JSON.stringify(HELLO),
      "content-type: application/json\r\n",
    );
    assert.equal(answer.status, 200, answer.body);
  });
});
