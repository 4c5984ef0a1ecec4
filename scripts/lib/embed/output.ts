// The finished file: rows and their vectors, one after the other, in one of three formats.
import { createWriteStream } from "node:fs";
import { extname } from "node:path";
import { once } from "node:events";
import type { WriteStream } from "node:fs";
import { fileWriter, parquetWriteRows } from "hyparquet-writer";
import { UserError } from "../project.js";
import type { Row } from "./source.js";

export interface OutputRow {
  row: Row;
  index: number;
  vector: Float32Array;
}

export interface OutputInfo {
  rows: number;
  dimensions: number;
  /** Into the metadata of Parquet. */
  about: Record<string, string>;
}

type Writer = (path: string, rows: AsyncIterable<OutputRow>, info: OutputInfo) => Promise<void>;

const WRITERS: Record<string, Writer> = { ".jsonl": writeJsonl, ".npy": writeNpy, ".parquet": writeParquet };
/** A row group is held in memory, its vectors as plain numbers. */
const ROW_GROUP_VALUES = 2_000_000;
const ROW_GROUP_ROWS = 5_000;

/** By the name's ending. */
export function writerFor(path: string, column: string): Writer {
  const ending = extname(path).toLowerCase();
  const writer = WRITERS[ending];
  if (writer === undefined) {
    throw new UserError(`--out must end in ${Object.keys(WRITERS).join(", ")}; got ${path}`);
  }
  return ending === ".jsonl" ? (...args) => writeJsonl(...args, column) : writer;
}

/** The row's own fields stay what they are, between its index and its embedding. */
async function writeJsonl(
  path: string,
  rows: AsyncIterable<OutputRow>,
  _: OutputInfo,
  column = "text",
): Promise<void> {
  await writeStream(path, async (write) => {
    for await (const { row, index, vector } of rows) {
      if ("embedding" in row.fields)
        throw new UserError(
          `${row.place} has a field 'embedding' of its own: .npy and .parquet can take its vector`,
        );
      const fields = JSON.stringify({ index, ...row.fields, [column]: row.text });
      await write(`${fields.slice(0, -1)},"embedding":[${shortDecimals(vector)}]}\n`);
    }
  });
}

/** Nine digits always read back to the same 32-bit float; where eight do, they are enough. */
function shortDecimals(vector: Float32Array): string {
  return Array.from(vector, (value) => {
    const short = Number(value.toPrecision(8));
    return Math.fround(short) === value ? short : Number(value.toPrecision(9));
  }).join(",");
}

/** NumPy's format, version 1.0: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
async function writeNpy(
  path: string,
  rows: AsyncIterable<OutputRow>,
  { rows: count, dimensions }: OutputInfo,
): Promise<void> {
  const magic = Buffer.from("\x93NUMPY\x01\x00", "latin1");
  const description = `{'descr': '<f4', 'fortran_order': False, 'shape': (${count}, ${dimensions}), }`;
  // The values begin at a multiple of 64 bytes: magic, u16, description, spaces, line feed.
  const padded = `${description.padEnd(Math.ceil((magic.length + 3 + description.length) / 64) * 64 - magic.length - 3)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(padded.length);
  await writeStream(path, async (write) => {
    await write(Buffer.concat([magic, length, Buffer.from(padded)]));
    for await (const { vector } of rows) {
      const bytes = Buffer.alloc(4 * dimensions);
      vector.forEach((value, at) => bytes.writeFloatLE(value, 4 * at));
      await write(bytes);
    }
  });
}

/** Columns: index, text, fields (JSON) and embedding (a list of floats). */
async function writeParquet(
  path: string,
  rows: AsyncIterable<OutputRow>,
  { dimensions, about }: OutputInfo,
): Promise<void> {
  async function* records(): AsyncGenerator<Record<string, unknown>> {
    for await (const { row, index, vector } of rows)
      yield { index: BigInt(index), text: row.text, fields: row.fields, embedding: Array.from(vector) };
  }
  await parquetWriteRows({
    writer: fileWriter(path),
    rows: records(),
    rowGroupSize: Math.max(1, Math.min(ROW_GROUP_ROWS, Math.floor(ROW_GROUP_VALUES / dimensions))),
    kvMetadata: Object.entries(about).map(([key, value]) => ({ key, value })),
    createdBy: "embeddings-worker",
    columns: [
      { name: "index" },
      { name: "text" },
      { name: "fields" },
      { name: "embedding", encoding: "PLAIN", statistics: false },
    ],
    schema: [
      { name: "root", num_children: 4 },
      { name: "index", type: "INT64", repetition_type: "REQUIRED" },
      { name: "text", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
      { name: "fields", type: "BYTE_ARRAY", converted_type: "JSON", repetition_type: "REQUIRED" },
      { name: "embedding", converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
    ],
  });
}

async function writeStream(
  path: string,
  work: (write: (data: string | Buffer) => Promise<void>) => Promise<void>,
): Promise<void> {
  const stream: WriteStream = createWriteStream(path, { highWaterMark: 1024 * 1024 });
  const failed = once(stream, "error").then(([error]) => {
    throw error;
  });
  failed.catch(() => {});
  const finished = once(stream, "close");
  try {
    await work(async (data) => {
      if (!stream.write(data)) await Promise.race([once(stream, "drain"), failed]);
    });
  } finally {
    stream.end();
    await Promise.race([finished, failed]);
  }
}
