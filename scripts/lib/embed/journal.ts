// What is embedded so far, beside the output until that is whole: a line of JSON that says whose vectors these are, and
// behind it a record of the same length for each row, in the order of the rows. A process that was killed in the midst
// of writing leaves part of a record at the end, which is cut off: the number of whole records is where to go on.
import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { UserError } from "../project.js";

/** What must be the same for two runs to be parts of one. */
export interface Settings {
  /** SHA-256 of the rows. */
  source: string;
  model: string;
  /** What was asked for; null leaves it to the model. */
  dimensions: number | null;
  inputType: string | null;
}

/** What the first answer says. */
export interface Found {
  dimensions: number;
  /** x-model-version. */
  version: string;
}

export interface JournalRecord {
  vector: Float32Array;
  /** How many tokens the text has, and how many of them the model read: both 0 where it read all. */
  tokens: number;
  tokensRead: number;
}

const HEAD_BYTES_AT_MOST = 64 * 1024;
const BATCH_RECORDS = 256;

export class Journal {
  readonly recordBytes: number;

  private constructor(
    readonly path: string,
    private readonly file: number,
    private readonly headBytes: number,
    readonly found: Found,
    /** Whole records. */
    public count: number,
  ) {
    this.recordBytes = recordBytes(found);
  }

  /** Undefined where there is none, or one whose first line was not finished. */
  static open(path: string, settings: Settings): Journal | undefined {
    if (!existsSync(path)) return undefined;
    const file = openSync(path, "r+");
    const start = Buffer.alloc(HEAD_BYTES_AT_MOST);
    const head = start.subarray(0, readSync(file, start, 0, start.byteLength, 0));
    const end = head.indexOf(0x0a);
    if (end === -1) {
      closeSync(file);
      return undefined;
    }
    const { settings: earlier, found } = JSON.parse(head.toString("utf8", 0, end)) as {
      settings: Settings;
      found: Found;
    };
    for (const name of ["source", "model", "dimensions", "inputType"] as const) {
      if (earlier[name] === settings[name]) continue;
      const difference =
        name === "source"
          ? "of rows that have changed since"
          : `with ${name} ${JSON.stringify(earlier[name])}, now it is ${JSON.stringify(settings[name])}`;
      throw new UserError(
        `${path} holds what an earlier run embedded, ${difference}: remove it to begin anew, or name another --out`,
      );
    }
    const headBytes = end + 1;
    const count = Math.floor((fstatSync(file).size - headBytes) / recordBytes(found));
    ftruncateSync(file, headBytes + count * recordBytes(found));
    return new Journal(path, file, headBytes, found, count);
  }

  static create(path: string, settings: Settings, found: Found): Journal {
    const file = openSync(path, "w+");
    const head = Buffer.from(`${JSON.stringify({ settings, found })}\n`);
    writeAll(file, head, 0);
    return new Journal(path, file, head.byteLength, found, 0);
  }

  append(records: JournalRecord[]): void {
    const bytes = new Uint8Array(records.length * this.recordBytes);
    const view = new DataView(bytes.buffer);
    records.forEach(({ vector, tokens, tokensRead }, i) => {
      const start = i * this.recordBytes;
      view.setUint32(start, tokens, true);
      view.setUint32(start + 4, tokensRead, true);
      vector.forEach((value, at) => view.setFloat32(start + 8 + at * 4, value, true));
    });
    writeAll(this.file, bytes, this.headBytes + this.count * this.recordBytes);
    this.count += records.length;
  }

  *records(): Generator<JournalRecord> {
    const bytes = new Uint8Array(BATCH_RECORDS * this.recordBytes);
    for (let first = 0; first < this.count; first += BATCH_RECORDS) {
      const count = Math.min(BATCH_RECORDS, this.count - first);
      const position = this.headBytes + first * this.recordBytes;
      const read = readSync(this.file, bytes, 0, count * this.recordBytes, position);
      if (read < count * this.recordBytes) throw new Error(`${this.path} became shorter while it was read`);
      const view = new DataView(bytes.buffer);
      for (let i = 0; i < count; i++) {
        const start = i * this.recordBytes;
        const vector = new Float32Array(this.found.dimensions);
        for (let at = 0; at < vector.length; at++) vector[at] = view.getFloat32(start + 8 + at * 4, true);
        yield { vector, tokens: view.getUint32(start, true), tokensRead: view.getUint32(start + 4, true) };
      }
    }
  }

  close(): void {
    closeSync(this.file);
  }
}

/** Two u32 and the vector. */
function recordBytes({ dimensions }: Found): number {
  return 8 + 4 * dimensions;
}

function writeAll(file: number, bytes: Uint8Array, position: number): void {
  for (let written = 0; written < bytes.byteLength;)
    written += writeSync(file, bytes, written, bytes.byteLength - written, position + written);
}
