// The ceiling of a cold start: reads the weights from KV in the same pieces, drops them, and answers.
const PIECE_BYTES = 512 * 1024;

export default {
  async fetch(request, env) {
    await request.json();
    const { value } = await env.EMBEDDINGS_MODEL.getWithMetadata("model-weights", "stream");
    const reader = value.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(PIECE_BYTES);
    let byteLength = 0;
    for (;;) {
      const { value: piece, done } = await reader.readAtLeast(PIECE_BYTES, new Uint8Array(buffer));
      byteLength += piece?.byteLength ?? 0;
      if (done) return new Response(String(byteLength));
      buffer = piece.buffer;
    }
  },
};
