/** Who may ask, and how often: API keys and the rate limit. */
import { ApiError } from "./errors";

/** The period of Cloudflare's rate limit binding, which does not say when it will allow more. */
const RETRY_RATE_LIMIT_SECONDS = 10;
const KEY_FORMS = "'Authorization: Bearer <key>', 'api-key: <key>' or 'x-api-key: <key>'";

const utf8Encoder = new TextEncoder();

/** Returns which of the keys was sent. `apiKeys` are separated by commas. */
export function authenticate(headers: Headers, apiKeys: string): string {
  // A secret of commas alone lets nobody in, rather than everybody.
  const keys = apiKeys
    .split(",")
    .map((key) => key.trim())
    .filter((key) => key !== "");
  const sentKeys = keysIn(headers).map((key) => utf8Encoder.encode(key));
  if (sentKeys.length === 0) throw invalidApiKey(`No API key was sent: expected the header ${KEY_FORMS}.`);
  // Every key is compared, to its end, so that the time taken tells nothing.
  const matches = keys.map((key) => {
    const expected = utf8Encoder.encode(key);
    return sentKeys.map((sent) => equalInConstantTime(sent, expected)).includes(true);
  });
  const index = matches.indexOf(true);
  if (index === -1)
    throw invalidApiKey(`The API key is wrong: expected one of this endpoint's keys in ${KEY_FORMS}.`);
  return `key:${index}`;
}

/** OpenAI's clients send the first form, Azure's the second, Anthropic's and others the third. */
function keysIn(headers: Headers): string[] {
  const authorization = headers.get("authorization");
  const bearer = authorization === null ? null : (/^Bearer +(.*)$/i.exec(authorization)?.[1] ?? "");
  return [bearer, headers.get("api-key"), headers.get("x-api-key")]
    .filter((key) => key !== null)
    .map((key) => key.trim());
}

function equalInConstantTime(sent: Uint8Array, key: Uint8Array): boolean {
  let difference = sent.byteLength ^ key.byteLength;
  for (let i = 0; i < sent.byteLength; i++) difference |= sent[i]! ^ key[i % key.byteLength]!;
  return difference === 0;
}

function invalidApiKey(message: string): ApiError {
  return new ApiError("invalid_api_key", message, null, { "www-authenticate": "Bearer" });
}

/** Counts by the key, which is verified, where there are keys: a made-up one does not evade the limit. */
export async function checkRateLimit(
  limiter: RateLimit,
  headers: Headers,
  key: string | undefined,
): Promise<void> {
  const client = key ?? `address:${headers.get("cf-connecting-ip")}`;
  const { success } = await limiter.limit({ key: client });
  if (success) return;
  throw new ApiError(
    "rate_limit_exceeded",
    `Too many requests: this endpoint's rate limit is reached. Try again in ${RETRY_RATE_LIMIT_SECONDS} seconds.`,
    null,
    { "retry-after": String(RETRY_RATE_LIMIT_SECONDS) },
  );
}
