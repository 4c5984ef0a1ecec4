// Asks a running endpoint, and prints what comes back in numbers:
//   npm run try -- [url] [--model NAME]... "one text" "another"   how alike the two are, for each model that is named
//   npm run try -- [url] [--model NAME] [text... | payload.json...]
// Without a URL it asks the deployed Worker, or where there is none that of `npm run dev`; without texts or payloads
// it sends those in test/payloads.
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { GENERATED_CONFIG, PROJECT_ROOT, runAsCommand, UserError } from "../scripts/lib/project.js";

const SHIPPED_PAYLOADS = ["single.json", "batch.json", "semantic_similarity.json"];
/** This project's endpoints answer to it with their first model. */
const DEFAULT_MODEL = "embeddings-worker";
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

/** What an endpoint lists of a model; the last two are this project's own. */
interface ListedModel {
  id: string;
  dimensions?: number;
  /** So many values, from the first, are the meaning. */
  semantic_dimensions?: number;
}

interface Similarity {
  value: number;
  what: string;
}

void runAsCommand(import.meta.url, async () => {
  const { url, models, texts, payloadFiles } = parseArguments(process.argv.slice(2));
  if (texts.length === 2) return compare(texts as [string, string], models, url);
  for (const model of models.length > 0 ? models : [undefined]) {
    const payloads =
      texts.length > 0 ? [payloadOf(texts, model)] : payloadFiles.map((path) => readPayload(path, model));
    for (const payload of payloads) report(payload, await send(url, payload), url);
  }
});

function parseArguments(args: string[]): {
  url: string;
  models: string[];
  texts: string[];
  payloadFiles: string[];
} {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { model: { type: "string", multiple: true, default: [] } },
  });
  const [first, ...rest] = positionals;
  const isUrl = first !== undefined && /^https?:\/\/\S+$/.test(first);
  const given = isUrl ? rest : positionals;
  const files = given.filter((argument) => /^\S+\.json$/.test(argument));
  const texts = given.filter((argument) => !files.includes(argument));
  if (files.length > 0 && texts.length > 0)
    throw new UserError(`texts or payload files are wanted, not both; got '${texts[0]}' and ${files[0]}`);
  return {
    models: values.model,
    texts,
    url: (isUrl ? first : urlToAsk()).replace(/\/+$/, "").replace(/\/v1(\/embeddings)?$/, ""),
    payloadFiles:
      files.length > 0 ? files : SHIPPED_PAYLOADS.map((name) => join(PROJECT_ROOT, "test", "payloads", name)),
  };
}

/** The variable wins; `npm run deploy` remembers where it deployed to. */
function urlToAsk(): string {
  const variable = process.env["EMBEDDINGS_URL"];
  if (variable !== undefined && variable !== "") return variable;
  if (existsSync(GENERATED_CONFIG)) {
    const { deployed_url: url } = JSON.parse(readFileSync(GENERATED_CONFIG, "utf8")) as {
      deployed_url?: string;
    };
    if (url !== undefined) return url;
  }
  return LOCAL_URL;
}

/** Prints the cosine of the first model, which a script may read, then that of each with its name. */
async function compare(texts: [string, string], models: string[], url: string): Promise<void> {
  const similarities: Similarity[] = [];
  for (const model of models.length > 0 ? models : [undefined])
    similarities.push(...(await similaritiesOf(await send(url, payloadOf(texts, model)), url, model)));
  console.log(similarities[0]!.value.toFixed(3));
  console.log();
  for (const { value, what } of similarities) console.log(`  ${value.toFixed(3).padStart(6)}  ${what}`);
}

/** Of the meaning alone, where the endpoint says how much of a vector that is, and of the whole vector. */
async function similaritiesOf(
  { embeddings, model, milliseconds }: Answer,
  url: string,
  asked: string | undefined,
): Promise<Similarity[]> {
  const [a, b] = embeddings as [number[], number[]];
  const name = model === null ? (asked ?? DEFAULT_MODEL) : decodeURI(model);
  const meaning = (await listedModels(url)).find(({ id }) => id === name)?.semantic_dimensions;
  const time = `${milliseconds.toFixed(0)} ms`;
  const whole = cosineSimilarity(a, b);
  if (meaning === undefined || meaning >= a.length)
    return [{ value: whole, what: `${name}, ${a.length} dimensions (${time})` }];
  return [
    {
      value: cosineSimilarity(a.slice(0, meaning), b.slice(0, meaning)),
      what: `${name}, the meaning: dimensions ${meaning} (${time})`,
    },
    { value: whole, what: `${name}, meaning and words: all ${a.length}` },
  ];
}

/** None where the endpoint does not list its models. */
async function listedModels(url: string): Promise<ListedModel[]> {
  try {
    const response = await fetch(`${url}/v1/models`, { headers: keyHeader() });
    const { data } = (await response.json()) as { data?: ListedModel[] };
    return data ?? [];
  } catch {
    return [];
  }
}

function payloadOf(texts: string[], model = DEFAULT_MODEL): Payload {
  const input = texts.length === 1 ? texts[0] : texts;
  return {
    name: texts.length === 1 ? "your text" : "your texts",
    texts,
    body: JSON.stringify({ model, input, encoding_format: "float" }),
  };
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
  const start = performance.now();
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${url}/v1/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json", ...keyHeader() },
      body: payload.body,
    });
    text = await response.text();
  } catch (error) {
    const { message, cause } = error as Error;
    const reason =
      cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message;
    const hint = url === LOCAL_URL ? ": start it with `npm run dev`, or name another URL" : "";
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

function keyHeader(): Record<string, string> {
  const apiKey = process.env["API_KEY"] ?? process.env["OPENAI_API_KEY"];
  return apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
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
