// The embedder in workerd without the service around it: does one kind of work over and over. See bench/embedder.ts.
import * as embedder from "./embedder_wasm.js";
import embedderModule from "./embedder_wasm_bg.wasm";

const { memory } = embedder.initSync({ module: embedderModule });
const utf8Encoder = new TextEncoder();
let dimensions = 0;

export default {
  async fetch(request, env) {
    const { work, rounds, texts } = await request.json();
    if (dimensions === 0) await loadWeights(env);
    if (work === "embed") {
      for (let round = 0; round < rounds; round++) embedAll(texts);
    } else {
      embedAll(texts);
      for (let round = 0; round < rounds; round++) embedder.writeEmbeddings(0, work === "base64", 0);
    }
    return new Response();
  },
};

function embedAll(texts) {
  embedder.begin(texts.length, dimensions, undefined);
  new Uint32Array(memory.buffer, embedder.textLengthsAddress(texts.length), texts.length).set(
    texts.map(({ length }) => length),
  );
  const text = texts.join("\n");
  const input = bytes(embedder.inputAddress(text.length * 3), text.length * 3);
  embedder.embedTexts(utf8Encoder.encodeInto(text, input).written, false);
}

async function loadWeights(env) {
  const weights = new Uint8Array(await env.EMBEDDINGS_MODEL.get("model-weights", "arrayBuffer"));
  bytes(embedder.weightsAddress(weights.byteLength), weights.byteLength).set(weights);
  embedder.loadModel();
  ({ dimensions } = JSON.parse(embedder.modelHeader()));
}

function bytes(address, byteLength) {
  return new Uint8Array(memory.buffer, address, byteLength);
}
