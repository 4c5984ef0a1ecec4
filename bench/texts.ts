// Texts of a stated number of words, the same in every run: English words, as often as Zipf's law has them, so that the rows of
// the table are found in the processor's caches about as often as with real text. A made-up word would have no row of its own.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_ROOT } from "../scripts/lib/project.js";

/** The most frequent first. */
const FREQUENT_WORDS = readFileSync(
  join(PROJECT_ROOT, "embedder-wasm", "tests", "frequent-words.txt"),
  "utf8",
)
  .trimEnd()
  .split("\n");

export function makeTexts(count: number, wordsEach: number): string[] {
  const random = seededRandom(1);
  return Array.from({ length: count }, () =>
    Array.from({ length: wordsEach }, () => FREQUENT_WORDS[zipfRank(random())]).join(" "),
  );
}

/** Of everyday words, for models that cut a word that they do not know into pieces and take time for each. */
export function makeEnglishTexts(count: number, wordsEach: number): string[] {
  const random = seededRandom(1);
  const word = (): string => EVERYDAY_WORDS[Math.floor(random() * EVERYDAY_WORDS.length)]!;
  return Array.from({ length: count }, () => Array.from({ length: wordsEach }, word).join(" "));
}

const EVERYDAY_WORDS = (
  "time year people way day man woman child world life hand part place week company system program question work " +
  "government number night point home water room mother area money story fact month lot right study book eye job word " +
  "business issue side kind head house service friend father power hour game line end member law car city community " +
  "name president team minute idea body information back parent face others level office door health person art war " +
  "history party result change morning reason research girl guy moment air teacher force education"
).split(" ");

/** From 0; P(rank) is about 1 / (rank + 1). */
function zipfRank(uniform: number): number {
  return Math.floor(FREQUENT_WORDS.length ** uniform) - 1;
}

/** mulberry32: small and good enough to choose words. */
function seededRandom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
