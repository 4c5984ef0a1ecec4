// Every client gets, by changing its base URL alone, the numbers that a plain request for floats gets.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { OpenAIEmbeddingFunction } from "@chroma-core/openai";
import { OpenAIEmbeddings } from "@langchain/openai";
import { OpenAIEmbedding } from "@llamaindex/openai";
import { embed, embedMany } from "ai";
import { Settings } from "llamaindex";
import OpenAI from "openai";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  API_KEY,
  assertSameVectors,
  installedVersion,
  plainEmbeddings,
  serviceUnderTest,
  TEXTS,
  type Service,
} from "./service.js";

const MODEL = "text-embedding-3-small";

interface Client {
  name: string;
  packages: string[];
  embed(baseURL: string, texts: string[], dimensions?: number): Promise<number[][]>;
}

const CLIENTS: Client[] = [
  {
    name: "openai, with its defaults (base64)",
    packages: ["openai"],
    async embed(baseURL, texts, dimensions) {
      const client = new OpenAI({ baseURL, apiKey: API_KEY });
      const answer = await client.embeddings.create({
        model: MODEL,
        input: texts,
        ...(dimensions && { dimensions }),
      });
      return answer.data.map((item) => item.embedding);
    },
  },
  {
    name: "openai, asking for floats",
    packages: ["openai"],
    async embed(baseURL, texts, dimensions) {
      const client = new OpenAI({ baseURL, apiKey: API_KEY });
      const answer = await client.embeddings.create({
        model: MODEL,
        input: texts,
        encoding_format: "float",
        ...(dimensions && { dimensions }),
      });
      return answer.data.map((item) => item.embedding);
    },
  },
  {
    name: "LangChain, embedDocuments",
    packages: ["@langchain/openai", "@langchain/core"],
    embed: (baseURL, texts, dimensions) => langchain(baseURL, dimensions).embedDocuments(texts),
  },
  {
    name: "LangChain, embedQuery",
    packages: ["@langchain/openai", "@langchain/core"],
    embed: (baseURL, texts, dimensions) =>
      Promise.all(texts.map((text) => langchain(baseURL, dimensions).embedQuery(text))),
  },
  {
    name: "AI SDK with the openai-compatible provider, embedMany",
    packages: ["ai", "@ai-sdk/openai-compatible"],
    async embed(baseURL, texts, dimensions) {
      const provider = createOpenAICompatible({ name: "embeddings-worker", baseURL, apiKey: API_KEY });
      const answer = await embedMany({
        model: provider.embeddingModel(MODEL),
        values: texts,
        ...(dimensions && { providerOptions: { openaiCompatible: { dimensions } } }),
      });
      return answer.embeddings;
    },
  },
  {
    name: "AI SDK with the openai-compatible provider, embed",
    packages: ["ai", "@ai-sdk/openai-compatible"],
    embed(baseURL, texts, dimensions) {
      const provider = createOpenAICompatible({ name: "embeddings-worker", baseURL, apiKey: API_KEY });
      const providerOptions = dimensions && { providerOptions: { openaiCompatible: { dimensions } } };
      return Promise.all(
        texts.map(async (value) => {
          return (await embed({ model: provider.embeddingModel(MODEL), value, ...providerOptions }))
            .embedding;
        }),
      );
    },
  },
  {
    name: "AI SDK with the openai provider, embedMany",
    packages: ["ai", "@ai-sdk/openai"],
    async embed(baseURL, texts, dimensions) {
      const provider = createOpenAI({ baseURL, apiKey: API_KEY });
      const answer = await embedMany({
        model: provider.embedding(MODEL),
        values: texts,
        ...(dimensions && { providerOptions: { openai: { dimensions } } }),
      });
      return answer.embeddings;
    },
  },
  {
    name: "AI SDK with the openai provider, embed",
    packages: ["ai", "@ai-sdk/openai"],
    embed(baseURL, texts, dimensions) {
      const provider = createOpenAI({ baseURL, apiKey: API_KEY });
      const providerOptions = dimensions && { providerOptions: { openai: { dimensions } } };
      return Promise.all(
        texts.map(
          async (value) =>
            (await embed({ model: provider.embedding(MODEL), value, ...providerOptions })).embedding,
        ),
      );
    },
  },
  {
    name: "LlamaIndex.TS",
    packages: ["llamaindex", "@llamaindex/openai"],
    embed(baseURL, texts, dimensions) {
      Settings.embedModel = new OpenAIEmbedding({ baseURL, apiKey: API_KEY, model: MODEL, dimensions });
      return Settings.embedModel.getTextEmbeddingsBatch(texts);
    },
  },
  {
    name: "Chroma's OpenAI embedding function",
    packages: ["chromadb", "@chroma-core/openai"],
    embed(baseURL, texts, dimensions) {
      const embedder = new OpenAIEmbeddingFunction({
        apiBase: baseURL,
        apiKey: API_KEY,
        modelName: MODEL,
        ...(dimensions && { dimensions }),
      });
      return embedder.generate(texts);
    },
  },
];

let service: Service;
before(async () => {
  service = await serviceUnderTest();
});
after(() => service.close());

for (const client of CLIENTS) {
  const versions = client.packages.map(installedVersion).join(", ");

  test(`${client.name} gets the vectors of a plain request (${versions})`, async () => {
    assertSameVectors(
      await client.embed(service.baseURL, TEXTS),
      await plainEmbeddings(service.baseURL, TEXTS),
    );
  });

  test(`${client.name} gets fewer dimensions when it asks for them (${versions})`, async () => {
    const vectors = await client.embed(service.baseURL, TEXTS, 8);
    assert.deepEqual(
      vectors.map((vector) => vector.length),
      TEXTS.map(() => 8),
    );
    assertSameVectors(vectors, await plainEmbeddings(service.baseURL, TEXTS, { dimensions: 8 }));
  });
}

function langchain(baseURL: string, dimensions?: number): OpenAIEmbeddings {
  return new OpenAIEmbeddings({
    model: MODEL,
    apiKey: API_KEY,
    configuration: { baseURL },
    ...(dimensions && { dimensions }),
  });
}
