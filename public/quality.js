// @ts-check
// How good the models are that this repository ships, for a glance; all scores, the worst ones too, are in
// docs/models.md. Figures belong to weights: of others under the same name nothing is known here.

/** @typedef {{ version: string, right: number, pairs: number }} Figures right: questions of a hundred whose answer is found first, on a development set of documentation; pairs: STS, mean Spearman x 100 */

/** MiniLM's are those of its f32 weights. @type {Record<string, Figures>} */
const SHIPPED = {
  "embeddings-worker": { version: "be74d0ff779c", right: 43, pairs: 74.3 },
  "all-MiniLM-L6-v2": { version: "7d832a5531e6", right: 72, pairs: 78.9 },
};

/**
 * @param {string} id of the model @param {string | null} version of its weights
 * @returns {Figures | null} null where nothing was measured
 */
export function quality(id, version) {
  const figures = SHIPPED[id];
  return figures?.version === version ? figures : null;
}
