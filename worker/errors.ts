/**
 * Every way in which a request fails: one table of codes, one class, and what messages have in common. A message
 * names the field, the limit and what was got.
 */

/** What a message quotes of a value that it refuses. */
const MAX_QUOTED_CHARACTERS = 50;
const RETRY_UNAVAILABLE_SECONDS = 1;

/** Every way in which a request fails, with the status and the type of its answer. */
export const ERRORS = {
  invalid_json: { status: 400, type: "invalid_request_error" },
  missing_required_parameter: { status: 400, type: "invalid_request_error" },
  invalid_type: { status: 400, type: "invalid_request_error" },
  invalid_value: { status: 400, type: "invalid_request_error" },
  array_above_max_length: { status: 400, type: "invalid_request_error" },
  max_tokens_per_request: { status: 400, type: "invalid_request_error" },
  request_too_large: { status: 413, type: "invalid_request_error" },
  unsupported_media_type: { status: 415, type: "invalid_request_error" },
  unsupported_content_encoding: { status: 415, type: "invalid_request_error" },
  invalid_api_key: { status: 401, type: "invalid_request_error" },
  unknown_url: { status: 404, type: "invalid_request_error" },
  method_not_allowed: { status: 405, type: "invalid_request_error" },
  model_not_found: { status: 404, type: "invalid_request_error" },
  rate_limit_exceeded: { status: 429, type: "rate_limit_error" },
  model_unavailable: { status: 503, type: "server_error" },
  overloaded: { status: 503, type: "server_error" },
  internal_error: { status: 500, type: "server_error" },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** A request that is refused. */
export class ApiError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    /** The field at fault. */
    readonly param: string | null = null,
    readonly headers: Record<string, string> = {},
  ) {
    super(message);
  }
}

/** The error itself, or what a client is told of a failure that nothing foresaw. */
export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError("internal_error", "Something went wrong here.");
}

export function modelUnavailable(reason: string): ApiError {
  return new ApiError("model_unavailable", `The model is not available. ${reason} Try again.`, null, {
    "retry-after": String(RETRY_UNAVAILABLE_SECONDS),
  });
}

export function missingParameter(field: string, got = "nothing"): ApiError {
  return new ApiError("missing_required_parameter", `The field '${field}' is required; got ${got}.`, field);
}

export function invalidType(field: string, expected: string, got: unknown): ApiError {
  return new ApiError("invalid_type", `'${field}' must be ${expected}; got ${described(got)}.`, field);
}

export function described(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? `the string ${quoted(value)}` : `the ${typeof value} ${String(value)}`;
}

/** A value as it stands in a message: long ones are cut. */
export function quoted(text: string): string {
  return `'${text.length > MAX_QUOTED_CHARACTERS ? `${text.slice(0, MAX_QUOTED_CHARACTERS)}…` : text}'`;
}
