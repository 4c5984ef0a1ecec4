// The lexical part that can stand behind any model's own dimensions: how rare stems are, from a shipped transformer.
import { closeSync, openSync, readSync } from "node:fs";
import { UserError } from "../project.js";
import { bytesTensor, type WeightsTensor } from "./weights-file.js";

export interface LexicalPart {
  dimensions: number;
  idf: WeightsTensor;
}

/** Reads tensor `idf` and `lexical_dim` of a weights file in the extended container. */
export function readLexicalPart(weightsPath: string): LexicalPart {
  const descriptor = openSync(weightsPath, "r");
  try {
    const headerBytes = Number(readAt(descriptor, 0, 8).readBigUInt64LE());
    const header = JSON.parse(readAt(descriptor, 8, headerBytes).toString()) as {
      __metadata__: { lexical_dim?: string };
      idf?: { data_offsets: [number, number] };
    };
    if (header.idf === undefined || header.__metadata__.lexical_dim === undefined) {
      throw new UserError(`${weightsPath} has no lexical part to take over: use --no-lexical`);
    }
    const [begin, end] = header.idf.data_offsets;
    const idf = readAt(descriptor, 8 + headerBytes + begin, end - begin);
    return { dimensions: Number(header.__metadata__.lexical_dim), idf: bytesTensor("idf", idf) };
  } finally {
    closeSync(descriptor);
  }
}

function readAt(descriptor: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  readSync(descriptor, bytes, 0, length, position);
  return bytes;
}
