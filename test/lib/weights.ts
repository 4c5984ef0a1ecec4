// Weights files made up for tests.

export interface SeededTable {
  vocabSize: number;
  dimensions: number;
  maxSeqLen: number;
  normalize?: boolean;
  seed?: bigint;
}

/** A weights file in format v1 with auto-g-embed's own start values: xorshift64*, row 0 zeroed. */
export function seededWeights({
  vocabSize,
  dimensions,
  maxSeqLen,
  normalize = true,
  seed = 17n,
}: SeededTable): Uint8Array {
  const header = Buffer.from(
    JSON.stringify({ vocab_size: vocabSize, embedding_dim: dimensions, max_seq_len: maxSeqLen, normalize }),
  );
  const table = seededTable(vocabSize, dimensions, seed);
  const file = new Uint8Array(4 + header.length + table.byteLength);
  new DataView(file.buffer).setUint32(0, header.length, true);
  file.set(header, 4);
  file.set(new Uint8Array(table.buffer), 4 + header.length);
  return file;
}

function seededTable(vocabSize: number, dimensions: number, seed: bigint): Float32Array {
  const table = new Float32Array(vocabSize * dimensions);
  let state = seed === 0n ? 0x9e3779b97f4a7c15n : seed;
  for (let i = 0; i < table.length; i++) {
    state ^= state >> 12n;
    state = BigInt.asUintN(64, state ^ (state << 25n));
    state ^= state >> 27n;
    const output = BigInt.asUintN(64, state * 0x2545f4914f6cdd1dn);
    const value = Math.fround((Number(output >> 40n) / 2 ** 24) * 2 - 1);
    if (i >= dimensions) table[i] = Math.fround(value * Math.fround(0.05));
  }
  return table;
}

export interface TensorBytes {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

/** A weights file in the extended container. */
export function safetensors(
  tensors: Record<string, TensorBytes>,
  metadata: Record<string, string>,
): Uint8Array {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const start = end;
    end += bytes.byteLength;
    return [name, { dtype, shape, data_offsets: [start, end] }] as const;
  });
  const header = Buffer.from(
    JSON.stringify({
      __metadata__: { format: "embeddings-worker", name: "made-up", ...metadata },
      ...Object.fromEntries(entries),
    }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.byteLength));
  return Buffer.concat([length, header, ...Object.values(tensors).map(({ bytes }) => bytes)]);
}

export interface NamedTable {
  name: string;
  vocabSize: number;
  dimensions: number;
  /** Further names, each with its default dimensions. */
  aliases?: Record<string, number>;
  prompts?: { query_prompt?: string; document_prompt?: string };
}

/** A static model with a name of its own: rows of I8, no two of them the same. */
export function namedWeights({ name, vocabSize, dimensions, aliases, prompts }: NamedTable): Uint8Array {
  const values = vocabSize * dimensions;
  const rows = Int8Array.from({ length: values }, (_, i) => ((i * 37 + Math.floor(i / 251)) % 255) - 127);
  return safetensors(
    {
      embeddings: { dtype: "I8", shape: [vocabSize, dimensions], bytes: new Uint8Array(rows.buffer) },
      scales: {
        dtype: "F32",
        shape: [vocabSize],
        bytes: new Uint8Array(new Float32Array(vocabSize).fill(0.01).buffer),
      },
    },
    {
      name,
      tokenizer: "ascii-words",
      max_seq_len: "64",
      normalize: "true",
      ...(aliases !== undefined && { aliases: JSON.stringify(aliases) }),
      ...prompts,
    },
  );
}
