// The arrows of docs/architecture.md: no file needs, by any way, a file that needs it.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { test } from "node:test";
import ts from "typescript";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";

const CRATE = "embedder-wasm/src";
/** From the outside in: a module uses those behind it. What is not named here is used by all and uses nothing. */
const CRATE_ORDER = ["boundary", "batch", "models", "kernels", "tokenizers", "format", "answer"];

test("TypeScript has no import cycle", () => {
  const folders = ["worker", "scripts", "bench", "test"].flatMap((folder) => filesBelow(folder, ".ts"));
  const imports = new Map(
    ["worker.ts", "embedder-wasm/embedder.ts", ...folders].map((path) => [path, importsOf(path)]),
  );
  assert.ok(imports.get("worker.ts")!.includes("worker/models.ts"));
  assert.deepEqual(cycleIn(imports), []);
});

test("a cycle would be found", () => {
  const imports = new Map([
    ["a", ["b"]],
    ["b", ["c", "d"]],
    ["c", []],
    ["d", ["b"]],
  ]);
  assert.deepEqual(cycleIn(imports), ["b", "d", "b"]);
});

test("the crate falls one way: boundary, batch, models, kernels, and under them tokenizers, format and answer", () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const path of filesBelow(CRATE, ".rs")) {
    const module = path.slice(CRATE.length + 1).replace(/(\/.*)?\.rs$|\/.*/, "");
    const place = CRATE_ORDER.indexOf(module);
    // Tests at a file's end may use anything.
    const [source] = readFileSync(join(PROJECT_ROOT, path), "utf8").split("#[cfg(test)]");
    for (const [, used] of source!.matchAll(/\bcrate::(\w+)/g)) {
      const usedPlace = CRATE_ORDER.indexOf(used!);
      if (used === module || usedPlace === -1) continue;
      seen++;
      if (place === -1 || usedPlace < place) wrong.push(`${path} uses ${used}`);
    }
  }
  assert.ok(seen > 20, `${seen} uses`);
  assert.deepEqual(wrong, []);
});

test("the crate's `unsafe` stands at the boundary and in the kernels alone", () => {
  const found = filesBelow(CRATE, ".rs").filter((path) =>
    /\bunsafe\b/.test(readFileSync(join(PROJECT_ROOT, path), "utf8")),
  );
  const elsewhere = found.filter(
    (path) => !/^embedder-wasm\/src\/(area|boundary|kernels\/\w+)\.rs$/.test(path),
  );
  assert.ok(found.length > 2);
  assert.deepEqual(elsewhere, []);
});

/** Paths from the root with this ending. */
function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(PROJECT_ROOT, folder), { withFileTypes: true, recursive: true })
    .filter(
      (entry) => entry.isFile() && entry.name.endsWith(ending) && !entry.parentPath.includes("node_modules"),
    )
    .map((entry) => relative(PROJECT_ROOT, join(entry.parentPath, entry.name)))
    .sort();
}

/** Paths of this repository. Imports of types are gone when the code runs. */
function importsOf(path: string): string[] {
  const source = ts.createSourceFile(
    path,
    readFileSync(join(PROJECT_ROOT, path), "utf8"),
    ts.ScriptTarget.Latest,
  );
  return source.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return [];
    const isType = ts.isImportDeclaration(statement)
      ? statement.importClause?.isTypeOnly
      : statement.isTypeOnly;
    if (isType) return [];
    const specifier = statement.moduleSpecifier;
    if (specifier === undefined || !ts.isStringLiteral(specifier) || !specifier.text.startsWith("."))
      return [];
    const file = normalize(join(dirname(path), specifier.text)).replace(/\.js$/, "");
    return [`${file}.ts`, file].filter((candidate) => existsSync(join(PROJECT_ROOT, candidate))).slice(0, 1);
  });
}

/** The files of a cycle, the first one again at its end; none where there is none. */
function cycleIn(imports: Map<string, string[]>): string[] {
  const done = new Set<string>();
  const search = (path: string, way: string[]): string[] => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    if (done.has(path)) return [];
    for (const next of imports.get(path) ?? []) {
      const cycle = search(next, [...way, path]);
      if (cycle.length > 0) return cycle;
    }
    done.add(path);
    return [];
  };
  for (const path of imports.keys()) {
    const cycle = search(path, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
