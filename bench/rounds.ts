// Servers under the same load in turn, in short rounds, so that whatever else the machine does falls on all of them.
import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { sendBatch, sendLoad, sendOneByOne } from "./load.js";
import { count, median } from "./numbers.js";
import { cpuMilliseconds, type RunningServer } from "./workerd.js";

export interface Round {
  perSecond: number;
  cpuMicroseconds: number;
}

export interface RoundLoad {
  seconds: number;
  /** 1: the next request is sent when the one before is answered, and the last one is waited for. */
  connections: number;
}

/** V8 has optimised what it will by then. */
const WARM_UP_BATCHES = 40;
/** The server is idle again. */
const AFTER_BATCH_MILLISECONDS = 2;
const MAX_ROUND_SECONDS = 30;
const IDLE_CHECK_MILLISECONDS = 50;
/** What a server without requests may use meanwhile: a collection of garbage, say. */
const IDLE_CPU_MILLISECONDS = 5;

/** One round of each server in turn; the first one warms up and does not count. */
export async function alternate(
  servers: RunningServer[],
  body: string,
  { rounds, ...load }: RoundLoad & { rounds: number },
): Promise<Round[][]> {
  const results: Round[][] = servers.map(() => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, server] of servers.entries()) {
      const measured = await measureRound(server, body, load);
      if (round > 0) results[i]!.push(measured);
    }
  }
  return results;
}

export interface Batches {
  batches: number;
  requestsOfABatch: number;
  connections: number;
}

/**
 * CPU microseconds of a request, `[servers, batches]`. Batches take some hundredths of a second and follow one another, each
 * time with another server first: what the machine does besides lasts longer, and falls on all servers alike.
 */
export async function alternateBatches(
  servers: RunningServer[],
  body: string,
  { batches, requestsOfABatch, connections }: Batches,
): Promise<number[][]> {
  const agents = servers.map(() => new Agent({ keepAlive: true, maxSockets: connections }));
  const results: number[][] = servers.map(() => []);
  const measure = async (i: number): Promise<number> => {
    const { url, pid } = servers[i]!;
    const before = cpuMilliseconds(pid);
    await sendBatch(`${url}/v1/embeddings`, body, { requests: requestsOfABatch, agent: agents[i]! });
    await pause(AFTER_BATCH_MILLISECONDS);
    return ((cpuMilliseconds(pid) - before) * 1000) / requestsOfABatch;
  };
  try {
    for (const i of servers.keys()) {
      for (let batch = 0; batch < WARM_UP_BATCHES; batch++) await measure(i);
    }
    for (let batch = 0; batch < batches; batch++) {
      for (const offset of servers.keys()) {
        const i = (batch + offset) % servers.length;
        results[i]!.push(await measure(i));
      }
    }
  } finally {
    agents.forEach((agent) => agent.destroy());
  }
  return results;
}

async function measureRound(
  server: RunningServer,
  body: string,
  { seconds, connections }: RoundLoad,
): Promise<Round> {
  const cpuBefore = cpuMilliseconds(server.pid);
  const url = `${server.url}/v1/embeddings`;
  const load =
    connections === 1
      ? await sendOneByOne(url, body, seconds)
      : await sendLoad(url, body, { connections, seconds });
  const cpu = cpuMilliseconds(server.pid) - cpuBefore;
  if (load.failures > 0) throw new Error(`${load.failures} requests failed: the figures would mean nothing`);
  await untilIdle(server);
  // A machine that is busy with other things may take longer than a round for one large request.
  if (load.requests === 0) {
    if (seconds > MAX_ROUND_SECONDS) throw new Error(`no request was answered in ${seconds} s`);
    return measureRound(server, body, { seconds: seconds * 2, connections });
  }
  return { perSecond: load.requests / load.seconds, cpuMicroseconds: (cpu * 1000) / load.requests };
}

/** Requests that nobody waits for any more would take the next server's time. */
async function untilIdle(server: RunningServer): Promise<void> {
  let before = cpuMilliseconds(server.pid);
  for (;;) {
    await pause(IDLE_CHECK_MILLISECONDS);
    const now = cpuMilliseconds(server.pid);
    if (now - before < IDLE_CPU_MILLISECONDS) return;
    before = now;
  }
}

export function speed(rounds: Round[]): string {
  const perSecond = median(rounds.map((round) => round.perSecond));
  return `${perSecond < 10 ? perSecond.toFixed(1) : count(perSecond)} requests/s, ${count(
    median(rounds.map((round) => round.cpuMicroseconds)),
  )} µs`;
}
