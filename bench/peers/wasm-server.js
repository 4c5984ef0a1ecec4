// Answers POST /v1/embeddings with an ONNX file of all-MiniLM-L6-v2 in onnxruntime-web: WebAssembly, one thread.
// bench/peers.ts starts it: `node wasm-server.js FOLDER`, where FOLDER has model.onnx and tokenizer.json.
// Prints the port once it listens. Texts are padded to the longest of at most BATCH_TEXTS, which measured faster
// than one text at a time.
import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-web";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const MAX_TOKENS = 256;
const BATCH_TEXTS = 16;

const folder = process.argv[2];
const readJson = (name) => JSON.parse(readFileSync(join(folder, name), "utf8"));
const tokenizer = new Tokenizer(readJson("tokenizer.json"), {});
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(join(folder, "model.onnx")), {
  executionProviders: ["wasm"],
});
await embed(["a text to warm up with"]);

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { input, model } = JSON.parse(Buffer.concat(chunks).toString());
  const texts = Array.isArray(input) ? input : [input];
  const data = [];
  for (let first = 0; first < texts.length; first += BATCH_TEXTS) {
    for (const vector of await embed(texts.slice(first, first + BATCH_TEXTS))) {
      const embedding = Buffer.from(vector.buffer).toString("base64");
      data.push({ object: "embedding", embedding, index: data.length });
    }
  }
  const answer = JSON.stringify({ object: "list", data, model });
  response.writeHead(200, { "content-type": "application/json" }).end(answer);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

/** Texts to vectors of length 1: the mean over the tokens of each, as sentence-transformers has it. */
async function embed(texts) {
  const ids = texts.map((text) => tokenizer.encode(text).ids.slice(0, MAX_TOKENS));
  const longest = Math.max(...ids.map(({ length }) => length));
  const shape = [texts.length, longest];
  const filled = (value) => {
    const values = new BigInt64Array(texts.length * longest);
    ids.forEach((row, i) => row.forEach((id, j) => (values[i * longest + j] = value(id))));
    return new ort.Tensor("int64", values, shape);
  };
  const { last_hidden_state } = await session.run({
    input_ids: filled(BigInt),
    attention_mask: filled(() => 1n),
    token_type_ids: filled(() => 0n),
  });
  const dimensions = last_hidden_state.dims[2];
  return ids.map(({ length }, i) => {
    const vector = new Float32Array(dimensions);
    for (let j = 0; j < length; j++) {
      const start = (i * longest + j) * dimensions;
      for (let k = 0; k < dimensions; k++) vector[k] += last_hidden_state.data[start + k];
    }
    const norm = Math.hypot(...vector);
    return vector.map((value) => value / norm);
  });
}
