// Reads a safetensors file (https://github.com/huggingface/safetensors#format) tensor by tensor, so that a model
// need not fit in memory twice.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { UserError } from "../project.js";
import { isObject, shown } from "./json-file.js";

/** The bound of the safetensors library itself. */
const MAX_HEADER_BYTES = 100_000_000;

interface Entry {
  dtype: string;
  shape: number[];
  begin: number;
  bytes: number;
}

type Converter = (bytes: ArrayBuffer) => Float32Array;
/** The dtypes that are read, with the bytes of a value. */
const DTYPES: Record<string, { bytes: number; toF32: Converter }> = {
  F32: { bytes: 4, toF32: (bytes) => new Float32Array(bytes) },
  F16: { bytes: 2, toF32: (bytes) => Float32Array.from(new Uint16Array(bytes), (bits) => halfValue(bits)) },
  BF16: { bytes: 2, toF32: fromBfloat16 },
  F64: { bytes: 8, toF32: (bytes) => Float32Array.from(new Float64Array(bytes)) },
  I8: { bytes: 1, toF32: (bytes) => Float32Array.from(new Int8Array(bytes)) },
  I32: { bytes: 4, toF32: (bytes) => Float32Array.from(new Int32Array(bytes)) },
  I64: { bytes: 8, toF32: (bytes) => Float32Array.from(new BigInt64Array(bytes), Number) },
};
/** What the weights of an encoder may be. */
export const FLOAT_DTYPES = ["F32", "F16", "BF16"];

export class SafetensorsFile {
  private constructor(
    private readonly descriptor: number,
    private readonly name: string,
    private readonly entries: Map<string, Entry>,
  ) {}

  /** `name` is what messages call the file. */
  static open(path: string, name: string): SafetensorsFile {
    const descriptor = openSync(path, "r");
    try {
      return new SafetensorsFile(descriptor, name, readHeader(descriptor, name));
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  close(): void {
    closeSync(this.descriptor);
  }

  names(): string[] {
    return [...this.entries.keys()];
  }

  /** undefined when there is no such tensor. */
  shape(name: string): number[] | undefined {
    return this.entries.get(name)?.shape;
  }

  /** The values of a tensor, row-major, as f32. A value that is not finite is refused. */
  read(name: string, shape: number[], dtypes: readonly string[] = FLOAT_DTYPES): Float32Array {
    const entry = this.entries.get(name);
    const expected = `${dtypes.join(", ")} ${shown(shape)}`;
    if (entry === undefined) {
      throw new UserError(`${this.name}: tensor ${name}: expected ${expected}, but there is none`);
    }
    if (!dtypes.includes(entry.dtype) || shown(entry.shape) !== shown(shape)) {
      throw new UserError(
        `${this.name}: tensor ${name}: expected ${expected}, found ${entry.dtype} ${shown(entry.shape)}`,
      );
    }
    const bytes = readBytes(this.descriptor, entry.begin, entry.bytes);
    const values = DTYPES[entry.dtype]!.toF32(bytes);
    const place = values.findIndex((value) => !Number.isFinite(value));
    if (place >= 0) {
      throw new UserError(`${this.name}: tensor ${name}: value ${place} is ${values[place]}, not a number`);
    }
    return values;
  }
}

function readHeader(descriptor: number, name: string): Map<string, Entry> {
  const fileBytes = fstatSync(descriptor).size;
  const malformed = (what: string): never => {
    throw new UserError(`${name}: not a safetensors file: ${what}`);
  };
  if (fileBytes < 8) malformed(`it has ${fileBytes} bytes`);
  const headerBytes = Number(new DataView(readBytes(descriptor, 0, 8)).getBigUint64(0, true));
  if (headerBytes > MAX_HEADER_BYTES || 8 + headerBytes > fileBytes) {
    malformed(`its header has ${headerBytes} bytes, the file ${fileBytes}`);
  }
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(readBytes(descriptor, 8, headerBytes)).toString("utf8"));
  } catch (error) {
    malformed(`its header is not valid JSON: ${(error as Error).message}`);
  }
  if (!isObject(header)) return malformed("its header is not a JSON object");
  const entries = new Map<string, Entry>();
  for (const [tensor, entry] of Object.entries(header)) {
    if (tensor === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
    const isCounts = (value: unknown): value is number[] =>
      Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
    if (typeof dtype !== "string" || !isCounts(shape) || !isCounts(offsets) || offsets.length !== 2) {
      return malformed(`the header's entry for ${tensor} is ${shown(entry)}`);
    }
    const [begin, end] = offsets as [number, number];
    const valueBytes = DTYPES[dtype]?.bytes;
    const expected = valueBytes === undefined ? end - begin : shape.reduce((a, b) => a * b, valueBytes);
    if (end - begin !== expected || 8 + headerBytes + end > fileBytes) {
      malformed(
        `tensor ${tensor}, ${dtype} ${shown(shape)}, has the bytes ${begin} to ${end} of ${fileBytes}`,
      );
    }
    entries.set(tensor, { dtype, shape, begin: 8 + headerBytes + begin, bytes: end - begin });
  }
  return entries;
}

function readBytes(descriptor: number, position: number, length: number): ArrayBuffer {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const read = readSync(descriptor, bytes, done, length - done, position + done);
    if (read === 0) throw new Error(`the file ended at byte ${position + done}`);
    done += read;
  }
  return bytes.buffer;
}

/** bfloat16 is the upper half of an f32. */
function fromBfloat16(bytes: ArrayBuffer): Float32Array {
  return new Float32Array(Uint32Array.from(new Uint16Array(bytes), (bits) => bits << 16).buffer);
}

/** IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
