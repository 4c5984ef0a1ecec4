// Servers under the same load in turn, in short rounds, so that whatever else the machine does falls on all of them.
import { setTimeout as pause } from "node:timers/promises";
import { sendLoad, sendOneByOne } from "./load.js";
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
