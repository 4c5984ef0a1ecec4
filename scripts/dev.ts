// Serves the Worker on this machine: `npm run dev`. Seeds the local KV when that is needed, starts
// `wrangler dev`, and says when it answers. Flags of `wrangler dev` pass through; these are ours:
//   -- --weights FILE --weights FILE   other weights files than the shipped ones; the first one's model is the default
//   -- --default NAME                  another default
import { createServer } from "node:net";
import { parseArgs } from "node:util";
import { runAsCommand, UserError } from "./lib/project.js";
import { seed, seedShippedWeights } from "./seed.js";
import { readWeightsFiles } from "./lib/weights.js";
import { startWrangler, wranglerCommandLine } from "./lib/wrangler.js";

const DEFAULT_PORT = 8787;
const READY_POLL_MILLISECONDS = 100;
/** Our own flags, which wrangler does not know. */
const OWN_FLAGS = ["port", "weights", "default"];

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const { port, weights, defaultName, storage, wranglerFlags } = parseFlags(process.argv.slice(2));
  await refuseTakenPort(port);
  const { report, catalogue } = await (weights.length === 0
    ? seedShippedWeights(defaultName, storage)
    : seed(readWeightsFiles(weights), defaultName, storage));
  console.log(report);

  const models = catalogue === undefined ? [] : ["--var", `MODELS:${JSON.stringify(catalogue)}`];
  const args = ["dev", "--port", String(port), ...models, ...wranglerFlags];
  console.log(wranglerCommandLine(args));
  const child = startWrangler(args, "inherit");
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (exitCode) => resolve(exitCode ?? 0));
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    // What seeding left behind here would end this process before wrangler has ended.
    for (const listener of process.listeners(signal)) process.off(signal, listener);
    // Ctrl+C reaches wrangler by itself; a signal sent to this process alone must not leave it running.
    process.on(signal, () => child.kill(signal));
  }

  const url = `http://localhost:${port}`;
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  // Fails only when wrangler ends at that moment, and then there is nothing to announce.
  announcement(url, catalogue?.[0]?.name ?? "embeddings-worker", hasEnded).then(
    (text) => text !== undefined && console.log(text),
    () => undefined,
  );
  process.exitCode = await ended;
}

/** Takes out the flags that matter here too; all others go to wrangler as they are. */
function parseFlags(args: string[]) {
  const { values, tokens } = parseArgs({
    args,
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: {
      port: { type: "string" },
      weights: { type: "string", multiple: true },
      default: { type: "string" },
      config: { type: "string", short: "c" },
      env: { type: "string", short: "e" },
      "persist-to": { type: "string" },
    },
  });
  const text = (name: string) => (typeof values[name] === "string" ? values[name] : undefined);
  const portText = values["port"] === undefined ? String(DEFAULT_PORT) : (text("port") ?? "");
  const port = Number(portText);
  if (!/^\d+$/.test(portText) || port < 1 || port > 65535) {
    throw new UserError(`--port wants a number from 1 to 65535, but got "${portText}"`);
  }
  const weights = [values["weights"] ?? []].flat();
  if (weights.includes(true)) throw new UserError("--weights wants the path of a weights file");
  if (values["default"] === true) throw new UserError("--default wants the name of a model");

  const ownArguments = new Set<number>();
  for (const token of tokens) {
    if (token.kind !== "option" || !OWN_FLAGS.includes(token.name)) continue;
    ownArguments.add(token.index);
    if (!token.inlineValue) ownArguments.add(token.index + 1);
  }
  return {
    port,
    weights: weights as string[],
    defaultName: text("default"),
    storage: { config: text("config"), env: text("env"), persistTo: text("persist-to") },
    wranglerFlags: args.filter((_, index) => !ownArguments.has(index)),
  };
}

/** Another server there would answer in our place. */
function refuseTakenPort(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", () => {
      reject(
        new UserError(
          `port ${port} is in use: end what listens there, or run \`npm run dev -- --port ${port + 1}\``,
        ),
      );
    });
    probe.listen(port, "localhost", () => probe.close(() => resolve()));
  });
}

/** What to say when the Worker answers; undefined when it ended first. */
export async function announcement(
  url: string,
  model: string,
  hasEnded: () => boolean,
): Promise<string | undefined> {
  const health = await answerOf(`${url}/health`, hasEnded);
  if (health === undefined) return undefined;
  if (!health.ok) {
    const { error } = (await health.json().catch(() => ({}))) as { error?: { message?: string } };
    const reason = error?.message ?? `/health answers ${health.status}`;
    return (
      `\nThe Worker runs at ${url} and cannot embed: ${reason}\n` +
      "`npm run seed`, in another terminal, puts the shipped weights back.\n"
    );
  }
  const headers = ["content-type: application/json"];
  if (await asksForKey(url)) headers.push("authorization: Bearer <API_KEY of .dev.vars>");
  const request = JSON.stringify({ model, input: "Cloudflare Workers are awesome" });
  return (
    `\nReady: ${url}/v1 is the base URL for an OpenAI client. Ctrl+C ends it. Try it:\n\n` +
    `  curl ${url}/v1/embeddings ${headers.map((header) => `-H '${header}'`).join(" ")} -d '${request}'\n`
  );
}

/** Waits until the URL answers, with whatever status; undefined when the server ended first. */
async function answerOf(url: string, hasEnded: () => boolean): Promise<Response | undefined> {
  while (!hasEnded()) {
    try {
      return await fetch(url);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MILLISECONDS));
    }
  }
  return undefined;
}

async function asksForKey(url: string): Promise<boolean> {
  const response = await fetch(`${url}/v1/models`);
  await response.arrayBuffer();
  return response.status === 401;
}
