// `npm run seed` in a copy of the project, and what `npm run dev` makes of the local KV afterwards.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { namedWeights } from "../../lib/weights.js";
import { copyProject, type ProjectCopy } from "../project-copy.js";

describe("npm run seed", () => {
  let project: ProjectCopy;
  before(() => {
    project = copyProject();
    for (const [file, name, dimensions] of [
      ["one.bin", "one", 6],
      ["two.bin", "two", 7],
    ] as const)
      writeFileSync(join(project.folder, file), namedWeights({ name, vocabSize: 16, dimensions }));
    writeFileSync(
      join(project.folder, "found-by-dev.ts"),
      'import { seedShippedWeights } from "./scripts/seed.js";\n' +
        "console.log(JSON.stringify(await seedShippedWeights(undefined)));\n",
    );
  });
  after(() => project.remove());

  const run = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)("node", ["--import", "tsx", ...args], {
      cwd: project.folder,
      env: project.environment,
    });
    return stdout;
  };

  /** What `npm run dev` without flags finds, and lists in MODELS. */
  const foundByDev = async () => {
    return JSON.parse(await run("found-by-dev.ts")) as {
      report: string;
      catalogue: { name: string; key: string }[] | undefined;
    };
  };

  test("writes the files that are given, once, and npm run dev serves them from then on", async () => {
    const flags = ["--weights", "one.bin", "--weights", "two.bin", "--default", "two"];
    const first = await run("scripts/seed.ts", ...flags);
    assert.match(
      first,
      /^Seeded the local KV: one\.bin: one, 6 dimensions, I8, 0\.0 MiB, version [0-9a-f]{12}\nSeeded the local KV: two\.bin: two, 7 .*\n`npm run dev` serves this when it starts; start one that is running again\.\n$/,
    );
    assert.match(
      await run("scripts/seed.ts", ...flags),
      /^The local KV holds one\.bin: .* already\.\nThe local KV .*\n`npm run dev` serves .*\n$/,
    );

    const { report, catalogue } = await foundByDev();
    assert.equal(report, "The local KV holds one.bin; `npm run seed` puts the shipped weights back.");
    assert.deepEqual(
      catalogue?.map(({ name }) => name),
      ["two", "one"],
    );
    assert.equal(catalogue?.[1]?.key, "model-weights", "where a plain `wrangler dev` finds it");
  });

  test("without flags puts the shipped weights back", async () => {
    assert.match(await run("scripts/seed.ts"), /^Seeded the local KV: model\/model-weights\.bin: /);
    const { catalogue } = await foundByDev();
    assert.deepEqual(
      catalogue?.map(({ name }) => name),
      ["embeddings-worker"],
    );
  });

  test("leaves a file that was put there by hand to npm run dev, without a list of models", async () => {
    const put = "kv key put --binding EMBEDDINGS_MODEL model-weights --path two.bin --local".split(" ");
    await run("node_modules/wrangler/bin/wrangler.js", ...put);
    const { report, catalogue } = await foundByDev();
    assert.match(report, /^The local KV holds a file put there by hand; /);
    assert.equal(catalogue, undefined);
  });
});
