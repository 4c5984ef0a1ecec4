// `npm run soak -- --seconds 300`: full load for minutes, good and bad requests mixed, clients that leave and dawdle.
// Every vector is compared with the one that its text had at the start; every bad request must get its own error.
// Plain workerd with the shipped model, KV by its own binding. Linux: memory is read from /proc.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "../../bench/numbers.js";
import { bundledModules, residentBytes, startWorkerd, type RunningServer } from "../../bench/workerd.js";
import { bundle } from "../../scripts/lib/bundle.js";
import { PROJECT_ROOT, runAsCommand, SHIPPED_WEIGHTS, UserError } from "../../scripts/lib/project.js";
import { fromBase64 } from "../lib/harness.js";

const CONNECTIONS = 32;
/** What the allocator and the garbage collector may be apart between two thirds of a run; a leak grows with the time. */
const MAX_GROWTH_BYTES = 48 * 1024 * 1024;
const MAX_ANSWER_MILLISECONDS = 20_000;
/** workerd ends a connection on which it has read no request for five seconds, as when one of the two processes got no CPU. */
const IDLE_MILLISECONDS = 4_000;

interface Tally {
  answers: number;
  vectors: number;
  wrong: number;
  lost: number;
  refused: number;
  /** Sent again on a new connection, because the one they were sent on had been idle for too long. */
  sentAgain: number;
  left: number;
}

type Visit = (site: Site) => Promise<void>;

interface Site {
  url: string;
  agent: Agent;
  /** When the last request was sent on each connection. */
  usedAt: WeakMap<object, number>;
  tally: Tally;
  /** The texts that are asked for, and the embedding that each must have. */
  texts: string[];
  embeddings: Float32Array[];
}

/** How often each kind of client comes, of 100. */
const VISITS: [percent: number, Visit][] = [
  [40, askForOneText],
  [25, askForSeveralTexts],
  [22, askWrongly],
  [2, askForManyTexts],
  [3, dawdle],
  [4, leaveWhileAsking],
  [4, leaveWhileReading],
];

void runAsCommand(import.meta.url, async () => {
  const { values } = parseArgs({ options: { seconds: { type: "string", default: "120" } } });
  const seconds = Number(values.seconds);
  if (!(seconds >= 5)) throw new UserError(`--seconds must be a number from 5 up; got ${values.seconds}`);
  const kvFolder = mkdtempSync(join(tmpdir(), "embeddings-worker-soak-"));
  copyFileSync(SHIPPED_WEIGHTS, join(kvFolder, "model-weights"));
  const server = await startWorkerd({ modules: bundledModules(await bundle()), kvFolder });
  try {
    await soak(server, seconds);
  } finally {
    await server.stop();
    rmSync(kvFolder, { recursive: true });
  }
});

async function soak(server: RunningServer, seconds: number): Promise<void> {
  const texts = readTexts();
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const tally: Tally = { answers: 0, vectors: 0, wrong: 0, lost: 0, refused: 0, sentAgain: 0, left: 0 };
  const site: Site = { url: server.url, agent, usedAt: new WeakMap(), tally, texts, embeddings: [] };
  for (const text of texts)
    site.embeddings.push((await embed(site, { input: text, encoding_format: "float" })).vectors[0]!);

  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 1000;
  // The first third grows to what the work takes; after that the middle one is compared with the last. Medians, since
  // how many large answers are on their way at one moment is chance, while a leak lifts every moment after it.
  const memory: [number[], number[], number[]] = [[], [], []];
  const sampler = setInterval(
    () => memory[Math.min(2, Math.floor((3 * elapsed()) / seconds))]!.push(residentBytes(server.pid)),
    200,
  );
  const failures: unknown[] = [];
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (elapsed() < seconds && failures.length < 10) {
        try {
          await anyVisit()(site);
        } catch (error) {
          if (error instanceof assert.AssertionError) tally.wrong++;
          else tally.lost++;
          failures.push(error);
        }
      }
    }),
  );
  clearInterval(sampler);
  agent.destroy();

  const [, middleBytes, lastBytes] = memory.map(median);
  const growth = lastBytes! - middleBytes!;
  const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
  console.log(
    `${Math.round(elapsed())} s, ${CONNECTIONS} connections: ${tally.answers} answers, ${tally.vectors} vectors compared, ` +
      `${tally.refused} refusals, ${tally.left} clients left, ${tally.sentAgain} idle connections ended; ${tally.wrong} wrong, ${tally.lost} lost; memory ${mebibytes(middleBytes!)} MiB ` +
      `in the middle third, ${mebibytes(lastBytes!)} MiB in the last (medians)`,
  );
  for (const failure of failures) console.error(failure);
  if (failures.length > 0)
    throw new UserError(`${tally.wrong} answers were wrong and ${tally.lost} connections were lost`);
  if (growth > MAX_GROWTH_BYTES) throw new UserError(`memory grew by ${mebibytes(growth)} MiB`);
}

/** Sentences of this project, some long, some that are no words at all. */
function readTexts(): string[] {
  const lines = readFileSync(join(PROJECT_ROOT, "README.md"), "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const others = ["!!!", "   ", "Ünïcödé wörds", "词 語", "👍🏽 ok", "word ".repeat(500)];
  return [...others, ...lines].slice(0, 200);
}

function anyVisit(): Visit {
  let at = Math.random() * VISITS.reduce((sum, [percent]) => sum + percent, 0);
  return VISITS.find(([percent]) => (at -= percent) < 0)?.[1] ?? askForOneText;
}

// ------------------------------------------------------------------------------------------------- visits

async function askForOneText(site: Site): Promise<void> {
  await askFor(site, [anyIndex(site)]);
}

async function askForSeveralTexts(site: Site): Promise<void> {
  await askFor(
    site,
    Array.from({ length: 2 + Math.floor(Math.random() * 30) }, () => anyIndex(site)),
  );
}

async function askForManyTexts(site: Site): Promise<void> {
  await askFor(
    site,
    Array.from({ length: 2048 }, () => anyIndex(site)),
  );
}

async function askFor(site: Site, indexes: number[]): Promise<void> {
  const texts = indexes.map((index) => site.texts[index]!);
  const encoding_format = Math.random() < 0.7 ? "base64" : "float";
  const { vectors } = await embed(site, { input: texts.length === 1 ? texts[0]! : texts, encoding_format });
  assert.equal(vectors.length, indexes.length);
  vectors.forEach((vector, i) =>
    assert.ok(equal(vector, site.embeddings[indexes[i]!]!), `the vector of ${texts[i]}`),
  );
  site.tally.vectors += vectors.length;
}

const WRONG: { body: string; status: number; code: string }[] = [
  { body: "{", status: 400, code: "invalid_json" },
  { body: '{"model":"m"}', status: 400, code: "missing_required_parameter" },
  { body: '{"model":"m","input":["a",1]}', status: 400, code: "invalid_type" },
  { body: '{"model":"m","input":["a",""]}', status: 400, code: "invalid_value" },
  { body: '{"model":"m","input":"a","dimensions":99999}', status: 400, code: "invalid_value" },
  {
    body: JSON.stringify({ model: "m", input: Array.from({ length: 2049 }, () => "a") }),
    status: 400,
    code: "array_above_max_length",
  },
  {
    body: JSON.stringify({ model: "m", input: "a ".repeat(300_001) }),
    status: 400,
    code: "max_tokens_per_request",
  },
];

async function askWrongly(site: Site): Promise<void> {
  const { body, status, code } = WRONG[Math.floor(Math.random() * WRONG.length)]!;
  const answer = await post(site, body);
  assert.deepEqual(
    [answer.status, (JSON.parse(answer.text) as { error: { code: string } }).error.code],
    [status, code],
  );
  site.tally.refused++;
}

/** The body comes in pieces. */
async function dawdle(site: Site): Promise<void> {
  const index = anyIndex(site);
  const body = JSON.stringify({ model: "m", input: site.texts[index], encoding_format: "base64" });
  const answer = await post(site, body, async (send) => {
    for (let at = 0; at < body.length; at += 50) {
      send(body.slice(at, at + 50));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  assert.ok(equal(vectorsOf(answer)[0]!, site.embeddings[index]!));
  site.tally.vectors++;
}

async function leaveWhileAsking(site: Site): Promise<void> {
  const outgoing = request(`${site.url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-length": 1000 },
    agent: false,
  });
  outgoing.on("error", () => {}).write('{"model":"m","input":"a');
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
  outgoing.destroy();
  site.tally.left++;
}

async function leaveWhileReading(site: Site): Promise<void> {
  const body = JSON.stringify({
    model: "m",
    input: Array.from({ length: 500 }, () => site.texts[anyIndex(site)]),
  });
  await new Promise<void>((resolve) => {
    const outgoing = request(`${site.url}/v1/embeddings`, { method: "POST", agent: false }, (incoming) => {
      incoming.once("data", () => outgoing.destroy()).on("error", () => {});
    });
    outgoing
      .on("error", () => {})
      .on("close", resolve)
      .end(body);
  });
  site.tally.left++;
}

// ----------------------------------------------------------------------------------------------- requests

async function embed(site: Site, body: object): Promise<{ vectors: Float32Array[] }> {
  return { vectors: vectorsOf(await post(site, JSON.stringify({ model: "m", ...body }))) };
}

interface Answer {
  status: number;
  text: string;
}

function vectorsOf({ status, text }: Answer): Float32Array[] {
  assert.equal(status, 200, text.slice(0, 300));
  const { data } = JSON.parse(text) as { data: { embedding: string | number[]; index: number }[] };
  data.forEach(({ index }, i) => assert.equal(index, i));
  return data.map(({ embedding }) =>
    typeof embedding === "string" ? fromBase64(embedding) : Float32Array.from(embedding),
  );
}

type SendBody = (send: (piece: string) => void) => Promise<void>;

/** A connection that is lost or stands still for too long is an error, unless it was idle: then clients send again. */
async function post(site: Site, body: string, sendBody?: SendBody): Promise<Answer> {
  let idleSince = Infinity;
  const sent = new Promise<Answer>((resolve, reject) => {
    const outgoing = request(
      `${site.url}/v1/embeddings`,
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        agent: site.agent,
        timeout: MAX_ANSWER_MILLISECONDS,
      },
      (incoming) => {
        idleSince = Infinity;
        const chunks: Buffer[] = [];
        incoming
          .on("data", (chunk: Buffer) => chunks.push(chunk))
          .on("error", reject)
          .on("end", () => resolve({ status: incoming.statusCode!, text: Buffer.concat(chunks).toString() }));
      },
    );
    outgoing.on("socket", (socket) => {
      idleSince = site.usedAt.get(socket) ?? Infinity;
      site.usedAt.set(socket, performance.now());
    });
    outgoing
      .on("error", reject)
      .on("timeout", () => outgoing.destroy(new Error(`no answer in ${MAX_ANSWER_MILLISECONDS} ms`)));
    if (sendBody === undefined) outgoing.end(body);
    else void sendBody((piece) => void outgoing.write(piece)).then(() => outgoing.end());
  });
  try {
    const answer = await sent;
    site.tally.answers++;
    return answer;
  } catch (error) {
    if (performance.now() - idleSince < IDLE_MILLISECONDS) throw error;
    site.tally.sentAgain++;
    return post(site, body, sendBody);
  }
}

const anyIndex = ({ texts }: Site): number => Math.floor(Math.random() * texts.length);

function equal(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
}
