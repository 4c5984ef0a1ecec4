/**
 * Search by meaning in Cloudflare's own vector database: this Worker embeds through a service binding to
 * embeddings-worker and keeps the vectors in Vectorize.
 *
 *   POST /documents   {"documents":[{"id":"...","text":"...","metadata":{...}}]}   indexes them
 *   GET  /ask?q=...&top=5                                                          the nearest ones
 *
 * Anyone who can call it can write to the index: put your own access check before it.
 */

/** The index is made for them: `wrangler vectorize create texts --dimensions=1024 --metric=cosine`. */
const DIMENSIONS = 1024;

// What Vectorize allows: https://developers.cloudflare.com/vectorize/platform/limits/
const MAX_UPSERT_VECTORS = 1000;
const MAX_ID_BYTES = 64;
const MAX_METADATA_BYTES = 10 * 1024;
/** With metadata; 100 without. */
const MAX_RESULTS = 20;

const DEFAULT_RESULTS = 5;
const MAX_DOCUMENTS = 2048;

interface Document {
  id: string;
  text: string;
  metadata?: Record<string, string | number | boolean>;
}

/** A mistake of the caller's. */
class BadRequest extends Error {}

export default {
  async fetch(request, env): Promise<Response> {
    const url = new URL(request.url);
    try {
      switch (`${request.method} ${url.pathname}`) {
        case "POST /documents":
          return Response.json(await index(env, await readDocuments(request)));
        case "GET /ask":
          return Response.json(await ask(env, url.searchParams));
        default:
          throw new BadRequest(
            `There is POST /documents and GET /ask; got ${request.method} ${url.pathname}.`,
          );
      }
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      return Response.json({ error: error.message }, { status: 400 });
    }
  },
} satisfies ExportedHandler<Env>;

async function index(env: Env, documents: Document[]): Promise<object> {
  const answer = await env.EMBEDDINGS.embed(
    documents.map(({ text }) => text),
    { dimensions: DIMENSIONS, inputType: "document" },
  );
  if ("error" in answer) throw new BadRequest(answer.error.message);
  const { vectors, version, empty, truncated } = answer;
  // Nothing is near to a zero vector, and by cosine it has no direction at all.
  const hasWords = documents.map((_, i) => !empty.includes(i));
  const ids = await Promise.all(documents.map(({ id }) => vectorId(id)));
  const records = documents.flatMap((document, i) =>
    hasWords[i]
      ? [{ id: ids[i]!, values: vectors[i]!, namespace: version, metadata: metadataOf(document) }]
      : [],
  );
  let mutation: string | undefined;
  for (let first = 0; first < records.length; first += MAX_UPSERT_VECTORS) {
    const batch = records.slice(first, first + MAX_UPSERT_VECTORS);
    // The types that wrangler makes are still those of the first Vectorize.
    mutation = ((await env.VECTORIZE.upsert(batch)) as unknown as VectorizeAsyncMutation).mutationId;
  }
  return {
    indexed: records.length,
    // Vectorize works it in within some seconds; until then it is not found.
    mutation,
    empty: empty.map((i) => documents[i]!.id),
    truncated: truncated.map(({ index }) => documents[index]!.id),
  };
}

async function ask(env: Env, parameters: URLSearchParams): Promise<object> {
  const question = parameters.get("q") ?? "";
  const top = Number(parameters.get("top") ?? DEFAULT_RESULTS);
  if (!Number.isInteger(top) || top < 1 || top > MAX_RESULTS)
    throw new BadRequest(`'top' must be from 1 to ${MAX_RESULTS}; got '${parameters.get("top")}'.`);
  const answer = await env.EMBEDDINGS.embed(question, { dimensions: DIMENSIONS, inputType: "query" });
  if ("error" in answer) throw new BadRequest(`'q': ${answer.error.message}`);
  if (answer.empty.length > 0) throw new BadRequest(`'q' has no word in it; got '${question}'.`);
  // Vectors of two models cannot be compared. Each model's have a namespace of their own, so that after a change of
  // the model nothing is found until it is indexed again, and never nonsense.
  const { matches } = await env.VECTORIZE.query(answer.vectors[0]!, {
    topK: top,
    namespace: answer.version,
    returnMetadata: "all",
  });
  return {
    results: matches.map(({ score, metadata = {} }) => {
      const { id, text, ...rest } = metadata;
      return { id, score, text, metadata: rest };
    }),
  };
}

/** Ids that are too long for Vectorize are replaced by their SHA-256, which has just as many digits as it allows. */
async function vectorId(id: string): Promise<string> {
  const bytes = new TextEncoder().encode(id);
  if (bytes.byteLength <= MAX_ID_BYTES) return id;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The id as it was given, what the caller wants back, and as much of the text as there is room for. */
function metadataOf({ id, text, metadata }: Document): Record<string, string | number | boolean> {
  const withText = (length: number) => ({ ...metadata, id, text: text.slice(0, length).toWellFormed() });
  if (jsonBytes(withText(0)) > MAX_METADATA_BYTES)
    throw new BadRequest(`The metadata of '${id.slice(0, 50)}' has more than ${MAX_METADATA_BYTES} bytes.`);
  let [fits, tooLong] = [0, text.length + 1];
  while (tooLong - fits > 1) {
    const middle = (fits + tooLong) >> 1;
    if (jsonBytes(withText(middle)) <= MAX_METADATA_BYTES) fits = middle;
    else tooLong = middle;
  }
  return withText(fits);
}

function jsonBytes(value: object): number {
  return new TextEncoder().encode(JSON.stringify(value)).byteLength;
}

async function readDocuments(request: Request): Promise<Document[]> {
  const body = (await request.json().catch(() => undefined)) as { documents?: unknown } | null | undefined;
  const documents = body?.documents;
  if (!Array.isArray(documents) || documents.length === 0 || documents.length > MAX_DOCUMENTS)
    throw new BadRequest(`The body must be {"documents":[...]} with 1 to ${MAX_DOCUMENTS} documents.`);
  return documents.map((document: Partial<Document> | null, i) => {
    const { id, text } = document ?? {};
    const metadata: unknown = document?.metadata ?? {};
    if (typeof id !== "string" || id === "") throw new BadRequest(`'documents[${i}].id' must be a string.`);
    if (typeof text !== "string" || text === "")
      throw new BadRequest(`'documents[${i}].text' must be a string with something in it.`);
    if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
      throw new BadRequest(`'documents[${i}].metadata' must be an object.`);
    for (const [name, value] of Object.entries(metadata)) {
      if (name === "" || /[."]|^\$/.test(name))
        throw new BadRequest(
          `'documents[${i}].metadata' may not have the key '${name}': Vectorize keeps . " and $ for itself.`,
        );
      if (!["string", "number", "boolean"].includes(typeof value))
        throw new BadRequest(`'documents[${i}].metadata.${name}' must be a string, a number or a boolean.`);
    }
    return { id, text, metadata: metadata as Document["metadata"] & object };
  });
}
