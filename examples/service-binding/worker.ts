/**
 * Answers questions out of its own texts: GET /?q=... It embeds through a service binding to embeddings-worker, which is
 * a call from one Worker to another without HTTP, and needs no database for so few texts.
 */
import { TEXTS } from "./texts";

/** Below this, with the shipped model, a text has little to do with the question. */
const LEAST_SIMILARITY = 0.25;

interface Index {
  vectors: Float32Array[];
  /** Of the model: vectors of another version cannot be compared with these. */
  version: string;
}

/** As long as this isolate lives. */
let index: Index | undefined;

export default {
  async fetch(request, env): Promise<Response> {
    const question = new URL(request.url).searchParams.get("q") ?? "";
    // Errors come back as values: thrown ones would lose all but their message on the way.
    const asked = await env.EMBEDDINGS.embed(question, { inputType: "query" });
    if ("error" in asked) {
      const status = asked.error.code === "model_unavailable" ? 503 : 400;
      return Response.json({ error: asked.error.message }, { status });
    }
    if (asked.empty.length > 0)
      return Response.json({ error: "There is no word in the question." }, { status: 400 });

    if (index?.version !== asked.version) {
      const embedded = await env.EMBEDDINGS.embed(TEXTS, { inputType: "document" });
      if ("error" in embedded) return Response.json({ error: embedded.error.message }, { status: 503 });
      index = embedded;
    }
    const similarities = index.vectors.map((vector) => dotProduct(vector, asked.vectors[0]!));
    const similarity = Math.max(...similarities);
    const answer = similarity < LEAST_SIMILARITY ? null : TEXTS[similarities.indexOf(similarity)]!;
    return Response.json({ answer, similarity, tokens: asked.tokens });
  },
} satisfies ExportedHandler<Env>;

/** Both have length 1: this is the cosine. */
function dotProduct(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
