// Which path stands for which route, and what a 404 says of the others: the pure part, as a table.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { canonicalUrl, hintFor } from "../../worker/unknown-url.js";

const ORIGIN = "https://embeddings.example";
const BASE = `${ORIGIN}/v1`;

describe("a path that can mean one route alone stands for it", () => {
  for (const [path, expected] of [
    ["//v1/embeddings", { path: "/v1/embeddings" }],
    ["/v1//embeddings", { path: "/v1/embeddings" }],
    ["/v1/embeddings/", { path: "/v1/embeddings" }],
    ["///v1///embeddings///", { path: "/v1/embeddings" }],
    ["/v1/models/", { path: "/v1/models" }],
    ["/v1/models//all-MiniLM-L6-v2/", { path: "/v1/models/all-MiniLM-L6-v2" }],
    ["/health/", { path: "/health" }],
    ["//", { path: "/" }],
    ["/", { path: "/" }],
    ["/openai/deployments/my-model/embeddings", { path: "/v1/embeddings", model: "my-model" }],
    ["/openai/deployments/my%20model/embeddings/", { path: "/v1/embeddings", model: "my model" }],
    ["/openai/deployments/100%/embeddings", { path: "/v1/embeddings", model: "100%" }],
    ["//openai/deployments/m/embeddings", { path: "/v1/embeddings", model: "m" }],
    ["/openai/v1/embeddings", { path: "/v1/embeddings" }],
    ["/openai/v1/models", { path: "/v1/models" }],
    ["/openai/v1/models/m", { path: "/v1/models/m" }],
  ] as const) {
    it(path, () => assert.deepEqual(canonicalUrl(path), expected));
  }

  for (const path of [
    "/v1/v1/embeddings",
    "/V1/Embeddings",
    "/openai/deployments/m/chat/completions",
    "/openai/deployments//embeddings",
    "/openai/embeddings",
    "/v1/engines/m/embeddings",
    "/proxy/openai/v1/embeddings",
  ]) {
    it(`and ${path} stands for itself`, () =>
      assert.equal(canonicalUrl(path).path, path.replaceAll("//", "/")));
  }
});

describe("a 404 names what would have worked", () => {
  const twice = `/v1 is there twice: the client puts it in by itself or the base URL has it double. Set the base URL to ${BASE} or, for a client that adds /v1, to ${ORIGIN}.`;
  const ends = `The base URL ends before /embeddings, which clients add by themselves: set it to ${BASE}.`;
  const v1 = "The base URL of clients ends in /v1.";
  const notServed = (whose: string): string =>
    `This is ${whose}, which is not served here: choose OpenAI (or OpenAI-compatible) as the client's provider, with the base URL ${BASE}.`;
  const onlyEmbeddings = `This endpoint makes embeddings and nothing else: POST ${BASE}/embeddings.`;
  const service = `${ORIGIN}/health says whether the model can be used, ${ORIGIN}/openapi.json describes the API.`;
  const paths = `The paths are /v1/embeddings and /v1/models, in small letters, with nothing before or behind: set the base URL to ${BASE}.`;
  const azure = `Of Azure's API, /openai/deployments/{name}/embeddings and /openai/v1/embeddings are answered; OpenAI's clients want the base URL ${BASE}.`;
  const engines = `OpenAI gave up engines: name the model in the field 'model' (in the client 'model' in place of 'engine') and send to ${BASE}/embeddings.`;

  for (const [path, hint] of [
    ["/v1", `${BASE} is the base URL that clients are given; they put /embeddings behind it.`],
    ["/v1/", `${BASE} is the base URL that clients are given; they put /embeddings behind it.`],
    ["/v1/v1/embeddings", twice],
    ["/v1//v1/embeddings/", twice],
    ["/v1/v1/models", twice],
    ["/v1/embeddings/embeddings", ends],
    ["/v1/embeddings/v1/embeddings", ends],
    ["/embeddings", v1],
    ["/embeddings/", v1],
    ["/models", v1],
    ["/models/all-MiniLM-L6-v2", v1],
    ["/embeddings/embeddings", ends],
    ["/V1/Embeddings", paths],
    ["/V1/embeddings", paths],
    ["/v1/embedding", paths],
    ["/v1/embeddings%20", paths],
    ["/v1/embeddings%0A", paths],
    ["/v1/embeddings.json", paths],
    ["/api/v1/embeddings", paths],
    ["/v2/embeddings", paths],
    ["/v1beta/openai/embeddings", paths],
    ["/v1/text/embeddings", paths],
    ["/api/v1/models", paths],
    ["/v1/engines/text-embedding-ada-002/embeddings", engines],
    ["/v1/engines", engines],
    ["/openai/deployments/m/chat/completions", azure],
    ["/openai/embeddings", azure],
    ["/openai", azure],
    ["/api/embed", notServed("Ollama's API")],
    ["/api/embeddings", notServed("Ollama's API")],
    ["/api/embeddings/", notServed("Ollama's API")],
    ["/api/tags", notServed("Ollama's API")],
    ["/api/version", notServed("Ollama's API")],
    ["/embed", notServed("the own API of text-embeddings-inference")],
    ["/info", notServed("the own API of text-embeddings-inference")],
    ["/v1/embed", notServed("Cohere's API")],
    ["/v2/embed", notServed("Cohere's API")],
    ["/v1/chat/completions", onlyEmbeddings],
    ["/chat/completions", onlyEmbeddings],
    ["/v1/completions", onlyEmbeddings],
    ["/v1/rerank", onlyEmbeddings],
    ["/healthz", service],
    ["/v1/health", service],
    ["/docs", service],
    ["/v1/nothing", ""],
    ["/favicon.ico", ""],
    ["/wp-login.php", ""],
  ] as const) {
    it(path, () => assert.equal(hintFor(path, ORIGIN), hint));
  }

  it("Workers AI's REST API is told apart", () =>
    assert.match(
      hintFor("/client/v4/accounts/0123/ai/run/@cf/baai/bge-small-en-v1.5", ORIGIN),
      /Workers AI.*base URL https:\/\/embeddings\.example\/v1/,
    ));

  it("and a path of 100,000 slashes or letters takes no time", () => {
    for (const path of ["/".repeat(100_000), "/v1".repeat(33_000), `/${"embedding".repeat(11_000)}`]) {
      const start = performance.now();
      hintFor(path, ORIGIN);
      // In time that grows with the square it would take minutes.
      assert.ok(performance.now() - start < 1_000, path.slice(0, 20));
    }
  });
});
