// The ceilings of a cold start: reads the weights from KV in the same pieces and answers. It drops the pieces, or,
// with KEEP, copies each once to its place, in memory that nothing has touched before.
const PIECE_BYTES = 512 * 1024;
const MAX_WEIGHTS_BYTES = 25 * 1024 * 1024;

export default {
  async fetch(request, env) {
    await request.json();
    const { value } = await env.EMBEDDINGS_MODEL.getWithMetadata("model-weights", "stream");
    const reader = value.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(PIECE_BYTES);
    const kept = env.KEEP ? new Uint8Array(MAX_WEIGHTS_BYTES) : undefined;
    let byteLength = 0;
    for (;;) {
      const { value: piece, done } = await reader.readAtLeast(PIECE_BYTES, new Uint8Array(buffer));
      if (piece !== undefined) kept?.set(piece, byteLength);
      byteLength += piece?.byteLength ?? 0;
      if (done) return new Response(String(byteLength));
      buffer = piece.buffer;
    }
  },
};
