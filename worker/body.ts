/**
 * A request's body: read up to a limit, and to its end where it is refused, since a client reads an answer only when
 * its upload has an end.
 */
import { contentEncodingOf, gunzipped } from "./content-encoding";
import { ApiError } from "./errors";
import { settledWithin } from "./shared-load";

/** 2048 texts of 4 KiB each: more than clients send, and little beside an isolate's 128 MB. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A refused upload is read up to here, so that its sender reads the refusal and not a reset connection. */
const MAX_DRAIN_BYTES = 32 * 1024 * 1024;
const MAX_DRAIN_MILLISECONDS = 10_000;

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** How many bytes were read so far, also where the body is refused. Of a body in gzip, those that came out. */
export interface ReadSizes {
  bytes: number;
}

/**
 * A body whose length is stated ends there, by the rules of HTTP: it is read in one piece, at a quarter of what
 * counting costs. Any other is counted while it is read.
 */
export async function readBody(request: Request, sizes: ReadSizes): Promise<Uint8Array> {
  if (contentEncodingOf(request.headers.get("content-encoding")) === "gzip")
    return unpackBody(request, sizes);
  const statedBytes = Number(request.headers.get("content-length") ?? NaN);
  // Where both headers were sent, the length stated is not the one that counts.
  if (!(statedBytes <= MAX_BODY_BYTES) || request.headers.has("transfer-encoding"))
    return countBody(request, sizes);
  const body = await request.arrayBuffer().catch(() => {
    throw new ApiError("invalid_json", `The body broke off before its ${statedBytes} bytes were here.`);
  });
  sizes.bytes = body.byteLength;
  if (body.byteLength > MAX_BODY_BYTES) throw tooLarge(sizes.bytes);
  return new Uint8Array(body);
}

async function countBody(request: Request, sizes: ReadSizes): Promise<Uint8Array> {
  if (request.body === null) return NO_BYTES;
  const reader = request.body.getReader();
  let body: Uint8Array = NO_BYTES;
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new ApiError("invalid_json", `The body broke off after ${sizes.bytes} bytes.`);
    });
    if (done) return body.subarray(0, sizes.bytes);
    const start = sizes.bytes;
    sizes.bytes += value.byteLength;
    if (sizes.bytes > MAX_BODY_BYTES) {
      const drained = await drain(reader);
      sizes.bytes += drained.byteLength;
      throw tooLarge(sizes.bytes, drained.ended);
    }
    body = start === 0 ? value : appended(body, start, value);
  }
}

/** The limit counts what comes out, and what goes in as well: there is gzip of any length that holds nothing. */
async function unpackBody(request: Request, sizes: ReadSizes): Promise<Uint8Array> {
  if (request.body === null) return NO_BYTES;
  const reader = request.body.getReader();
  let sentBytes = 0;
  async function* upload(): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const { value, done } = await reader.read();
      if (done || (sentBytes += value.byteLength) > MAX_BODY_BYTES) return;
      yield value;
    }
  }
  let body: Uint8Array = NO_BYTES;
  try {
    for await (const piece of gunzipped(upload())) {
      const start = sizes.bytes;
      sizes.bytes += piece.byteLength;
      if (sizes.bytes > MAX_BODY_BYTES) break;
      body = start === 0 ? piece : appended(body, start, piece);
    }
    if (sizes.bytes <= MAX_BODY_BYTES) return body.subarray(0, sizes.bytes);
  } catch (error) {
    if (sentBytes <= MAX_BODY_BYTES) {
      await drain(reader);
      throw new ApiError("invalid_json", `The body is not gzip, or not whole: ${(error as Error).message}.`);
    }
  }
  // What is left of the upload is read, but not unpacked only to be counted.
  await drain(reader);
  throw tooLarge(Math.max(sizes.bytes, sentBytes), false);
}

function tooLarge(byteLength: number, isWhole = true): ApiError {
  return new ApiError(
    "request_too_large",
    `The body may have at most ${MAX_BODY_BYTES} bytes; got ${isWhole ? byteLength : `more than ${byteLength}`}.`,
  );
}

/**
 * Copies a chunk behind the first `length` bytes, into a larger buffer where it must be. A chunk by itself holds
 * on to 4 KiB of memory, were it of one byte: bodies that trickle in are gathered as they come.
 */
function appended(buffer: Uint8Array, length: number, chunk: Uint8Array): Uint8Array {
  const needed = length + chunk.byteLength;
  let whole = buffer;
  if (needed > buffer.byteLength) {
    whole = new Uint8Array(Math.min(Math.max(needed, 2 * length), MAX_BODY_BYTES));
    whole.set(buffer.subarray(0, length));
  }
  whole.set(chunk, length);
  return whole;
}

/** Reads what is left of an upload that is refused: how many bytes that was, and whether it came to its end. */
export async function drain(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<{ byteLength: number; ended: boolean }> {
  let byteLength = 0;
  const reading = (async () => {
    while (byteLength <= MAX_DRAIN_BYTES) {
      const { value, done } = await reader.read();
      if (done) return true;
      byteLength += value.byteLength;
    }
    return false;
  })();
  const ended =
    (await settledWithin(
      MAX_DRAIN_MILLISECONDS,
      reading.catch(() => true),
    )) ?? false;
  if (!ended) await reader.cancel().catch(() => {});
  return { byteLength, ended };
}
