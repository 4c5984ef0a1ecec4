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

/** What disturbs a measurement makes it larger: the calm quarter of them says most. */
export function calmQuarter(values: number[]): number {
  return median([...values].sort((a, b) => a - b).slice(0, Math.ceil(values.length / 4)));
}

export function spread(ratios: number[]): string {
  return `${ratio(Math.min(...ratios))} to ${ratio(Math.max(...ratios))}`;
}

export function ratio(value: number): string {
  return value.toFixed(value < 10 ? 2 : 0);
}

export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
