// `npm run dev` as a person runs it, in a copy of the project.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";
import { announcement } from "../../scripts/dev.js";
import { namedWeights } from "../lib/weights.js";
import { copyProject } from "./project-copy.js";

const DEV_SCRIPT = join(PROJECT_ROOT, "scripts", "dev.ts");
const READY_TIMEOUT_MILLISECONDS = 120_000;

test("npm run dev seeds the local KV and prints a curl line that works; the end of it frees the port", async () => {
  const project = copyProject();
  const second = namedWeights({ name: "second", vocabSize: 16, dimensions: 6 });
  writeFileSync(join(project.folder, "model", "second.bin"), second);
  const port = await freePort();
  // In a process group of its own, so that a signal reaches all of it, as Ctrl+C does.
  const child = spawn("npm", ["run", "dev", "--", "--port", String(port)], {
    cwd: project.folder,
    env: project.environment,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  try {
    const output = await outputUntil(child, /^ {2}curl .*\n/m);
    assert.match(
      output,
      /Seeded the local KV: model\/model-weights\.bin: embeddings-worker, 4 dimensions, F32, 0\.0 MiB, version [0-9a-f]{12}\n/,
    );
    assert.match(output, new RegExp(`Ready: http://localhost:${port}/v1 is the base URL`));

    const curlLine = /^ {2}(curl .*)$/m.exec(output)?.[1] ?? "";
    const { stdout } = await promisify(execFile)("sh", ["-c", `${curlLine} --silent --show-error`]);
    const answer = JSON.parse(stdout) as {
      object: string;
      data: { embedding: number[] }[];
      usage: { prompt_tokens: number };
    };
    assert.equal(answer.object, "list");
    assert.equal(answer.data[0]?.embedding.length, 4);
    assert.equal(answer.usage.prompt_tokens, 4);

    const models = (await (await fetch(`http://localhost:${port}/v1/models`)).json()) as {
      data: { id: string }[];
    };
    assert.deepEqual(
      models.data.map(({ id }) => id),
      ["embeddings-worker", "second"],
      "every shipped file is served",
    );
    const ofSecond = await fetch(`http://localhost:${port}/v1/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "second", input: "hello" }),
    });
    assert.equal(ofSecond.headers.get("x-model"), "second");
    const { data } = (await ofSecond.json()) as { data: { embedding: number[] }[] };
    assert.equal(data[0]?.embedding.length, 6);

    const again = await promisify(execFile)("npm", ["run", "dev", "--", "--port", String(port)], {
      cwd: project.folder,
      env: project.environment,
    }).catch((error: { stderr: string }) => error);
    assert.match(
      again.stderr,
      new RegExp(
        `error: port ${port} is in use: end what listens there, or run \`npm run dev -- --port ${port + 1}\``,
      ),
    );
  } finally {
    process.kill(-(child.pid as number), "SIGINT");
    await ended;
    project.remove();
  }
  await assert.rejects(fetch(`http://localhost:${port}/health`), "nothing listens any more");
});

test("with weights that cannot be loaded it says so, and how to mend it", async () => {
  const server = createHttpServer((_, response) => {
    response
      .writeHead(503)
      .end(JSON.stringify({ error: { message: "The model is not available. Try again." } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const text = await announcement(url, "m", () => false);
  server.close();
  assert.match(
    text ?? "",
    /^\nThe Worker runs at \S+ and cannot embed: The model is not available\. Try again\.\n`npm run seed`/,
  );
});

test("a port that is no number is refused as what was typed", async () => {
  const refusalOf = async (...args: string[]): Promise<string> => {
    const child = promisify(execFile)("node", ["--import", "tsx", DEV_SCRIPT, ...args]);
    return (await child.catch((error: { stderr: string }) => error)).stderr;
  };
  const refusal = (got: string): string => `error: --port wants a number from 1 to 65535, but got "${got}"\n`;
  assert.deepEqual(
    await Promise.all([refusalOf("--port"), refusalOf("--port", "many"), refusalOf("--port", "0")]),
    ["", "many", "0"].map(refusal),
  );
});

function outputUntil(child: ReturnType<typeof spawn>, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    const read = (text: Buffer) => {
      output += String(text);
      if (pattern.test(output)) resolve(output);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.on("close", () => reject(new Error(`npm run dev ended early:\n${output}`)));
    setTimeout(
      () => reject(new Error(`npm run dev was not ready in time:\n${output}`)),
      READY_TIMEOUT_MILLISECONDS,
    ).unref();
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "localhost", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
