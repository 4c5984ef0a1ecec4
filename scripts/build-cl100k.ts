// Writes public/cl100k_base.bin: the bytes that each cl100k_base token id stands for, so that the Worker can turn
// token ids back into text. Needs the client packages: npm ci --prefix test/clients
//
// The file, little-endian: a u32, the number of ids n; n bytes, the length of each id's text; then those texts, one
// after the other, in the order of their ids.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { PROJECT_ROOT, runAsCommand, UserError } from "./lib/project.js";

export const CL100K_TABLE = join(PROJECT_ROOT, "public", "cl100k_base.bin");
/** SHA-256 of OpenAI's cl100k_base.tiktoken, which every copy of this table comes from; tiktoken pins the same. */
export const CL100K_SOURCE_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7";

const CLIENT_PACKAGES = join(PROJECT_ROOT, "test", "clients", "package.json");

await runAsCommand(import.meta.url, () => {
  const texts = readPackage();
  const hash = hashOfSource(texts);
  if (hash !== CL100K_SOURCE_SHA256) {
    throw new UserError(`js-tiktoken holds a table with SHA-256 ${hash}, expected ${CL100K_SOURCE_SHA256}.`);
  }
  const table = writeTable(texts);
  writeFileSync(CL100K_TABLE, table);
  console.log(`public/cl100k_base.bin: ${texts.length} token ids in ${table.length} bytes, source ${hash}`);
});

/** js-tiktoken keeps the table as lines of `! <id of the first> <base64> <base64> ...`. */
function readPackage(): Buffer[] {
  const require = createRequire(CLIENT_PACKAGES);
  let path: string;
  try {
    path = require.resolve("js-tiktoken/ranks/cl100k_base");
  } catch {
    throw new UserError("js-tiktoken is not installed. Run: npm ci --prefix test/clients");
  }
  const { bpe_ranks: ranks } = require(path) as { bpe_ranks: string };
  const texts: Buffer[] = [];
  for (const line of ranks.split("\n").filter(Boolean)) {
    const [, first, ...encoded] = line.split(" ");
    encoded.forEach((base64, i) => (texts[Number(first) + i] = Buffer.from(base64, "base64")));
  }
  return texts;
}

/** The hash of OpenAI's own file, written again from the table: a line `<base64> <id>` for every id. */
export function hashOfSource(texts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  texts.forEach((text, id) => hash.update(`${Buffer.from(text).toString("base64")} ${id}\n`));
  return hash.digest("hex");
}

function writeTable(texts: readonly Buffer[]): Buffer {
  const longest = texts.reduce((bytes, text) => Math.max(bytes, text.length), 0);
  if (longest > 255) throw new UserError(`A token of ${longest} bytes: the table has one byte for a length.`);
  const count = Buffer.alloc(4);
  count.writeUInt32LE(texts.length);
  return Buffer.concat([count, Buffer.from(texts.map((text) => text.length)), ...texts]);
}

/** Reads the compact file back: the text of every token id. */
export function readTable(): Uint8Array[] {
  const table = readFileSync(CL100K_TABLE);
  const count = table.readUInt32LE(0);
  let start = 4 + count;
  return Array.from(table.subarray(4, start), (length) => table.subarray(start, (start += length)));
}
