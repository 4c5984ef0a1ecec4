// A JSON file of a model folder, read field by field. What does not fit is refused with the file, the field,
// what was expected and what was found.
import { UserError } from "../project.js";

export type JsonObject = Record<string, unknown>;

export class JsonFile {
  constructor(
    readonly name: string,
    readonly fields: JsonObject,
  ) {}

  static parse(name: string, text: string): JsonFile {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new UserError(`${name}: not valid JSON: ${(error as Error).message}`);
    }
    if (!isObject(value)) throw new UserError(`${name}: expected a JSON object, got ${shown(value)}`);
    return new JsonFile(name, value);
  }

  refuse(field: string, expected: string, value: unknown = this.fields[field]): never {
    throw new UserError(`${this.name}: ${field}: expected ${expected}, got ${shown(value)}`);
  }

  /** null counts as absent, here and below: Python writes None so. */
  has(field: string): boolean {
    return this.fields[field] !== undefined && this.fields[field] !== null;
  }

  wholeNumber(field: string, lowest: number, highest: number, whenAbsent?: number): number {
    const value = this.has(field) ? this.fields[field] : whenAbsent;
    if (!Number.isInteger(value) || (value as number) < lowest || (value as number) > highest) {
      this.refuse(field, `a whole number from ${lowest} to ${highest}`);
    }
    return value as number;
  }

  text(field: string, whenAbsent?: string): string {
    const value = this.has(field) ? this.fields[field] : whenAbsent;
    return typeof value === "string" ? value : this.refuse(field, "a text");
  }

  flag(field: string, whenAbsent: boolean): boolean {
    const value = this.has(field) ? this.fields[field] : whenAbsent;
    return typeof value === "boolean" ? value : this.refuse(field, "true or false");
  }

  oneOf<T extends string>(field: string, allowed: readonly T[], whenAbsent?: T): T {
    const value = this.has(field) ? this.fields[field] : whenAbsent;
    return allowed.find((candidate) => candidate === value) ?? this.refuse(field, oneOf(allowed));
  }

  /** A field that must be absent, false or empty: what it would ask for is not supported. */
  mustNotAsk(field: string): void {
    const value = this.fields[field];
    const isEmpty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    if (value !== undefined && value !== null && value !== false && !isEmpty) {
      this.refuse(field, "nothing: this is not supported");
    }
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function oneOf(allowed: readonly string[]): string {
  return allowed.map((text) => `"${text}"`).join(" or ");
}

/** As JSON, cut to what fits in a line. */
export function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}
