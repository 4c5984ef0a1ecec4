// `npm run deploy` with the real wrangler, against a local stand-in for Cloudflare's API.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { deployedUrl } from "../../../scripts/deploy.js";
import { FakeCloudflare } from "./fake-cloudflare.js";
import { namedWeights } from "../../lib/weights.js";
import { copyProject, tinyWeights, type ProjectCopy } from "../project-copy.js";

const URL = "https://embeddings-worker.somebody.workers.dev";
const NAMESPACE_TITLE = "embeddings-worker-embeddings-model";
const SHA256 = createHash("sha256").update(tinyWeights()).digest("hex");
const VERSION = SHA256.slice(0, 12);
const MODEL_KEY = `model-weights-${VERSION}`;
const METADATA = { length: tinyWeights().length, sha256: SHA256 };
const TINY_MODEL = {
  name: "embeddings-worker",
  key: MODEL_KEY,
  parts: 1,
  length: tinyWeights().length,
  sha256: SHA256,
  dimensions: 4,
  maxDimensions: 4,
  semanticDimensions: 4,
  maxInputTokens: 32,
  maxRequestTokens: 300_000,
  architecture: "static",
  dtype: "F32",
};

describe("npm run deploy", { concurrency: 2 }, () => {
  test("the first deployment makes the namespace, uploads and waits for an embedding; the second uploads nothing", async () => {
    await withProject(async (project, cloudflare) => {
      cloudflare.unansweredRequests = 1;
      const first = await deploy(project, cloudflare);
      assert.equal(first.exitCode, 0, first.output);
      const namespace = cloudflare.namespaces[0];
      assert.ok(namespace);
      assert.equal(namespace.title, NAMESPACE_TITLE);
      const entry = namespace.entries.get(MODEL_KEY);
      assert.ok(entry && entry.value.equals(tinyWeights()));
      assert.deepEqual(entry.metadata, METADATA);
      assert.deepEqual(commandsIn(first.output), [
        "npx wrangler whoami --json",
        "npx wrangler kv namespace list",
        `npx wrangler kv namespace create ${NAMESPACE_TITLE}`,
        "npx wrangler kv namespace list",
        `npx wrangler kv key list --prefix ${MODEL_KEY} --namespace-id ${namespace.id} --remote`,
        `npx wrangler kv key put ${MODEL_KEY} --path model/model-weights.bin ` +
          `--metadata '${JSON.stringify(METADATA)}' --namespace-id ${namespace.id} --remote`,
        "npx wrangler deploy --config wrangler.generated.json",
        `curl ${URL}/v1/embeddings   (a new address takes up to two minutes)`,
      ]);
      assert.match(first.output, new RegExp(`an embedding of 4 dimensions from model version ${VERSION}`));
      assert.match(first.output, new RegExp(`Deployed. The base URL for an OpenAI client is ${URL}/v1`));
      assert.equal(generatedConfig(project).deployed_url, URL);

      cloudflare.calls.length = 0;
      const second = await deploy(project, cloudflare);
      assert.equal(second.exitCode, 0, second.output);
      assert.match(second.output, new RegExp(`${MODEL_KEY} is there already: nothing to upload`));
      assert.deepEqual(
        cloudflare.calls.filter((call) => call.includes("storage/kv") && !call.startsWith("GET ")),
        [],
      );
      assert.equal(generatedConfig(project).deployed_url, URL);
    });
  });

  test("--with-key deploys the Worker with a key and prints it once; the user's own settings stay", async () => {
    await withProject(async (project, cloudflare) => {
      const namespace = cloudflare.createNamespace(NAMESPACE_TITLE);
      namespace.entries.set(MODEL_KEY, { value: tinyWeights(), metadata: METADATA });
      const ownSettings = '\n[[kv_namespaces]]\nbinding = "OWN"\nid = "abc"\n\n[placement]\nmode = "smart"\n';
      appendFileSync(join(project.folder, "wrangler.toml"), ownSettings);

      const { exitCode, output } = await deploy(project, cloudflare, "--with-key");
      assert.equal(exitCode, 0, output);
      const bindings = cloudflare.workers.get("embeddings-worker")?.bindings ?? [];
      const key = bindings.find(({ name }) => name === "API_KEY");
      assert.equal(key?.type, "secret_text");
      assert.match(key.text ?? "", /^sk-[\w-]{43}$/);
      assert.equal(output.split(key.text ?? "").length - 1, 1, "the key is printed once");
      // The stand-in refuses to embed without the key.
      assert.match(output, /an embedding of 4 dimensions/);

      assert.deepEqual(generatedConfig(project).kv_namespaces, [
        { binding: "OWN", id: "abc" },
        { binding: "EMBEDDINGS_MODEL", id: namespace.id },
      ]);
      assert.deepEqual(generatedConfig(project).placement, { mode: "smart" });
      assert.deepEqual(generatedConfig(project).vars, { MODEL_KEY, MODELS: [TINY_MODEL] });
      assert.equal(generatedConfig(project).assets?.directory, "./public");
      assert.equal(bindings.find(({ name }) => name === "OWN")?.namespace_id, "abc");
    });
  });

  test("--with-key prints the key also where the deployment has no address to embed through", async () => {
    await withProject(async (project, cloudflare) => {
      cloudflare
        .createNamespace(NAMESPACE_TITLE)
        .entries.set(MODEL_KEY, { value: tinyWeights(), metadata: METADATA });
      const settings = join(project.folder, "wrangler.toml");
      writeFileSync(settings, `workers_dev = false\n${readFileSync(settings, "utf8")}`);

      const { exitCode, output } = await deploy(project, cloudflare, "--with-key");
      assert.equal(exitCode, 1, output);
      assert.match(errorIn(output), /^error: deployed, but to no address of a whole host/);
      const key = cloudflare.workers
        .get("embeddings-worker")
        ?.bindings.find(({ name }) => name === "API_KEY");
      assert.ok(output.includes(key?.text ?? "no key was set"), output);
    });
  });

  test("who is not logged in reads one line that says how to log in, and nothing is called", async () => {
    await withProject(async (project, cloudflare) => {
      const { exitCode, output } = await deploy(project, cloudflare, { CLOUDFLARE_API_TOKEN: undefined });
      assert.equal(exitCode, 1);
      assert.equal(
        errorIn(output),
        "error: not logged in to Cloudflare: run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN, then run this again",
      );
      assert.deepEqual(cloudflare.calls, []);
    });
  });

  test("a token that Cloudflare refuses is told which permissions it needs", async () => {
    await withProject(async (project, cloudflare) => {
      const { exitCode, output } = await deploy(project, cloudflare, {
        CLOUDFLARE_API_TOKEN: "another-token",
      });
      assert.equal(exitCode, 1);
      assert.equal(
        errorIn(output),
        "error: the KV namespaces could not be listed: Cloudflare does not accept the login; an API token needs the permissions " +
          "Workers Scripts: Edit and Workers KV Storage: Edit, and `npx wrangler login` gives a login that has them",
      );
    });
  });

  test("a login with several accounts is asked for the one to use", async () => {
    await withProject(async (project, cloudflare) => {
      cloudflare.accounts = [..."ab"].map((letter) => ({ id: letter.repeat(32), name: `account ${letter}` }));
      const { exitCode, output } = await deploy(project, cloudflare, { CLOUDFLARE_ACCOUNT_ID: undefined });
      assert.equal(exitCode, 1);
      // wrangler hides the accounts' names in CI.
      assert.match(
        errorIn(output),
        /^error: the login has several Cloudflare accounts: set CLOUDFLARE_ACCOUNT_ID to the one to use \(`.+`: `a{32}`, `.+`: `b{32}`\)$/,
      );
    });
  });

  test("a file over 64 MiB is refused before anything is called", async () => {
    await withProject(async (project, cloudflare) => {
      truncateSync(join(project.folder, "model", "model-weights.bin"), 64 * 1024 * 1024 + 1);
      const { exitCode, output } = await deploy(project, cloudflare);
      assert.equal(exitCode, 1);
      assert.equal(
        errorIn(output),
        "error: model/model-weights.bin has 67108865 bytes, but the Worker reads at most 67108864 bytes (64 MiB): " +
          "use a smaller vocabulary, fewer dimensions, or export the weights as i8",
      );
      assert.deepEqual(cloudflare.calls, []);
    });
  });

  test("several files are uploaded, one of them in two parts, under their names and those that they have besides", async () => {
    await withProject(async (project, cloudflare) => {
      const large = namedWeights({
        name: "Large",
        vocabSize: 26_500,
        dimensions: 1000,
        aliases: { small: 10 },
      });
      writeFileSync(join(project.folder, "large.bin"), large);
      const flags = ["--weights", "model/model-weights.bin", "--weights", "large.bin", "--default", "large"];

      const first = await deploy(project, cloudflare, ...flags);
      assert.equal(first.exitCode, 0, first.output);
      const version = createHash("sha256").update(large).digest("hex").slice(0, 12);
      const [one, two] = [`model-weights-${version}`, `model-weights-${version}.2`];
      const { entries } = cloudflare.namespaces[0]!;
      assert.deepEqual([...entries.keys()].sort(), [MODEL_KEY, one, two].sort());
      assert.equal(entries.get(one)!.value.length, 25 * 1024 * 1024);
      assert.ok(Buffer.concat([entries.get(one)!.value, entries.get(two)!.value]).equals(large));
      const { MODELS, MODEL_KEY: key } = generatedConfig(project).vars as {
        MODELS: (typeof TINY_MODEL)[];
        MODEL_KEY: string;
      };
      assert.equal(key, one);
      assert.deepEqual(
        MODELS.map(({ name, key, parts, dimensions, maxDimensions }) => [
          name,
          key,
          parts,
          dimensions,
          maxDimensions,
        ]),
        [
          ["Large", one, 2, 1000, 1000],
          ["embeddings-worker", MODEL_KEY, 1, 4, 4],
          ["small", one, 2, 10, 1000],
        ],
      );
      assert.match(
        first.output,
        new RegExp(`small: an embedding of 10 dimensions from model version ${version}`),
      );

      entries.delete(two);
      const second = await deploy(project, cloudflare, ...flags);
      assert.equal(second.exitCode, 0, second.output);
      const uploads = commandsIn(second.output).filter((command) => command.includes("kv key put"));
      assert.equal(uploads.length, 1, "only what is missing");
      assert.match(uploads[0]!, new RegExp(`kv key put ${two} `));
    });
  });

  test("two files with a model of the same name, and a default that no file has, are refused", async () => {
    await withProject(async (project, cloudflare) => {
      writeFileSync(join(project.folder, "other.bin"), tinyWeights());
      const both = ["--weights", "model/model-weights.bin", "--weights", "other.bin"];
      assert.equal(
        errorIn((await deploy(project, cloudflare, ...both)).output),
        "error: model/model-weights.bin and other.bin have a model of the same name, 'embeddings-worker'",
      );
      assert.equal(
        errorIn((await deploy(project, cloudflare, "--default", "none")).output),
        "error: --default wants one of the models 'embeddings-worker'; got 'none'",
      );
      assert.deepEqual(cloudflare.calls, []);
    });
  });

  test("a failed upload says why, and no Worker is deployed that would look for the weights", async () => {
    await withProject(async (project, cloudflare) => {
      cloudflare.createNamespace(NAMESPACE_TITLE);
      cloudflare.uploadFailure = "the namespace is full";
      const { exitCode, output } = await deploy(project, cloudflare);
      assert.equal(exitCode, 1);
      assert.match(
        errorIn(output),
        /^error: the upload of model\/model-weights\.bin failed: .*the namespace is full/,
      );
      assert.match(errorIn(output), /mend that and run this again, it goes on where it stopped$/);
      assert.equal(cloudflare.workers.size, 0);
    });
  });
});

describe("the way by hand, with wrangler alone", () => {
  test("a namespace whose id stands in wrangler.toml is filled and deployed under the default MODEL_KEY", async () => {
    await withProject(async (project, cloudflare) => {
      const configFile = join(project.folder, "wrangler.toml");
      const created = await wrangler(project, cloudflare, "kv", "namespace", "create", "EMBEDDINGS_MODEL");
      const idLine = /^id = ".+"$/m.exec(created.output)?.[0];
      assert.ok(idLine, created.output);
      const bindingLine = 'binding = "EMBEDDINGS_MODEL"\n';
      writeFileSync(
        configFile,
        readFileSync(configFile, "utf8").replace(bindingLine, `${bindingLine}${idLine}\n`),
      );

      const put =
        "kv key put --binding EMBEDDINGS_MODEL model-weights --path model/model-weights.bin --remote".split(
          " ",
        );
      assert.equal((await wrangler(project, cloudflare, ...put)).exitCode, 0);
      assert.equal((await wrangler(project, cloudflare, "deploy")).exitCode, 0);
      const bindings = cloudflare.workers.get("embeddings-worker")?.bindings ?? [];
      const [namespace] = cloudflare.namespaces;
      assert.equal(cloudflare.namespaces.length, 1);
      assert.equal(bindings.find(({ name }) => name === "EMBEDDINGS_MODEL")?.namespace_id, namespace?.id);
      const key = bindings.find(({ name }) => name === "MODEL_KEY")?.text;
      assert.ok(namespace?.entries.get(key ?? "")?.value.equals(tinyWeights()));
    });
  });
});

describe("the deployed URL", () => {
  const cases: [target: string, url: string][] = [
    ["https://embeddings-worker.somebody.workers.dev", "https://embeddings-worker.somebody.workers.dev"],
    ["api.example.com (custom domain)", "https://api.example.com"],
    ["api.example.com/* (zone name: example.com)", "https://api.example.com"],
  ];
  for (const [target, url] of cases) {
    test(`of the target ${target} is ${url}`, () => {
      assert.equal(deployedUrl(`${JSON.stringify({ type: "deploy", targets: [target] })}\n`), url);
    });
  }

  test("is none for a route to a part of a host, and the error says what to set", () => {
    const output = JSON.stringify({
      type: "deploy",
      targets: ["example.com/embed/* (zone name: example.com)"],
    });
    assert.throws(() => deployedUrl(output), {
      message:
        "deployed, but to no address of a whole host (example.com/embed/* (zone name: example.com)): " +
        "set workers_dev = true or a custom domain in wrangler.toml",
    });
  });
});

async function withProject(
  work: (project: ProjectCopy, cloudflare: FakeCloudflare) => Promise<void>,
): Promise<void> {
  const project = copyProject();
  const cloudflare = await FakeCloudflare.start();
  try {
    await work(project, cloudflare);
  } finally {
    await cloudflare.stop();
    project.remove();
  }
}

/** Flags are strings; an object sets or, with undefined, removes variables of the environment. */
function deploy(
  project: ProjectCopy,
  cloudflare: FakeCloudflare,
  ...options: (string | NodeJS.ProcessEnv)[]
) {
  const flags = options.filter((option) => typeof option === "string");
  const variables = Object.assign(
    {},
    ...options.filter((option) => typeof option === "object"),
  ) as NodeJS.ProcessEnv;
  return run(project, ["--import", "tsx", "scripts/deploy.ts", ...flags], {
    ...cloudflare.environment,
    ...variables,
  });
}

function wrangler(project: ProjectCopy, cloudflare: FakeCloudflare, ...args: string[]) {
  return run(project, ["node_modules/wrangler/bin/wrangler.js", ...args], {
    ...cloudflare.environment,
    WRANGLER_HIDE_BANNER: "true",
  });
}

function run(project: ProjectCopy, args: string[], variables: NodeJS.ProcessEnv) {
  return new Promise<{ exitCode: number | null; output: string }>((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: project.folder,
      env: { ...project.environment, WRANGLER_SEND_METRICS: "false", ...variables },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, output }));
  });
}

function commandsIn(output: string): string[] {
  return output.split("\n").flatMap((line) => (line.startsWith("$ ") ? [line.slice(2)] : []));
}

/** The error is the last line, and the only one that is an error. */
function errorIn(output: string): string {
  const errors = output
    .trimEnd()
    .split("\n")
    .filter((line) => line.startsWith("error: "));
  assert.equal(errors.length, 1, output);
  assert.equal(output.trimEnd().split("\n").at(-1), errors[0], output);
  return errors[0] as string;
}

function generatedConfig(project: ProjectCopy) {
  return JSON.parse(readFileSync(join(project.folder, "wrangler.generated.json"), "utf8")) as {
    deployed_url?: string;
    kv_namespaces?: unknown;
    placement?: unknown;
    vars?: unknown;
    assets?: { directory?: string };
  };
}
