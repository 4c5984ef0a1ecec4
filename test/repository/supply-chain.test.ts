// What ships is what lies in this repository: nothing that the Worker imports, and nothing in its bundle, is from npm.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import ts from "typescript";
import { bundle, bundledSources } from "../../scripts/lib/bundle.js";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";
import manifest from "../../package.json" with { type: "json" };

const OWN_CRATES = ["embedder-tools", "embedder-wasm"];

test("the Worker imports only files of this repository", () => {
  const imported = importsFrom("worker.ts");
  assert.deepEqual(
    [...imported.keys()].filter((path) => path.startsWith("npm:")),
    [],
  );
  for (const path of [
    "worker/models.ts",
    "embedder-wasm/embedder.ts",
    "embedder-wasm/pkg/embedder_wasm.js",
    "embedder-wasm/pkg/embedder_wasm_bg.wasm",
  ]) {
    assert.ok(imported.has(path), `${path} was followed`);
  }
});

test("an import from npm would be seen, whichever way it is written", () => {
  for (const source of [
    'import a from "hono";',
    'export * from "hono";',
    'const a = await import("hono");',
    'import "hono/x";',
    'import type { A } from "hono";',
    'import a = require("hono");',
    'const a = require("hono");',
    'import a from "node:buffer";',
  ]) {
    const [specifier] = importsOf(source);
    assert.ok(specifier !== undefined && !specifier.startsWith("."), source);
  }
});

test("the bundle holds no file of node_modules", async () => {
  const source = readFileSync(await bundle(), "utf8");
  const files = [...source.matchAll(/^\/\/ (\S+\.(?:[cm]?[jt]s|json))$/gm)].map(([, path]) => path!);
  assert.ok(files.includes("worker.ts"), files.join());
  assert.deepEqual(
    files.filter((path) => path.includes("node_modules")),
    [],
  );
});

test("a change to any file that the Worker imports is seen, and makes another bundle", () => {
  assert.deepEqual([...bundledSources()].sort(), ["worker.ts", ...importsFrom("worker.ts").keys()].sort());
});

test("package.json has no dependency that is not for development", () => {
  assert.deepEqual(Object.keys((manifest as { dependencies?: object }).dependencies ?? {}), []);
});

test("every crate is this repository's own or from crates.io, with its checksum", () => {
  const lock = readFileSync(join(PROJECT_ROOT, "Cargo.lock"), "utf8");
  const crates = lock
    .split("[[package]]")
    .slice(1)
    .map((entry) =>
      Object.fromEntries(
        [...entry.matchAll(/^(name|source|checksum) = "(.+)"$/gm)].map(([, key, value]) => [key, value]),
      ),
    );
  assert.deepEqual(
    crates.filter(({ source }) => source === undefined).map(({ name }) => name),
    OWN_CRATES,
  );
  for (const { name, source, checksum } of crates.filter(({ name }) => !OWN_CRATES.includes(name!))) {
    assert.match(source!, /^registry\+.*\/crates\.io-index$/, name);
    assert.match(checksum ?? "", /^[0-9a-f]{64}$/, name);
  }
});

/** All that a file of the Worker imports, and what that imports: paths from the root, or `npm:` and the specifier. */
function importsFrom(path: string, found = new Map<string, true>()): Map<string, true> {
  const file = join(PROJECT_ROOT, path);
  if (!/\.[jt]s$/.test(path)) return found;
  for (const specifier of importsOf(readFileSync(file, "utf8"))) {
    // What workerd itself provides is in no bundle.
    if (specifier.startsWith("cloudflare:")) continue;
    const local = specifier.startsWith(".")
      ? resolved(normalize(join(dirname(path), specifier)))
      : `npm:${specifier}`;
    if (found.has(local)) continue;
    found.set(local, true);
    if (!local.startsWith("npm:")) importsFrom(local, found);
  }
  return found;
}

function resolved(path: string): string {
  const candidate = [path, `${path}.ts`, path.replace(/\.js$/, ".ts")].find((name) =>
    existsSync(join(PROJECT_ROOT, name)),
  );
  assert.ok(candidate !== undefined, `${path} does not exist`);
  return candidate;
}

function importsOf(source: string): string[] {
  return ts.preProcessFile(source, true, true).importedFiles.map(({ fileName }) => fileName);
}
