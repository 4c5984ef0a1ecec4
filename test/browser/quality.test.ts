// The figures of the shipped models on the page: each belongs to the weights that it was measured with.
import assert from "node:assert/strict";
import { test } from "node:test";
import { quality } from "../../public/quality.js";
import { readWeightsFiles, weightsVersion } from "../../scripts/lib/weights.js";

const SHIPPED = readWeightsFiles([]);

test("the page has figures for the present weights of every shipped model", () => {
  assert.ok(SHIPPED.length > 0);
  for (const weights of SHIPPED) {
    const names = [weights.info.name, ...Object.keys(weights.info.aliases)];
    const version = weightsVersion(weights);
    for (const name of names)
      assert.ok(
        quality(name, version) !== null,
        `public/quality.js has no figures for ${name}, version ${version}: measure these weights and put them there`,
      );
  }
});

test("other weights under a shipped name have no figures", () => {
  for (const { info } of SHIPPED)
    for (const name of [info.name, ...Object.keys(info.aliases)])
      assert.equal(quality(name, "000000000000"), null);
});
