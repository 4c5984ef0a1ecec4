/**
 * Paths that are not a route of ours and yet tell what was meant. Pure: no I/O.
 *
 * Some are answered, the others are a 404 with a hint. Answered is what can mean one route alone and what no setting
 * of the client would mend:
 * - slashes that are doubled or trailing: between two slashes there is no name, so nothing else can be meant, and
 *   whether a base URL ends in one is nothing that people should have to know;
 * - Azure's paths: its clients put them together from the endpoint's address by themselves.
 * Everything else is a setting that is wrong, a base URL most often, and would go wrong elsewhere too: a 404 that
 * names the right one helps more than an answer that hides it.
 */

/** The route that a path stands for, and the model that it names. */
export interface CanonicalUrl {
  path: string;
  /** The name of Azure's deployment: its clients may send no `model` beside it. */
  model?: string;
}

const AZURE_DEPLOYMENT = /^\/openai\/deployments\/([^/]+)\/embeddings$/;
/** What Azure's newer API puts before the same paths as ours. */
const AZURE_V1 = /^\/openai(\/v1\/.+)$/;

export function canonicalUrl(path: string): CanonicalUrl {
  const plain = path.replace(/\/{2,}/g, "/").replace(/(?<=.)\/$/, "");
  const deployment = AZURE_DEPLOYMENT.exec(plain)?.[1];
  if (deployment !== undefined) return { path: "/v1/embeddings", model: decoded(deployment) };
  return { path: AZURE_V1.exec(plain)?.[1] ?? plain };
}

interface Kin {
  paths: RegExp;
  /** What to say to whoever asked; `base` is the base URL that works. */
  hint: (base: string) => string;
}

/** The first one that fits counts. All are matched against lower case without slashes at the end or doubled. */
const KINSHIP: Kin[] = [
  {
    paths: /^\/v1$/,
    hint: (base) => `${base} is the base URL that clients are given; they put /embeddings behind it.`,
  },
  {
    paths: /^\/v1\/(v1\/)+/,
    hint: (base) =>
      `/v1 is there twice: the client puts it in by itself or the base URL has it double. Set the base URL to ${base} or, for a client that adds /v1, to ${withoutV1(base)}.`,
  },
  {
    paths: /^(\/v1)?\/embeddings(\/v1)?\/embeddings$/,
    hint: (base) =>
      `The base URL ends before /embeddings, which clients add by themselves: set it to ${base}.`,
  },
  {
    paths: /^\/(embeddings|models)(\/|$)/,
    hint: () => "The base URL of clients ends in /v1.",
  },
  {
    paths: /^\/v1\/engines(\/|$)/,
    hint: (base) =>
      `OpenAI gave up engines: name the model in the field 'model' (in the client 'model' in place of 'engine') and send to ${base}/embeddings.`,
  },
  {
    paths: /^\/openai(\/|$)/,
    hint: (base) =>
      `Of Azure's API, /openai/deployments/{name}/embeddings and /openai/v1/embeddings are answered; OpenAI's clients want the base URL ${base}.`,
  },
  {
    paths: /^\/api\/(embed|embeddings|tags|generate|chat|show|ps|version|pull|create|copy|delete|push)$/,
    hint: (base) =>
      `This is Ollama's API, which is not served here: choose OpenAI (or OpenAI-compatible) as the client's provider, with the base URL ${base}.`,
  },
  {
    paths: /^\/(embed|embed_all|embed_sparse|info|rerank|predict|similarity|tokenize)$/,
    hint: (base) =>
      `This is the own API of text-embeddings-inference, which is not served here: choose OpenAI (or OpenAI-compatible) as the client's provider, with the base URL ${base}.`,
  },
  {
    paths: /^\/v[12]\/embed$/,
    hint: (base) =>
      `This is Cohere's API, which is not served here: choose OpenAI (or OpenAI-compatible) as the client's provider, with the base URL ${base}.`,
  },
  {
    paths: /^\/client\/v4\/accounts\/|^\/ai\/run\/|^\/run\/@/,
    hint: (base) =>
      `This is the REST API of Cloudflare's Workers AI, which is not served here: OpenAI's clients want the base URL ${base}.`,
  },
  {
    paths:
      /^(\/v1)?\/(chat|completions|responses|moderations|images|audio|files|batches|fine_tuning|assistants|threads|rerank|score)(\/|$)/,
    hint: (base) => `This endpoint makes embeddings and nothing else: POST ${base}/embeddings.`,
  },
  {
    paths:
      /^\/v1\/(health|openapi\.json)$|^\/(healthz|livez|readyz|ping|status|v1\/healthz|docs|redoc|swagger|openapi|openapi\.ya?ml)$/,
    hint: (base) =>
      `${withoutV1(base)}/health says whether the model can be used, ${withoutV1(base)}/openapi.json describes the API.`,
  },
  {
    // Behind a prefix, in another version, in the singular, with a space at the end, with a suffix.
    paths: /embeddings?\b|\/models\b/,
    hint: (base) =>
      `The paths are /v1/embeddings and /v1/models, in small letters, with nothing before or behind: set the base URL to ${base}.`,
  },
];

/**
 * The sentence that a 404 adds for this path, or "" where nobody can tell what was meant.
 * `origin` is the scheme and the host that the request came to.
 */
export function hintFor(path: string, origin: string): string {
  const plain = canonicalUrl(path).path.toLowerCase();
  const base = `${origin}/v1`;
  return KINSHIP.find(({ paths }) => paths.test(plain))?.hint(base) ?? "";
}

function withoutV1(base: string): string {
  return base.slice(0, -"/v1".length);
}

/** As it is where it cannot be decoded. */
export function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
