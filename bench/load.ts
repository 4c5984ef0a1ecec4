// One request over and over: by wrk, on the core that the server does not have, or one after the other.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request, type Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../scripts/lib/project.js";
import { median } from "./numbers.js";
import { LOAD_CORE } from "./workerd.js";

export interface Load {
  requests: number;
  seconds: number;
  /** Requests that were not answered with 200. */
  failures: number;
  medianMilliseconds: number;
}

export interface LoadOptions {
  connections: number;
  seconds: number;
}

const SCRIPT = `
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local file = assert(io.open(BODY_FILE, "rb"))
wrk.body = file:read("*a")
file:close()

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"failures":%d,"median":%d}\\n', summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout, latency:percentile(50)))
end
`;

export function checkForWrk(): void {
  if (spawnSync("wrk", ["--version"]).error !== undefined) {
    throw new UserError(
      "wrk, which makes the load, is missing: run `apt-get install wrk` (macOS has no /proc: use Linux)",
    );
  }
}

export async function sendLoad(
  url: string,
  body: string,
  { connections, seconds }: LoadOptions,
): Promise<Load> {
  const folder = mkdtempSync(join(tmpdir(), "embeddings-worker-load-"));
  try {
    const bodyFile = join(folder, "body.json");
    writeFileSync(bodyFile, body);
    writeFileSync(join(folder, "post.lua"), `local BODY_FILE = ${JSON.stringify(bodyFile)}\n${SCRIPT}`);
    const output = await outputOf("taskset", [
      "--cpu-list",
      String(LOAD_CORE),
      "wrk",
      "--threads",
      "1",
      "--connections",
      String(connections),
      "--duration",
      `${seconds}s`,
      "--timeout",
      "60s",
      "--script",
      join(folder, "post.lua"),
      url,
    ]);
    const { requests, microseconds, failures, median } = JSON.parse(/^\{.*\}$/m.exec(output)![0]) as Record<
      string,
      number
    >;
    return {
      requests: requests!,
      seconds: microseconds! / 1e6,
      failures: failures!,
      medianMilliseconds: median! / 1e3,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * For requests that take long: wrk would break the last one off, and its CPU time would count while its answer does not.
 */
export async function sendOneByOne(url: string, body: string, seconds: number): Promise<Load> {
  const milliseconds: number[] = [];
  let failures = 0;
  const started = performance.now();
  while (performance.now() - started < seconds * 1000) {
    const sent = performance.now();
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    await answer.arrayBuffer();
    if (answer.status !== 200) failures++;
    milliseconds.push(performance.now() - sent);
  }
  return {
    requests: milliseconds.length,
    seconds: (performance.now() - started) / 1000,
    failures,
    medianMilliseconds: median(milliseconds),
  };
}

/** So many requests, over connections that stay open: throws unless all are answered with 200. */
export async function sendBatch(
  url: string,
  body: string,
  { requests, agent }: { requests: number; agent: Agent },
): Promise<void> {
  let sent = 0;
  const sendInTurn = async (): Promise<void> => {
    while (sent++ < requests) await post(url, body, agent);
  };
  await Promise.all(Array.from({ length: agent.maxSockets }, sendInTurn));
}

function post(url: string, body: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const message = request(url, { method: "POST", headers, agent }, (response) => {
      response.resume();
      response.once("error", reject);
      response.once("end", () =>
        response.statusCode === 200
          ? resolve()
          : reject(new Error(`${url} answered ${response.statusCode}: the figures would mean nothing`)),
      );
    });
    message.once("error", reject);
    message.end(body);
  });
}

function outputOf(program: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (text: Buffer) => (output += text.toString()));
    child.once("error", reject);
    child.once("close", (status) =>
      status === 0 ? resolve(output) : reject(new Error(`${program} ended with status ${status}`)),
    );
  });
}
