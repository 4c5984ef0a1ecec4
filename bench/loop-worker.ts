// The embedder in workerd without the service around it: does one kind of work over and over. See bench/embedder.ts.
import { embed, encode, loadWhole, modelInfo, startEmbedder, type Model } from "../embedder-wasm/embedder";
import embedderModule from "../embedder-wasm/pkg/embedder_wasm_bg.wasm";

startEmbedder(embedderModule);

interface Work {
  work: "embed" | "float" | "base64";
  rounds: number;
  texts: string[];
}

let loaded: { model: Model; dimensions: number } | undefined;

export default {
  async fetch(request, { EMBEDDINGS_MODEL }) {
    const { work, rounds, texts } = await request.json<Work>();
    if (loaded === undefined) {
      const model = loadWhole(new Uint8Array((await EMBEDDINGS_MODEL.get("model-weights", "arrayBuffer"))!));
      loaded = { model, dimensions: modelInfo(model).dimensions };
    }
    const { dimensions } = loaded;
    if (work === "embed") {
      for (let round = 0; round < rounds; round++) embedAll(texts, loaded.model, dimensions);
    } else {
      const vectors = new Float32Array(embedAll(texts, loaded.model, dimensions).slice().buffer);
      for (let round = 0; round < rounds; round++)
        encode(vectors, { dimensions, format: work, firstIndex: 0 });
    }
    return new Response();
  },
} satisfies ExportedHandler<{ EMBEDDINGS_MODEL: KVNamespace }>;

function embedAll(texts: string[], model: Model, dimensions: number): Uint8Array {
  const options = { dimensions, format: "vectors", firstIndex: 0, workBudget: Infinity } as const;
  const { done, elements } = embed(model, texts, options);
  if (done < texts.length) throw new Error(`${done} of ${texts.length} texts fit into one slice`);
  return elements;
}
