// The openai package against the running Worker, with its defaults. More clients: test/clients.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import OpenAI from "openai";
import type { Service } from "../lib/harness.js";
import { startService } from "../lib/harness.js";

describe("the openai package", () => {
  let service: Service;
  let client: OpenAI;
  before(async () => {
    service = await startService();
    client = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: "unused" });
  });
  after(() => service.stop());

  it("gets the same vectors with its default, base64, as a plain fetch does with floats", async () => {
    const input = ["hello world", "rust is fast"];
    const { data, usage } = await client.embeddings.create({ model: "text-embedding-3-small", input });
    const plain = (await (await service.embed({ model: "m", input })).json()) as {
      data: { embedding: number[] }[];
    };
    assert.deepEqual(
      data.map(({ embedding }) => embedding.map(Math.fround)),
      plain.data.map(({ embedding }) => embedding.map(Math.fround)),
    );
    assert.equal(usage.prompt_tokens, 5);
  });

  it("lists the model and retrieves it", async () => {
    const { data } = await client.models.list();
    assert.deepEqual(
      data.map(({ id }) => id),
      ["embeddings-worker"],
    );
    assert.equal((await client.models.retrieve("embeddings-worker")).owned_by, "embeddings-worker");
  });

  it("raises our message for a bad request", async () => {
    await assert.rejects(
      client.embeddings.create({ model: "m", input: "" }),
      (error) =>
        error instanceof OpenAI.BadRequestError &&
        error.message === "400 'input' must not be an empty string; got ''.",
    );
  });
});
