/** One line of JSON. Never a text, a key or a stack. */
export function log(line: { event: string } & Record<string, unknown>): void {
  console.log(JSON.stringify(line));
}
