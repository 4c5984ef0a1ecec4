// Stands before the Worker where a test wants another KV: EMBEDDINGS_MODEL reads from the service FAULTY_KV.
// Its answer 200 is a value, 404 none, anything else a KV that throws; the header x-metadata is the metadata,
// x-never a read that never settles, as when the request that it belonged to was killed.
import worker from "./worker.js";

export default {
  fetch(request, env, ctx) {
    return worker.fetch(
      request,
      { ...env, EMBEDDINGS_MODEL: { getWithMetadata: (key) => read(env, key) } },
      ctx,
    );
  },
};

async function read(env, key) {
  const answer = await env.FAULTY_KV.fetch(`http://kv/${key}`);
  if (answer.headers.has("x-never")) await new Promise(() => {});
  if (answer.status === 404) return { value: null, metadata: null };
  if (!answer.ok) throw new Error(`KV GET failed: ${answer.status}`);
  return { value: answer.body, metadata: JSON.parse(answer.headers.get("x-metadata") ?? "null") };
}
