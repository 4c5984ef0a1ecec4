// @ts-check
// How good the models are that this repository ships, for a glance; all scores, the worst ones too, are in
// docs/models.md. Figures belong to weights: of others under the same name nothing is known here.

/** @typedef {{ version: string, questions: number, pairs: number }} Figures questions: nDCG@10 x 100 on faq_dev, a development set; pairs: STS, mean Spearman x 100. Of the dimensions that the name has by default */

/** @type {Record<string, Figures>} */
const SHIPPED = {
  "embeddings-worker": { version: "d4eb2f4ed578", questions: 54.1, pairs: 74.8 },
  "embeddings-worker-encoder": { version: "02d233a8347c", questions: 71.3, pairs: 81.2 },
  "embeddings-worker-minilm": { version: "56230939da61", questions: 69.6, pairs: 78.8 },
  "all-MiniLM-L6-v2": { version: "56230939da61", questions: 67.2, pairs: 78.9 },
};

/**
 * @param {string} id of the model @param {string | null} version of its weights
 * @returns {Figures | null} null where nothing was measured
 */
export function quality(id, version) {
  const figures = SHIPPED[id];
  return figures?.version === version ? figures : null;
}
