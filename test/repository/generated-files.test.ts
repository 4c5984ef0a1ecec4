// Files that are made from others are of the present ones.
import assert from "node:assert/strict";
import { it } from "node:test";
import { builtSourcesHash, sourcesHash } from "../../scripts/build-wasm.js";

it("embedder-wasm/pkg was built from the present sources", () => {
  assert.equal(
    builtSourcesHash(),
    sourcesHash(),
    "embedder-wasm/pkg is stale: run `npm run build:wasm` and commit embedder-wasm/pkg",
  );
});
