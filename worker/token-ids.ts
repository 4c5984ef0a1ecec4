/**
 * cl100k_base token ids to the texts that they stand for. The table lies in the static assets: in the bundle it would
 * add 415 kB (compressed) to the upload, and 2 ms of CPU and 2.4 MB to every isolate, most of which never see a
 * token id; fetched at need, it costs 8 ms once.
 */
import { ApiError, modelUnavailable } from "./errors";
import { log } from "./log";
import { TOKEN_ID_COUNT } from "./request";
import { SharedLoad, type LoadContext } from "./shared-load";

export interface TokenTableBindings {
  ASSETS?: Fetcher;
}

/** The texts behind `input`, of at most `maxBytes` bytes where they are given as token ids. */
export async function textsOfInput(
  input: (string | number[])[],
  maxBytes: number,
  env: TokenTableBindings,
  ctx: LoadContext,
): Promise<string[]> {
  return decodeTokenIds(await sharedTokenTable.get(env, ctx), input, maxBytes);
}

const sharedTokenTable = new SharedLoad(loadTokenTable);

async function loadTokenTable({ ASSETS }: TokenTableBindings): Promise<TokenTable> {
  try {
    // Any host will do: only the path counts.
    const response = await ASSETS?.fetch("https://assets.local/cl100k_base.bin");
    if (!response?.ok) throw new Error(`the static assets answered ${response?.status ?? "nothing"}`);
    return readTokenTable(await response.arrayBuffer());
  } catch (error) {
    log({ event: "token_table_load_failed", detail: String(error) });
    throw modelUnavailable("The table of token ids could not be read; texts as strings do not need it.");
  }
}

/** The texts of the cl100k_base ids; public/cl100k_base.bin, which scripts/build-cl100k.ts makes. */
interface TokenTable {
  /** The whole file. */
  bytes: Uint8Array;
  /** [TOKEN_ID_COUNT + 1]: where in `bytes` the text of each id starts, and where the last one ends. */
  starts: Uint32Array;
}

/** A u32 with the number of ids, the length of each one's text as a byte, the texts in the order of their ids. */
function readTokenTable(file: ArrayBuffer): TokenTable {
  const bytes = new Uint8Array(file);
  const count = bytes.length < 4 ? 0 : new DataView(file).getUint32(0, true);
  if (count !== TOKEN_ID_COUNT)
    throw new Error(`the table holds ${count} token ids, expected ${TOKEN_ID_COUNT}`);
  const starts = new Uint32Array(count + 1);
  let start = 4 + count;
  for (let id = 0; id < count; id++) {
    starts[id] = start;
    start += bytes[4 + id] ?? 0;
  }
  starts[count] = start;
  if (start !== bytes.length)
    throw new Error(`the table has ${bytes.length} bytes; its lengths add up to ${start}`);
  return { bytes, starts };
}

/** The texts that the token ids of a request stand for, of at most `maxBytes` bytes. */
function decodeTokenIds(table: TokenTable, input: (string | number[])[], maxBytes: number): string[] {
  // One id can stand for 128 bytes: the texts behind a body may not be larger than a body.
  let textBytes = 0;
  for (const item of input) if (typeof item !== "string") textBytes += decodedBytes(table, item);
  if (textBytes > maxBytes) {
    throw new ApiError(
      "request_too_large",
      `The token ids in 'input' may stand for at most ${maxBytes} bytes of text; got ${textBytes}.`,
    );
  }
  // Bytes that are no UTF-8 become U+FFFD; a byte order mark is text like any other.
  const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  return input.map((item) => (typeof item === "string" ? item : decoder.decode(textOfTokenIds(table, item))));
}

function textOfTokenIds(table: TokenTable, ids: number[]): Uint8Array {
  const { bytes, starts } = table;
  const text = new Uint8Array(decodedBytes(table, ids));
  let length = 0;
  for (const id of ids) {
    // A token has six bytes on average: a loop is faster here than a view and a copy for each.
    for (let at = starts[id]!; at < starts[id + 1]!; at++) text[length++] = bytes[at]!;
  }
  return text;
}

function decodedBytes({ starts }: TokenTable, ids: number[]): number {
  return ids.reduce((total, id) => total + starts[id + 1]! - starts[id]!, 0);
}
