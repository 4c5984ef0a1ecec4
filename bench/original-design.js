// The design that this project replaces, for comparison: each request reads the weights from KV, copies them
// into wasm memory, makes a model of them and embeds its text. It has today's embedder, which is the faster one.
import * as embedder from "./embedder_wasm.js";
import embedderModule from "./embedder_wasm_bg.wasm";

const { memory } = embedder.initSync({ module: embedderModule });

export default {
  async fetch(request, env) {
    const { input, encoding_format: format } = await request.json();
    const weights = new Uint8Array(await env.EMBEDDINGS_MODEL.get("model-weights", "arrayBuffer"));
    bytes(embedder.weightsAddress(weights.byteLength), weights.byteLength).set(weights);
    embedder.loadModel();
    embedder.begin(1, JSON.parse(embedder.modelHeader()).dimensions, format === "base64");
    const text = new TextEncoder().encode(input);
    bytes(embedder.inputAddress(text.byteLength), text.byteLength).set(text);
    new Uint32Array(memory.buffer, embedder.textLengthsAddress(1), 1)[0] = input.length;
    embedder.embedTexts(text.byteLength, false);
    const byteLength = embedder.writeEmbeddings(0, format === "base64", 0);
    return new Response(bytes(embedder.outputAddress(), byteLength).slice(), {
      headers: { "content-type": "application/json" },
    });
  },
};

function bytes(address, byteLength) {
  return new Uint8Array(memory.buffer, address, byteLength);
}
