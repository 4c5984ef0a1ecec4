// Sends payloads to a running endpoint and prints what comes back in numbers:
//   npm run try -- [url] [--model NAME] [payload.json...]
// Without a URL it asks the deployed Worker; without payloads it sends those in test/payloads.
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { GENERATED_CONFIG, PROJECT_ROOT, runAsCommand, UserError } from "../scripts/lib/project.js";

const SHIPPED_PAYLOADS = ["single.json", "batch.json", "semantic_similarity.json"];
const LOCAL_URL = "http://localhost:8787";
const TEXT_COLUMN_CHARACTERS = 36;

interface Payload {
  name: string;
  texts: string[];
  body: string;
}

interface Answer {
  embeddings: number[][];
  promptTokens: number;
  /** Its name, where the endpoint tells it. */
  model: string | null;
  modelVersion: string;
  milliseconds: number;
}

void runAsCommand(import.meta.url, async () => {
  const { url, model, payloadFiles } = parseArguments(process.argv.slice(2));
  for (const payload of payloadFiles.map((path) => readPayload(path, model))) {
    report(payload, await send(url, payload), url);
  }
});

function parseArguments(args: string[]): {
  url: string;
  model: string | undefined;
  payloadFiles: string[];
} {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { model: { type: "string" } },
  });
  const [first, ...rest] = positionals;
  const isUrl = first !== undefined && /^https?:\/\//.test(first);
  const givenFiles = isUrl ? rest : positionals;
  return {
    model: values.model,
    url: (isUrl ? first : deployedUrl()).replace(/\/+$/, "").replace(/\/v1(\/embeddings)?$/, ""),
    payloadFiles:
      givenFiles.length > 0
        ? givenFiles
        : SHIPPED_PAYLOADS.map((name) => join(PROJECT_ROOT, "test", "payloads", name)),
  };
}

/** `npm run deploy` remembers where it deployed to; the variable wins. */
function deployedUrl(): string {
  const variable = process.env["EMBEDDINGS_URL"];
  if (variable !== undefined && variable !== "") return variable;
  if (existsSync(GENERATED_CONFIG)) {
    const { deployed_url: url } = JSON.parse(readFileSync(GENERATED_CONFIG, "utf8")) as {
      deployed_url?: string;
    };
    if (url !== undefined) return url;
  }
  throw new UserError(
    "no deployed Worker is known: run `npm run deploy` first, set EMBEDDINGS_URL, or name a URL; " +
      `for the one of \`npm run dev\`: npm run try -- ${LOCAL_URL}`,
  );
}

/** With another model than the payload's, where one is given. */
function readPayload(path: string, model: string | undefined): Payload {
  if (!existsSync(path)) throw new UserError(`${path}: there is no such payload file`);
  let body: { input?: unknown };
  try {
    body = JSON.parse(readFileSync(path, "utf8")) as { input?: unknown };
  } catch (error) {
    throw new UserError(`${path} is not JSON: ${(error as Error).message}`);
  }
  if (typeof body !== "object" || body === null) throw new UserError(`${path} is not a JSON object`);
  // Numbers are the token ids of one text.
  const inputs = Array.isArray(body.input) && typeof body.input[0] !== "number" ? body.input : [body.input];
  const texts = inputs.map((text) => (typeof text === "string" ? text : JSON.stringify(text)));
  // Floats, whatever the payload says: the numbers are what is shown.
  return {
    name: basename(path),
    texts,
    body: JSON.stringify({ ...body, ...(model !== undefined && { model }), encoding_format: "float" }),
  };
}

async function send(url: string, payload: Payload): Promise<Answer> {
  const apiKey = process.env["API_KEY"] ?? process.env["OPENAI_API_KEY"];
  const start = performance.now();
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${url}/v1/embeddings`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      },
      body: payload.body,
    });
    text = await response.text();
  } catch (error) {
    const { message, cause } = error as Error;
    const reason =
      cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message;
    const hint = url === LOCAL_URL ? ": start it with `npm run dev`" : "";
    throw new UserError(`${url} does not answer (${reason})${hint}`);
  }
  const milliseconds = performance.now() - start;
  if (!response.ok)
    throw new UserError(`${payload.name}: ${url} answered ${response.status}: ${errorMessage(text)}`);
  try {
    const { data, usage } = JSON.parse(text) as {
      data: { embedding: number[] }[];
      usage: { prompt_tokens: number };
    };
    return {
      embeddings: data.map(({ embedding }) => embedding),
      promptTokens: usage.prompt_tokens,
      model: response.headers.get("x-model"),
      modelVersion: response.headers.get("x-model-version") ?? "unknown",
      milliseconds,
    };
  } catch {
    throw new UserError(
      `${payload.name}: ${url} answered with something else than embeddings: ${text.slice(0, 200)}`,
    );
  }
}

function errorMessage(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error: { message: string; code?: string } };
    const hint = error.code === "invalid_api_key" ? " (set API_KEY)" : "";
    return error.message + hint;
  } catch {
    return text.slice(0, 200) || "with nothing";
  }
}

function report(
  { name, texts }: Payload,
  { embeddings, promptTokens, model, modelVersion, milliseconds }: Answer,
  url: string,
): void {
  console.log(
    `\n${name}: ${embeddings.length} of ${texts.length} texts embedded, ${promptTokens} tokens, ` +
      `${milliseconds.toFixed(0)} ms, ${model === null ? "model" : `${decodeURI(model)},`} version ${modelVersion}, ${url}\n`,
  );
  const numbers = embeddings.map((_, index) => String(index));
  printTable(
    ["", "text", "dimensions", "norm", "min", "max", "mean", "std dev"],
    embeddings.map((embedding, index) => [
      String(index),
      shorten(texts[index] ?? ""),
      String(embedding.length),
      ...statistics(embedding),
    ]),
  );
  if (embeddings.length < 2) return;
  console.log("\ncosine similarity\n");
  printTable(["", ...numbers], matrix(embeddings, cosineSimilarity));
  console.log("\nL2 distance\n");
  printTable(["", ...numbers], matrix(embeddings, l2Distance));
}

function statistics(embedding: number[]): string[] {
  const mean = sum(embedding) / embedding.length;
  const variance = sum(embedding.map((value) => (value - mean) ** 2)) / embedding.length;
  return [norm(embedding), Math.min(...embedding), Math.max(...embedding), mean, Math.sqrt(variance)].map(
    inFourDecimals,
  );
}

function matrix(embeddings: number[][], measure: (a: number[], b: number[]) => number): string[][] {
  return embeddings.map((a, index) => [
    String(index),
    ...embeddings.map((b) => inFourDecimals(measure(a, b))),
  ]);
}

/** 0 where one of the two is the zero vector, which has no direction. */
export function cosineSimilarity(a: number[], b: number[]): number {
  const lengths = norm(a) * norm(b);
  return lengths === 0 ? 0 : sum(a.map((value, index) => value * (b[index] ?? 0))) / lengths;
}

export function l2Distance(a: number[], b: number[]): number {
  return norm(a.map((value, index) => value - (b[index] ?? 0)));
}

function norm(vector: number[]): number {
  return Math.sqrt(sum(vector.map((value) => value * value)));
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Never "-0.0000". */
function inFourDecimals(value: number): string {
  const text = value.toFixed(4);
  return Number(text) === 0 ? "0.0000" : text;
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return line.length <= TEXT_COLUMN_CHARACTERS ? line : `${line.slice(0, TEXT_COLUMN_CHARACTERS - 1)}…`;
}

/** Numbers to the right, texts to the left. */
function printTable(header: string[], rows: string[][]): void {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of [header, ...rows]) {
    const cells = row.map((cell, column) =>
      header[column] === "text" ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(`  ${cells.join("  ")}`.trimEnd());
  }
}
