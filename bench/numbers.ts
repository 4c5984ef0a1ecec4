// How the benchmarks sum up their rounds and print them.

export interface Row {
  work: string;
  measured: string;
  ceiling: string;
  ratio: string;
  spread: string;
}

const COLUMNS = ["work", "measured", "ceiling", "ratio", "lowest to highest"];

export function table(rows: Row[], columns = COLUMNS): string {
  return [
    `| ${columns.join(" | ")} |`,
    `|${"---|".repeat(columns.length)}`,
    ...rows.map(
      ({ work, measured, ceiling, ratio, spread }) =>
        `| ${[work, measured, ceiling, ratio, spread].join(" | ")} |`,
    ),
  ].join("\n");
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function spread(ratios: number[]): string {
  return `${ratio(Math.min(...ratios))} to ${ratio(Math.max(...ratios))}`;
}

/** From the first to the third quartile. */
export function middleHalf(ratios: number[]): string {
  const sorted = [...ratios].sort((a, b) => a - b);
  const [low, high] = [0.25, 0.75].map((share) => sorted[Math.floor(share * (sorted.length - 1))]!);
  return `${ratio(low!)} to ${ratio(high!)}`;
}

export function ratio(value: number): string {
  return value.toFixed(value < 10 ? 2 : 0);
}

export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
