// How far it is, on standard error: a line that is rewritten in a terminal, a line now and then elsewhere.
const TERMINAL_MILLISECONDS = 200;
const LOG_MILLISECONDS = 5_000;
const BAR_CHARACTERS = 24;

export class Progress {
  private readonly started = performance.now();
  private lastShown = 0;
  private done = 0;
  private tokens = 0;

  constructor(
    private readonly total: number,
    /** Rows that an earlier run had embedded. */
    private readonly before: number,
    private readonly output: NodeJS.WriteStream = process.stderr,
  ) {}

  add(rows: number, tokens: number): void {
    this.done += rows;
    this.tokens += tokens;
    this.show(this.line());
  }

  /** Something that a person should know while it goes on. */
  note(text: string): void {
    this.output.write(this.output.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`);
    this.lastShown = 0;
  }

  /** A line about something else than rows. */
  show(line: string): void {
    const now = performance.now();
    const { isTTY } = this.output;
    if (now - this.lastShown < (isTTY ? TERMINAL_MILLISECONDS : LOG_MILLISECONDS)) return;
    this.lastShown = now;
    this.output.write(isTTY ? `\r\x1b[K${line}` : `${line}\n`);
  }

  clear(): void {
    if (this.output.isTTY) this.output.write("\r\x1b[K");
  }

  get seconds(): number {
    return (performance.now() - this.started) / 1000;
  }

  get totals(): { rows: number; tokens: number } {
    return { rows: this.done, tokens: this.tokens };
  }

  private line(): string {
    const rows = this.before + this.done;
    const share = rows / this.total;
    const bar = "█".repeat(Math.floor(share * BAR_CHARACTERS)).padEnd(BAR_CHARACTERS, "░");
    const rowsPerSecond = this.done / this.seconds;
    const left = this.done === 0 ? "" : `, ${duration((this.total - rows) / rowsPerSecond)} left`;
    return (
      `${bar} ${Math.floor(share * 100)}%  ${number(rows)} of ${number(this.total)} rows, ` +
      `${number(rowsPerSecond)} rows/s, ${number(this.tokens / this.seconds)} tokens/s${left}`
    );
  }
}

export function number(value: number): string {
  return (value < 10 ? Math.round(value * 10) / 10 : Math.round(value)).toLocaleString("en");
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.ceil((seconds % 3600) / 60)} min`;
}
