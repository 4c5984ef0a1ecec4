// `npm run try`, the run script, against a server that answers with vectors whose numbers are known.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";
import { copyProject, type ProjectCopy } from "./project-copy.js";

const RUN_SCRIPT = join(PROJECT_ROOT, "test", "run.ts");
const VECTORS = [
  [1, 0, 0, 0],
  [0.6, 0.8, 0, 0],
  [0, 0, -1, 0],
  [0, 0, 0, 0],
];

describe("npm run try", () => {
  let server: Server;
  let url: string;
  let refusal: { status: number; body: string } | undefined;
  const requests: {
    model: string;
    input: string | string[];
    encoding_format: string;
    authorization: string | undefined;
  }[] = [];

  before(async () => {
    server = createServer(async (request, response) => {
      if (request.method === "GET") {
        const listed = { id: "two-parts", semantic_dimensions: 1 };
        response.end(JSON.stringify({ data: [listed, { id: "another-model", semantic_dimensions: 4 }] }));
        return;
      }
      let text = "";
      for await (const chunk of request) text += chunk;
      const body = JSON.parse(text) as { model: string; input: string | string[]; encoding_format: string };
      requests.push({ ...body, authorization: request.headers.authorization });
      if (refusal !== undefined) {
        response.writeHead(refusal.status).end(refusal.body);
        return;
      }
      const isOne = typeof body.input === "string" || typeof body.input[0] === "number";
      const data = VECTORS.slice(0, isOne ? 1 : body.input.length).map((embedding, index) => ({
        object: "embedding",
        embedding,
        index,
      }));
      response.setHeader("x-model-version", "0123456789ab");
      if (["another-model", "two-parts"].includes(body.model)) response.setHeader("x-model", body.model);
      response.end(
        JSON.stringify({ object: "list", data, model: "m", usage: { prompt_tokens: 7, total_tokens: 7 } }),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close());

  test("prints statistics, cosine similarities and L2 distances of the shipped payloads as aligned tables", async () => {
    requests.length = 0;
    const { exitCode, output } = await tryWith([url]);
    assert.equal(exitCode, 0, output);
    assert.deepEqual(
      requests.map(({ input }) => [input].flat().length),
      [1, 3, 4],
    );
    assert.equal(requests[0]?.input, "Cloudflare Workers are awesome");
    assert.deepEqual(requests[1]?.input, ["hello world", "rust is fast", "cloudflare edge computing"]);
    assert.ok(requests.every(({ encoding_format }) => encoding_format === "float"));

    const batch = output.slice(output.indexOf("batch.json"), output.indexOf("semantic_similarity.json"));
    assert.equal(
      batch.replace(/\d+ ms/, "N ms").trimEnd(),
      [
        `batch.json: 3 of 3 texts embedded, 7 tokens, N ms, model version 0123456789ab, ${url}`,
        "",
        "     text                       dimensions    norm      min     max     mean  std dev",
        "  0  hello world                         4  1.0000   0.0000  1.0000   0.2500   0.4330",
        "  1  rust is fast                        4  1.0000   0.0000  0.8000   0.3500   0.3571",
        "  2  cloudflare edge computing           4  1.0000  -1.0000  0.0000  -0.2500   0.4330",
        "",
        "cosine similarity",
        "",
        "          0       1       2",
        "  0  1.0000  0.6000  0.0000",
        "  1  0.6000  1.0000  0.0000",
        "  2  0.0000  0.0000  1.0000",
        "",
        "L2 distance",
        "",
        "          0       1       2",
        "  0  0.0000  0.8944  1.4142",
        "  1  0.8944  0.0000  1.4142",
        "  2  1.4142  1.4142  0.0000",
      ].join("\n"),
    );
    // The fourth vector of the last payload is the zero vector, which has no direction.
    assert.match(output, /\n  3  0\.0000  0\.0000  0\.0000  0\.0000\n/);
  });

  test("sends only the payloads that are named, to a base URL with /v1 as well, with the key from the environment", async () => {
    requests.length = 0;
    const payload = join(PROJECT_ROOT, "test", "payloads", "single.json");
    const { exitCode, output } = await tryWith([`${url}/v1/`, payload], { API_KEY: "sk-test" });
    assert.equal(exitCode, 0, output);
    assert.deepEqual(
      requests.map(({ authorization }) => authorization),
      ["Bearer sk-test"],
    );
  });

  test("sends the payloads to the model that is named, and prints which one answered", async () => {
    requests.length = 0;
    const payload = join(PROJECT_ROOT, "test", "payloads", "single.json");
    const { exitCode, output } = await tryWith([url, "--model", "another-model", payload]);
    assert.equal(exitCode, 0, output);
    assert.deepEqual(
      requests.map(({ model }) => model),
      ["another-model"],
    );
    assert.match(output, /\d+ ms, another-model, version 0123456789ab, /);
  });

  test("prints how alike two texts are, a number first, and for a model that has them both parts", async () => {
    requests.length = 0;
    const { exitCode, output } = await tryWith([url, "one text", "another", "--model", "two-parts"]);
    assert.equal(exitCode, 0, output);
    assert.deepEqual(
      requests.map(({ input, model }) => [model, input]),
      [["two-parts", ["one text", "another"]]],
    );
    assert.equal(
      output.replace(/\d+ ms/, "N ms"),
      "1.000\n\n" +
        "   1.000  two-parts, the meaning: dimensions 1 (N ms)\n" +
        "   0.600  two-parts, meaning and words: all 4\n",
    );
  });

  test("prints how alike two texts are for each model that is named", async () => {
    const models = ["--model", "another-model", "--model", "unlisted"];
    const { exitCode, output } = await tryWith([url, ...models, "one text", "another"]);
    assert.equal(exitCode, 0, output);
    assert.equal(
      output.replace(/\d+ ms/g, "N ms"),
      "0.600\n\n" +
        "   0.600  another-model, 4 dimensions (N ms)\n" +
        "   0.600  unlisted, 4 dimensions (N ms)\n",
    );
  });

  test("of one text it prints the statistics, of three the similarities too", async () => {
    const one = await tryWith([url, "a text of its own"]);
    assert.equal(one.exitCode, 0, one.output);
    assert.match(
      one.output,
      /^\nyour text: 1 of 1 texts embedded, 7 tokens, .*\n\n.*\n  0  a text of its own {11}4  1\.0000  /,
    );
    const three = await tryWith([url, "one", "two", "three"]);
    assert.match(three.output, /\ncosine similarity\n\n {10}0 {7}1 {7}2\n  0  1\.0000  0\.6000  0\.0000\n/);
  });

  test("texts and payload files at once are refused", async () => {
    assert.deepEqual(await tryWith([url, "a text", "payload.json"]), {
      exitCode: 1,
      output: "error: texts or payload files are wanted, not both; got 'a text' and payload.json\n",
    });
  });

  test("the token ids of one text are one text, and a payload that is no object is refused", async () => {
    const folder = mkdtempSync(join(tmpdir(), "payloads-"));
    after(() => rmSync(folder, { recursive: true }));
    const [ids, none] = [join(folder, "ids.json"), join(folder, "none.json")];
    writeFileSync(ids, '{"model":"m","input":[15339,1917]}');
    writeFileSync(none, "null");
    const { exitCode, output } = await tryWith([url, ids]);
    assert.equal(exitCode, 0, output);
    assert.match(output, /1 of 1 texts embedded/);
    assert.deepEqual(await tryWith([url, none]), {
      exitCode: 1,
      output: `error: ${none} is not a JSON object\n`,
    });
  });

  test("an error of the endpoint is printed in its own words", async () => {
    refusal = {
      status: 401,
      body: JSON.stringify({
        error: { message: "Incorrect API key provided.", type: "", param: null, code: "invalid_api_key" },
      }),
    };
    const { exitCode, output } = await tryWith([url]);
    refusal = undefined;
    assert.equal(exitCode, 1);
    assert.equal(
      output,
      `error: single.json: ${url} answered 401: Incorrect API key provided. (set API_KEY)\n`,
    );
  });

  test("a server that does not answer is named", async () => {
    const { exitCode, output } = await tryWith(["http://127.0.0.1:1"]);
    assert.equal(exitCode, 1);
    assert.match(output, /^error: http:\/\/127\.0\.0\.1:1 does not answer \(.+\)\n$/);
  });

  test("a payload that does not exist is named", async () => {
    const { exitCode, output } = await tryWith([url, "nowhere.json"]);
    assert.equal(exitCode, 1);
    assert.equal(output, "error: nowhere.json: there is no such payload file\n");
  });

  test("without a URL it takes EMBEDDINGS_URL", async () => {
    const { exitCode, output } = await tryWith([], { EMBEDDINGS_URL: url });
    assert.equal(exitCode, 0, output);
  });

  describe("in a project", () => {
    let project: ProjectCopy;
    before(() => (project = copyProject()));
    after(() => project.remove());

    test("that was never deployed it asks the Worker of npm run dev", async () => {
      const { output } = await tryWith(["one text"], {}, join(project.folder, "test", "run.ts"));
      // Whether or not one runs on this machine.
      assert.match(
        output,
        /http:\/\/localhost:8787( does not answer \(.+\): start it with `npm run dev`|\n)/,
      );
    });

    test("that was deployed it asks the deployed URL", async () => {
      writeFileSync(join(project.folder, "wrangler.generated.json"), JSON.stringify({ deployed_url: url }));
      const { exitCode, output } = await tryWith([], {}, join(project.folder, "test", "run.ts"));
      assert.equal(exitCode, 0, output);
    });
  });
});

function tryWith(args: string[], variables: NodeJS.ProcessEnv = {}, script = RUN_SCRIPT) {
  const environment: NodeJS.ProcessEnv = { ...process.env, ...variables };
  for (const name of ["API_KEY", "OPENAI_API_KEY", "EMBEDDINGS_URL"])
    if (!(name in variables)) delete environment[name];
  return new Promise<{ exitCode: number; output: string }>((resolve) => {
    execFile(
      process.execPath,
      ["--import", "tsx", script, ...args],
      { env: environment },
      (error, stdout, stderr) => {
        resolve({ exitCode: error === null ? 0 : Number(error.code), output: stdout + stderr });
      },
    );
  });
}
