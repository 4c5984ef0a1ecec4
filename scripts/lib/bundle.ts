// Bundles worker.ts into dist/, as `wrangler deploy` would upload it: what the tests and benchmarks run.
// Takes two seconds, and a few milliseconds when nothing that goes into the bundle has changed.
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { PROJECT_ROOT, runAsCommand, UserError } from "./project.js";
import { runWrangler, wranglerCommandLine } from "./wrangler.js";

const OUTPUT_FOLDER = join(PROJECT_ROOT, "dist");
const WORKER = "worker.ts";

void runAsCommand(import.meta.url, async () => void (await bundle()));

/**
 * Makes sure that dist/ holds the present sources; the answer is the path of the bundled worker.js. Another entry than
 * worker.ts, one of the benchmarks', has a folder of its own in dist/.
 */
export async function bundle(entry = WORKER): Promise<string> {
  const name = basename(entry, ".ts");
  const folder = entry === WORKER ? OUTPUT_FOLDER : join(OUTPUT_FOLDER, name);
  const bundled = join(folder, `${name}.js`);
  const hashFile = join(folder, "sources.sha256");
  const wantedHash = hashOfSources(entry);
  if (existsSync(bundled) && readIfPresent(hashFile) === wantedHash) return bundled;

  // Built beside its final place and moved file by file, so that a test file that bundles at the same
  // moment never reads half a Worker. The hash comes last: it vouches for the others.
  mkdirSync(folder, { recursive: true });
  const buildFolder = mkdtempSync(join(OUTPUT_FOLDER, "build-"));
  try {
    const args = ["deploy", entry, "--dry-run", "--outdir", buildFolder];
    const result = await runWrangler(args);
    if (result.exitCode !== 0) {
      throw new UserError(
        `the Worker does not bundle (${wranglerCommandLine(["deploy", "--dry-run"])}):\n${result.output.trim()}`,
      );
    }
    const builtFiles = readdirSync(buildFolder).filter((name) => name !== "README.md");
    for (const name of builtFiles) renameSync(join(buildFolder, name), join(folder, name));
    for (const name of readdirSync(folder)) {
      const isOfAnOlderBuild = name.endsWith(".wasm") && !builtFiles.includes(name);
      if (isOfAnOlderBuild) rmSync(join(folder, name), { force: true });
    }
    writeFileSync(hashFile, wantedHash);
  } finally {
    rmSync(buildFolder, { recursive: true, force: true });
  }
  return bundled;
}

/** SHA-256 over everything that a bundle depends on: its entry with all it imports, and wrangler's part. */
function hashOfSources(entry: string): string {
  const hash = createHash("sha256");
  for (const path of ["wrangler.toml", "tsconfig.json", "package-lock.json", ...withImports(entry)]) {
    hash
      .update(`${path}\0`)
      .update(readIfPresent(join(PROJECT_ROOT, path)) ?? "")
      .update("\0");
  }
  return hash.digest("hex");
}

export function bundledSources(): Set<string> {
  return withImports(WORKER);
}

function withImports(entry: string, found = new Set<string>()): Set<string> {
  if (found.has(entry)) return found;
  found.add(entry);
  if (!/\.[cm]?[jt]s$/.test(entry)) return found;
  const source = readIfPresent(join(PROJECT_ROOT, entry)) ?? "";
  for (const [, specifier] of source.matchAll(/\b(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g)) {
    withImports(resolved(join(dirname(entry), specifier as string)), found);
  }
  return found;
}

/** An import may leave out `.ts`. One that names no file would hide a change from the hash. */
function resolved(path: string): string {
  const file = [path, `${path}.ts`].find((candidate) => existsSync(join(PROJECT_ROOT, candidate)));
  if (file === undefined)
    throw new UserError(`the Worker does not bundle: an import names ${path}, which is not there`);
  return file;
}

/** The file's bytes as latin-1 text, so that a .wasm keeps every byte. */
function readIfPresent(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "latin1") : undefined;
}
