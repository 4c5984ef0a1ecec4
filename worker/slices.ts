/**
 * The work of a request in slices, between which others get their turn. There may be only so much of it, and only so much of
 * it may be begun.
 */
import { embed, type Format, type Slice } from "../embedder-wasm/embedder";
import { ApiError } from "./errors";
import { failureOf, type LoadedModel } from "./models";
import { beginTask, begunBytes, endTask, waitingWork, type Task } from "./running";

/** Multiply-adds in one slice: about 50 ms. The clock stands still while code runs on Cloudflare. */
const SLICE_WORK = 1_500_000_000;
/** Others get their turns then; the request goes on as soon as they have had them. */
const PAUSE_MILLISECONDS = 0;
/** A short request takes some turns: its connection, its headers and its body arrive, and its answer leaves. */
const TURNS_OF_A_PAUSE = 4;
/** Of transformers, on Cloudflare as well as here. */
const WORK_PER_SECOND = 30_000_000_000;
/** Three of the largest requests that a transformer allows (REQUEST_MULTIPLY_ADDS in models/bert.rs): about a minute. */
const MAX_WAITING_WORK = 3 * 540_000_000_000;
/** What texts that are begun take at most, or one of them alone: that of 512 tokens of 384 dimensions has 0.8 MB. */
const MAX_BEGUN_BYTES = 8 * 1024 * 1024;
/** A request that may not begin looks again then. */
const WAIT_TO_BEGIN_MILLISECONDS = 10;

/** The client has left: there is nobody to answer. */
export class ClientLeft extends Error {}

/** What one job works with, all of it checked, and how far it is. */
export interface Work {
  loaded: LoadedModel;
  texts: string[];
  dimensions: number;
  isAbandoned: () => boolean;
  /** About how much there is to do. */
  multiplyAdds: number;
  /** How many texts are done. */
  done: number;
  /** How far the next one is, where it takes several slices. */
  begun: Uint8Array<ArrayBuffer> | undefined;
  /** Of these. */
  summary: Summary;
}

export interface TruncatedInput {
  index: number;
  tokens: number;
  tokens_read: number;
}

/** What an answer says beside its vectors. */
export interface Summary {
  /** That the model has read. */
  tokens: number;
  truncated: TruncatedInput[];
  /** The texts that have the zero vector. */
  empty: number[];
}

/** Work that takes several slices waits for its turns; there may be only so much of it. */
export function checkWaiting(multiplyAdds: number): void {
  if (multiplyAdds <= SLICE_WORK) return;
  const waiting = waitingWork();
  if (waiting === 0 || waiting + multiplyAdds <= MAX_WAITING_WORK) return;
  const seconds = Math.ceil(waiting / WORK_PER_SECOND);
  throw new ApiError(
    "overloaded",
    `Too many tokens are waiting here: they take about ${seconds} s. Try again then.`,
    null,
    { "retry-after": String(seconds) },
  );
}

/** Gets views of wasm memory: whatever it keeps, it copies. */
type TakeSlice = (slice: Slice, isLast: boolean) => void;

/** Returns nothing where the work is done at once: what fits into one slice knows no pause. */
export function forEachSlice(work: Work, format: Format, take: TakeSlice): Promise<void> | undefined {
  return mayGoOn(work) && doSlice(work, format, take) ? undefined : doMoreSlices(work, format, take);
}

/** A text that is begun takes memory until it is done: where many are, others wait until theirs can be. */
function mayGoOn({ multiplyAdds, begun }: Work): boolean {
  return multiplyAdds <= SLICE_WORK || begun !== undefined || begunBytes() <= MAX_BEGUN_BYTES;
}

async function doMoreSlices(work: Work, format: Format, take: TakeSlice): Promise<void> {
  const task = beginTask(work.loaded.model, work.multiplyAdds);
  try {
    for (let isDone = false; !isDone;) {
      task.begunBytes = work.begun?.byteLength ?? 0;
      await pause(task, work.isAbandoned);
      if (!mayGoOn(work)) {
        await scheduler.wait(WAIT_TO_BEGIN_MILLISECONDS);
        continue;
      }
      task.workLeft -= SLICE_WORK;
      isDone = doSlice(work, format, take);
    }
  } catch (error) {
    throw failureOf(error);
  } finally {
    endTask(task);
  }
}

/** As much as the budget of a slice allows; returns whether the last text is done. */
function doSlice(work: Work, format: Format, take: TakeSlice): boolean {
  const { loaded, texts, dimensions, summary } = work;
  for (let workBudget = SLICE_WORK; workBudget > 0;) {
    const { done: firstIndex, begun } = work;
    const slice = embed(loaded.model, texts, { dimensions, format, firstIndex, workBudget, begun });
    // Freed at once: until garbage is collected, many of them would add up.
    begun?.buffer.transfer(0);
    // Outside wasm memory, which other requests use before this one goes on.
    work.begun = slice.begun?.slice();
    const tokens = addCounts(summary, slice, work.done);
    work.done += slice.done;
    const isLast = work.done === texts.length;
    if (slice.done > 0) take(slice, isLast);
    if (isLast) return true;
    if (slice.isBudgetSpent) return false;
    workBudget -= tokens * loaded.info.multiplyAddsPerToken;
  }
  return false;
}

/** Other requests get their turn. That of a client that has left ends here, mostly by never going on. */
async function pause(task: Task, isAbandoned: () => boolean): Promise<void> {
  task.seenAt = Date.now();
  for (let turn = 0; turn < TURNS_OF_A_PAUSE; turn++) await scheduler.wait(PAUSE_MILLISECONDS);
  task.seenAt = Date.now();
  if (isAbandoned()) throw new ClientLeft();
}

/** Returns how many tokens of these texts were read. */
function addCounts(summary: Summary, { counts, done }: Slice, firstIndex: number): number {
  let read = 0;
  for (let i = 0; i < done; i++) {
    const tokens = counts[3 * i]!;
    const tokens_read = counts[3 * i + 1]!;
    const index = firstIndex + i;
    read += tokens_read;
    if (tokens_read < tokens) summary.truncated.push({ index, tokens, tokens_read });
    if (counts[3 * i + 2] === 1) summary.empty.push(index);
  }
  summary.tokens += read;
  return read;
}
