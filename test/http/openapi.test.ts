// openapi.json is true: it validates, its examples get the answers that they say, and no error is missing from it.
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import document from "../../openapi.json" with { type: "json" };
import { PROJECT_ROOT } from "../../scripts/lib/project.js";
import { ERRORS } from "../../worker/errors.js";
import { fromBase64, startService, withService, type Service, type ServiceOptions } from "../lib/harness.js";

interface ErrorExample {
  value: { error: { code: string; type: string } };
  /** Left out where it would be too large, or where the request alone does not get the error. */
  "x-request"?: ExampleRequest;
}

interface ExampleRequest {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: unknown;
  text?: string;
}

const HELLO: ExampleRequest = { body: { model: "any", input: "hello" } };

/** Errors that take a request too large for the document, or a service in a certain state. */
const PROVOKED: Record<
  string,
  { service?: ServiceOptions; request: ExampleRequest; times?: number; atOnce?: boolean }
> = {
  array_above_max_length: {
    request: { body: { model: "any", input: Array.from({ length: 2049 }, () => "a") } },
  },
  max_tokens_per_request: { request: { body: { model: "any", input: "a ".repeat(300_001) } } },
  request_too_large: { request: { text: " ".repeat(8 * 1024 * 1024 + 1) } },
  rate_limit_exceeded: { service: { rateLimit: 1 }, request: HELLO, times: 3 },
  overloaded: {
    service: { constants: { SLICE_WORK: 1, MAX_WAITING_WORK: 1 } },
    request: { body: { model: "any", input: Array.from({ length: 2048 }, () => "some words") } },
    times: 2,
    atOnce: true,
  },
  model_unavailable: { service: { weights: null }, request: HELLO },
  // A binding that is no rate limiter: a fault that nobody has thought of.
  internal_error: { service: { bindings: { RATE_LIMITER: "text" } }, request: HELLO },
};

const { paths, components } = document;
const errorResponses = {
  ...components.responses,
  ModelNotFound: paths["/v1/models/{model}"].get.responses[404],
};

let service: Service;
before(async () => void (service = await startService({ assets: true })));
after(() => service.stop());

test("the document in the repository is a valid OpenAPI 3.1 document", async () => {
  assert.deepEqual(await new Validator().validate(structuredClone(document)), { valid: true });
});

test("the served document is valid and holds the figures of the loaded model", async () => {
  const served = await servedDocument(service);
  assert.deepEqual(await new Validator().validate(structuredClone(served)), { valid: true });
  const { schemas } = served.components;
  const { data } = (await (await service.fetch("/v1/models")).json()) as {
    data: { id: string; dimensions: number }[];
  };
  assert.equal((schemas.Dimensions as { maximum?: number }).maximum, data[0]?.dimensions);
  assert.deepEqual((schemas.ModelId as { examples?: string[] }).examples, [data[0]?.id]);
  assert.deepEqual((schemas.Model as { examples?: unknown[] }).examples, data);
  assert.deepEqual((schemas.Health as { examples?: unknown[] }).examples, [
    await (await service.fetch("/health")).json(),
  ]);
});

test("the document describes each route of worker.ts, and no other", () => {
  const source = readFileSync(join(PROJECT_ROOT, "worker.ts"), "utf8");
  const table = /^const ROUTES: .*?^};/ms.exec(source)![0].replace("[MODEL_ROUTE]", '"/v1/models/{model}"');
  const routes = [...table.matchAll(/"(\/.*)": \{ method: "(\w+)"/g)].map(
    ([, path, method]) => `${method} ${path}`,
  );
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.deepEqual(routes.sort(), described.sort());
});

test("docs/api.md has each error code with its status", () => {
  const text = readFileSync(join(PROJECT_ROOT, "docs", "api.md"), "utf8");
  const missing = Object.entries(ERRORS).filter(
    ([code, { status }]) =>
      !text.split("\n").some((line) => line.includes(`\`${code}\``) && line.includes(String(status))),
  );
  assert.deepEqual(missing, []);
});

test("without a model the document is served as it stands in the repository", () =>
  withService({ weights: null }, async (empty) => assert.deepEqual(await servedDocument(empty), document)));

const requestContent = paths["/v1/embeddings"].post.requestBody.content["application/json"];
for (const [name, example] of Object.entries(requestContent.examples)) {
  test(`the example request ${name} fits its schema, and its answer fits the schema of answers`, async () => {
    assertFits("EmbeddingsRequest", example.value);
    const answer = await send(service, { body: example.value });
    assert.equal(answer.status, 200);
    assertFits("EmbeddingsResponse", await answer.json());
    assertHasHeaders(answer, paths["/v1/embeddings"].post.responses[200].headers);
  });
}

test("the example answers fit their schema, and the one in base64 is the one in floats", () => {
  const { floats, base64, truncated } =
    paths["/v1/embeddings"].post.responses[200].content["application/json"].examples;
  for (const example of [floats, base64, truncated]) assertFits("EmbeddingsResponse", example.value);
  const decoded = fromBase64(base64.value.data[0]!.embedding);
  assert.deepEqual(decoded, Float32Array.from(floats.value.data[0]!.embedding));
});

for (const [route, schema] of [
  ["/v1/models", "ModelList"],
  ["/v1/models/embeddings-worker", "Model"],
  ["/health", "Health"],
] as const) {
  test(`the answer of ${route} fits the schema ${schema}`, async () => {
    const answer = await service.fetch(route);
    assert.equal(answer.status, 200);
    assertFits(schema, await answer.json());
    assertHasHeaders(answer, paths["/health"].get.responses[200].headers);
  });
}

for (const [name, response] of Object.entries(errorResponses)) {
  for (const [exampleName, example] of errorExamples(response)) {
    test(`${name}, ${exampleName}: the Worker answers as the example says`, async () => {
      assertFits("Error", example.value);
      const { code } = example.value.error;
      const provoked = PROVOKED[code];
      const request = example["x-request"] ?? provoked?.request;
      assert.ok(request !== undefined, `nothing here gets ${code}`);
      const options =
        provoked?.service ?? (name === "Unauthorized" ? { bindings: { API_KEY: "secret" } } : undefined);
      await withOwnOrShared(options, async (target) => {
        const times = provoked?.times ?? 1;
        let answer: Response | undefined;
        if (provoked?.atOnce) {
          const answers = await Promise.all(Array.from({ length: times }, () => send(target, request)));
          answer = answers.find(({ ok }) => !ok);
        } else {
          for (let i = 0; i < times && answer?.ok !== false; i++) answer = await send(target, request);
        }
        assert.ok(answer !== undefined, "none was refused");
        assert.deepEqual(await answer.json(), example.value);
        assert.equal(answer.status, statusOf(name));
        assertHasHeaders(answer, response.headers);
      });
    });
  }
}

test("every error code of the Worker is in the document, with an example, and no other", () => {
  const codes = Object.entries(ERRORS).map(([code, { status, type }]) => ({
    code,
    status: String(status),
    type,
  }));

  const errorSchema = components.schemas.Error.properties.error.properties;
  assert.deepEqual(codes.map(({ code }) => code).sort(), [...errorSchema.code.enum].sort());
  assert.deepEqual([...new Set(codes.map(({ type }) => type))].sort(), [...errorSchema.type.enum].sort());

  const inExamples = Object.entries(errorResponses).flatMap(([name, response]) =>
    errorExamples(response).map(
      ([, { value }]) => `${value.error.code} ${statusOf(name)} ${value.error.type}`,
    ),
  );
  assert.deepEqual(
    [...new Set(inExamples)].sort(),
    codes.map(({ code, status, type }) => `${code} ${status} ${type}`).sort(),
  );
});

test("the schema refuses what the Worker refuses", () => {
  for (const [name, { "x-request": request }] of errorExamples(components.responses.BadRequest)) {
    if (request?.body === undefined) continue;
    assert.equal(
      validatorOf("EmbeddingsRequest")(request.body),
      false,
      `the schema takes the example ${name}`,
    );
  }
});

function errorExamples(response: {
  content: { "application/json": { examples: object } };
}): [string, ErrorExample][] {
  return Object.entries(response.content["application/json"].examples as Record<string, ErrorExample>);
}

/** Which status the document answers with a response: the operations name it. */
function statusOf(responseName: string): number {
  if (responseName === "ModelNotFound" || responseName === "NotFound") return 404;
  for (const path of Object.values(paths)) {
    for (const operation of Object.values(path) as { responses: Record<string, { $ref?: string }> }[]) {
      for (const [status, response] of Object.entries(operation.responses)) {
        if (response.$ref === `#/components/responses/${responseName}`) return Number(status);
      }
    }
  }
  assert.fail(`no operation answers with ${responseName}`);
}

async function servedDocument(target: Service): Promise<typeof document> {
  const answer = await target.fetch("/openapi.json");
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/json");
  return (await answer.json()) as typeof document;
}

function send(
  target: Service,
  { method = "POST", path = "/v1/embeddings", headers, body, text }: ExampleRequest,
): Promise<Response> {
  const content = text ?? (body === undefined ? undefined : JSON.stringify(body));
  return target.fetch(path, {
    method,
    headers: { ...(content !== undefined && { "content-type": "application/json" }), ...headers },
    ...(content !== undefined && { body: content }),
  });
}

function assertFits(schema: keyof typeof components.schemas, value: unknown): void {
  const validate = validatorOf(schema);
  assert.ok(validate(value), `${schema}: ${JSON.stringify(validate.errors)}`);
}

function validatorOf(schema: keyof typeof components.schemas): ValidateFunction {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addSchema(document, "openapi");
  return ajv.compile({ $ref: `openapi#/components/schemas/${schema}` });
}

/** Every header that the document requires is there and fits its schema. */
function assertHasHeaders(answer: Response, headers: Record<string, { $ref: string }>): void {
  for (const name of Object.keys(headers)) {
    const header = components.headers[name as keyof typeof components.headers];
    const value = answer.headers.get(name);
    if (value === null) {
      assert.ok(!("required" in header), `the header ${name} is missing`);
      continue;
    }
    const schema = header.schema as { type?: string };
    const validate = new Ajv2020().compile(schema);
    assert.ok(
      validate(schema.type === "integer" ? Number(value) : value),
      `${name}: ${value}: ${JSON.stringify(validate.errors)}`,
    );
  }
}

/** A service with these options; without any, the one that all share. */
function withOwnOrShared(
  options: ServiceOptions | undefined,
  use: (service: Service) => Promise<void>,
): Promise<void> {
  return options === undefined ? use(service) : withService(options, use);
}
