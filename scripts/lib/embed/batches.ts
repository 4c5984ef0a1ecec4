// Rows into requests, and what comes back in the order of the rows: several requests at once, a few of them ahead.
import type { Embedded } from "./endpoint.js";
import { RefusedText } from "./endpoint.js";
import type { Row, Rows } from "./source.js";
import { UserError } from "../project.js";

/** Far below what bodies may have, also where every character takes three bytes. */
const BATCH_CHARACTERS = 1_000_000;

export interface Batch {
  rowCount: number;
  /** Those with more than white space in them; `offset` counts from the batch's first row. */
  texts: { offset: number; row: Row }[];
}

/** All rows from `first` on, in batches of at most `size` texts. Rows without a text only count. */
export async function* batchesOf(rows: Rows, first: number, size: number): AsyncGenerator<Batch> {
  let batch: Batch = { rowCount: 0, texts: [] };
  let characters = 0;
  let at = 0;
  for await (const row of rows) {
    if (at++ < first) continue;
    const isFull = batch.texts.length === size || characters + row.text.length > BATCH_CHARACTERS;
    if (isFull && batch.texts.length > 0) {
      yield batch;
      [batch, characters] = [{ rowCount: 0, texts: [] }, 0];
    }
    if (row.text.trim() !== "") {
      batch.texts.push({ offset: batch.rowCount, row });
      characters += row.text.length;
    }
    batch.rowCount++;
  }
  if (batch.rowCount > 0) yield batch;
}

export interface EmbeddedBatch {
  batch: Batch;
  /** Of the batch's texts; undefined where it has none. */
  embedded: Embedded | undefined;
}

/**
 * Embeds `concurrency` batches at a time and yields them in their order. Twice as many are held at once, so that one
 * that is slow does not stop the others and memory has a bound. The first failure ends it, after all that came before.
 */
export async function* embedInOrder(
  batches: AsyncIterable<Batch>,
  embed: (texts: string[]) => Promise<Embedded>,
  concurrency: number,
): AsyncGenerator<EmbeddedBatch> {
  const limited = limit(concurrency);
  const held: Promise<EmbeddedBatch>[] = [];
  for await (const batch of batches) {
    const result = limited(() => embedBatch(batch, embed));
    // Whoever takes it from the queue gets the failure.
    result.catch(() => {});
    held.push(result);
    if (held.length === 2 * concurrency) yield await held.shift()!;
  }
  for (const result of held) yield await result;
}

async function embedBatch(
  batch: Batch,
  embed: (texts: string[]) => Promise<Embedded>,
): Promise<EmbeddedBatch> {
  if (batch.texts.length === 0) return { batch, embedded: undefined };
  try {
    return { batch, embedded: await embed(batch.texts.map(({ row }) => row.text)) };
  } catch (error) {
    if (!(error instanceof RefusedText)) throw error;
    throw new UserError(`${batch.texts[error.index]?.row.place ?? "a row"} is refused: ${error.message}`);
  }
}

/** Runs at most `count` at a time; the others wait their turn. */
function limit(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running === count) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
