/**
 * Stands in for Vectorize in the tests: wrangler and Miniflare have no local one. It keeps what Cloudflare documents of
 * an index and its limits (https://developers.cloudflare.com/vectorize/platform/limits/, /reference/client-api/,
 * /best-practices/insert-vectors/, read in November 2026): dimensions, ids, metadata, sizes of batches, topK, namespaces,
 * and that what is written is found only some time later. It compares with every vector, where Vectorize searches an
 * approximate index and returns approximate scores; it has no filters. The wording of its errors is its own.
 */
const MAX_DIMENSIONS = 1536;
const MAX_UPSERT_VECTORS = 1000;
const MAX_ID_BYTES = 64;
const MAX_NAMESPACE_BYTES = 64;
const MAX_METADATA_BYTES = 10 * 1024;
const MAX_RESULTS = 100;
const MAX_RESULTS_WITH_VALUES_OR_METADATA = 20;
const DEFAULT_RESULTS = 5;
/** Some seconds at Cloudflare. */
const PROCESSING_MILLISECONDS = 300;

const vectors = new Map();
const pending = [];
let processedMutation;

/** The binding: Miniflare calls this with the bindings of its own, the index's configuration. */
export default function makeBinding({ DIMENSIONS: dimensions, METRIC: metric }) {
  if (!(dimensions >= 1 && dimensions <= MAX_DIMENSIONS) || metric !== "cosine")
    throw new Error(`vectorize: an index of ${dimensions} dimensions and metric ${metric} is not kept here`);

  return {
    async describe() {
      work();
      return { vectorCount: vectors.size, dimensions, processedUpToMutation: processedMutation };
    },
    async upsert(batch) {
      return write(batch, () => true);
    },
    async insert(batch) {
      return write(batch, ({ id }) => !vectors.has(id));
    },
    async getByIds(ids) {
      work();
      return ids.flatMap((id) => vectors.get(id) ?? []);
    },
    async query(vector, options = {}) {
      work();
      const {
        topK = DEFAULT_RESULTS,
        namespace,
        returnValues = false,
        returnMetadata = "none",
        filter,
      } = options;
      refuseIf(filter !== undefined, "filters are not kept here");
      checkValues(vector, "the query");
      const returnsMore = returnValues || returnMetadata === "all" || returnMetadata === true;
      const max = returnsMore ? MAX_RESULTS_WITH_VALUES_OR_METADATA : MAX_RESULTS;
      refuseIf(
        !Number.isInteger(topK) || topK < 1 || topK > max,
        `topK must be from 1 to ${max}, got ${topK}`,
      );
      const matches = [...vectors.values()]
        .filter((candidate) => namespace === undefined || candidate.namespace === namespace)
        .map(({ id, values, metadata, namespace }) => ({
          id,
          score: cosine(vector, values),
          ...(namespace !== undefined && { namespace }),
          ...(returnValues && { values }),
          ...(returnMetadata !== "none" &&
            returnMetadata !== false &&
            metadata !== undefined && { metadata }),
        }))
        .sort((a, b) => b.score - a.score)
        .slice(0, topK);
      return { count: matches.length, matches };
    },
  };

  function write(batch, isWritten) {
    refuseIf(!Array.isArray(batch) || batch.length === 0, "there are no vectors");
    refuseIf(
      batch.length > MAX_UPSERT_VECTORS,
      `at most ${MAX_UPSERT_VECTORS} vectors in a batch, got ${batch.length}`,
    );
    const copies = batch.map(({ id, values, namespace, metadata }) => {
      refuseIf(typeof id !== "string" || id === "", "an id must be a string");
      refuseIf(bytes(id) > MAX_ID_BYTES, `an id has at most ${MAX_ID_BYTES} bytes, got ${bytes(id)}`);
      refuseIf(
        namespace !== undefined && bytes(namespace) > MAX_NAMESPACE_BYTES,
        "the namespace is too long",
      );
      checkValues(values, `the vector '${id}'`);
      if (metadata !== undefined) checkMetadata(metadata, id);
      // As it goes over the wire: float32, and JSON.
      return structuredClone({
        id,
        values: Array.from(Float32Array.from(values)),
        ...(namespace !== undefined && { namespace }),
        ...(metadata !== undefined && { metadata: JSON.parse(JSON.stringify(metadata)) }),
      });
    });
    const mutationId = crypto.randomUUID();
    pending.push({ mutationId, at: Date.now() + PROCESSING_MILLISECONDS, copies: copies.filter(isWritten) });
    return { mutationId };
  }

  function checkValues(values, what) {
    const isVector =
      Array.isArray(values) || values instanceof Float32Array || values instanceof Float64Array;
    refuseIf(!isVector, `${what} must be an array of numbers, a Float32Array or a Float64Array`);
    refuseIf(
      values.length !== dimensions,
      `${what}: expected ${dimensions} dimensions, and got ${values.length}`,
    );
    refuseIf(!values.every(Number.isFinite), `${what} holds something that is no finite number`);
  }
}

/** What was written long enough ago is there from now on. */
function work() {
  while (pending.length > 0 && pending[0].at <= Date.now()) {
    const { mutationId, copies } = pending.shift();
    for (const copy of copies) vectors.set(copy.id, copy);
    processedMutation = mutationId;
  }
}

function checkMetadata(metadata, id) {
  const size = bytes(JSON.stringify(metadata));
  refuseIf(
    size > MAX_METADATA_BYTES,
    `the metadata of '${id}' has at most ${MAX_METADATA_BYTES} bytes, got ${size}`,
  );
  for (const key of Object.keys(metadata))
    refuseIf(key === "" || /[."]|^\$/.test(key), `the metadata key '${key}' of '${id}' is not allowed`);
}

function cosine(a, b) {
  let [product, squaresOfA, squaresOfB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += a[i] * b[i];
    squaresOfA += a[i] * a[i];
    squaresOfB += b[i] * b[i];
  }
  return product / Math.sqrt(squaresOfA * squaresOfB);
}

function bytes(text) {
  return new TextEncoder().encode(text).byteLength;
}

function refuseIf(condition, message) {
  if (condition) throw new Error(`vectorize: ${message}`);
}
