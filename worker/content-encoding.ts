/** Bodies that were compressed on their way. Of the codings that HTTP knows, workerd can take one back: gzip. */
import { ApiError, quoted } from "./errors";

/** deflate cannot turn one byte into more than 1032: a slice never gives more than 4 MiB at once. */
const SLICE_BYTES = 4096;
const PIECE_BYTES = 64 * 1024;

/** Which coding a body came in. Every other one is refused, with a header that names those that are read. */
export function contentEncodingOf(header: string | null): "identity" | "gzip" {
  if (header === null) return "identity";
  const codings = header
    .toLowerCase()
    .split(",")
    .map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "identity");
  if (codings.length === 0) return "identity";
  // RFC 9110, 8.4.1.3: x-gzip is gzip.
  if (codings.length === 1 && (codings[0] === "gzip" || codings[0] === "x-gzip")) return "gzip";
  throw new ApiError(
    "unsupported_content_encoding",
    `The body may be sent as it is or with 'content-encoding: gzip'; got ${quoted(header)}.`,
    null,
    { "accept-encoding": "gzip, identity" },
  );
}

/**
 * What an upload holds, in pieces of at most 64 KiB, each made when it is asked for. DecompressionStream takes in all
 * that it is given and keeps what came out until it is read, however much that is: it is given a slice at a time, so
 * that whoever counts the pieces and stops has never paid for more than one slice too many.
 */
export async function* gunzipped(upload: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const { readable, writable } = new DecompressionStream("gzip");
  const writer = writable.getWriter();
  const reader = readable.getReader({ mode: "byob" });
  let next = readPiece(reader);
  try {
    for await (const slice of slicesOf(upload)) {
      await writer.write(slice);
      for (;;) {
        // What came out of the slice is there by the next turn. A slice may also give nothing.
        await scheduler.wait(0);
        const piece = next.settled;
        if (piece === undefined || piece.done) break;
        next = readPiece(reader);
        yield piece.value;
      }
    }
    await writer.close();
    for (;;) {
      const piece = await next.result;
      if (piece.done) return;
      next = readPiece(reader);
      yield piece.value;
    }
  } finally {
    // Lets go of what is still inside, where it was left early or failed.
    next.result.catch(() => {});
    await Promise.all([writer.abort(), reader.cancel()]).catch(() => {});
  }
}

/** All of the same size but the last: an upload may come in a byte at a time. A slice is overwritten by the next. */
async function* slicesOf(upload: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const slice = new Uint8Array(SLICE_BYTES);
  let filled = 0;
  for await (const chunk of upload) {
    for (let start = 0; start < chunk.byteLength;) {
      const part = chunk.subarray(start, start + SLICE_BYTES - filled);
      slice.set(part, filled);
      filled += part.byteLength;
      start += part.byteLength;
      if (filled < SLICE_BYTES) continue;
      yield slice;
      filled = 0;
    }
  }
  if (filled > 0) yield slice.subarray(0, filled);
}

interface Piece {
  result: Promise<ReadableStreamReadResult<Uint8Array>>;
  /** Undefined as long as nothing has come out. */
  settled: ReadableStreamReadResult<Uint8Array> | undefined;
}

function readPiece(reader: ReadableStreamBYOBReader): Piece {
  const piece: Piece = { result: reader.read(new Uint8Array(PIECE_BYTES)), settled: undefined };
  piece.result.then(
    (settled) => (piece.settled = settled),
    () => {}, // whoever awaits the result, or the next write, gets the error
  );
  return piece;
}
