// How far a download is: one line that is written over on a terminal, nothing where the output goes elsewhere.

export interface ProgressBar {
  /** Bytes that are there now. */
  set(bytes: number): void;
  end(): void;
}

const WIDTH = 30;
const MILLISECONDS_BETWEEN_LINES = 100;
/** Below this a download is over before a line could be read. */
const SHOWN_FROM_BYTES = 1024 * 1024;

export function progressBar(
  title: string,
  total: number,
  start: number,
  output: { isTTY?: boolean; write(text: string): unknown } = process.stderr,
): ProgressBar {
  if (output.isTTY !== true || total < SHOWN_FROM_BYTES) return { set: () => {}, end: () => {} };
  const began = Date.now();
  let last = 0;
  let bytes = start;
  const draw = () => {
    last = Date.now();
    const share = bytes / total;
    const bar = "#".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, ".");
    const speed = (bytes - start) / Math.max(1, last - began) / 1000;
    const [done, all] = [bytes, total].map((count) => (count / 1e6).toFixed(1));
    output.write(
      `\r${title} [${bar}] ${Math.floor(share * 100)} % of ${all} MB, ${done} MB, ${speed.toFixed(1)} MB/s\x1b[K`,
    );
  };
  return {
    set: (now) => {
      bytes = now;
      if (Date.now() - last >= MILLISECONDS_BETWEEN_LINES) draw();
    },
    end: () => {
      draw();
      output.write("\n");
    },
  };
}
