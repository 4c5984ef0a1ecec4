// @ts-check
// Files to passages: pieces of text that are short enough to be about one thing. No DOM, no requests.

/** Longer ones are cut: the vector of a long text is a blur of all that it says. */
const PASSAGE_WORDS = 100;
/** Shorter pieces are joined with the next one: a line of three words says too little to be found. */
const STUB_WORDS = 12;

/** @typedef {{ text: string, place: string }} Passage place: the heading or row that it comes from */

export const EXTENSIONS = [".md", ".markdown", ".txt", ".csv", ".json", ".jsonl"];

/** @param {string} name @param {string} text @returns {Passage[]} */
export function passagesOf(name, text) {
  const extension = /\.[^.]+$/.exec(name.toLowerCase())?.[0];
  const clean = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  if (extension === ".md" || extension === ".markdown") return ofMarkdown(clean);
  if (extension === ".csv") return ofTable(clean);
  if (extension === ".json" || extension === ".jsonl") return ofJson(clean);
  return inPassages(clean.split(/\n\s*\n/), "");
}

/** @param {string} markdown */
function ofMarkdown(markdown) {
  /** @type {Passage[]} */
  const passages = [];
  /** @type {string[]} */
  let headings = [];
  /** @type {string[]} */
  let lines = [];
  let fence = "";
  const finish = () => {
    const text = lines
      .join("\n")
      .replace(/<!--[^]*?-->/g, "")
      .replace(/<\/?[a-z][^<>]*>/gi, "");
    passages.push(...inPassages(text.split(/\n\s*\n/), headings.filter(Boolean).join(" › ")));
    lines = [];
  };
  for (const line of markdown.split("\n")) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark && (!fence || mark.startsWith(fence))) fence = fence ? "" : mark;
    const heading = !fence && !mark ? /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/.exec(line) : null;
    if (!heading) {
      lines.push(line);
      continue;
    }
    finish();
    const level = heading[1].length;
    headings = [...Array.from({ length: level - 1 }, (_, at) => headings[at] ?? ""), heading[2]];
  }
  finish();
  // What is embedded has its headings with it: they often hold the words that people search for.
  return passages.map(({ text, place }) => ({ text: place ? `${place}\n${text}` : text, place }));
}

/** One passage a row, with the names of its columns. @param {string} text */
function ofTable(text) {
  const separator = [",", ";", "\t"]
    .map((one) => ({ one, count: text.split("\n", 1)[0].split(one).length }))
    .sort((a, b) => b.count - a.count)[0].one;
  const [head, ...rows] = rowsOf(text, separator).filter((row) => row.some((cell) => cell.trim()));
  if (!head) return [];
  if (rows.length === 0) return inPassages([head.join(" ")], "row 1");
  return rows.flatMap((row, i) => {
    const cells = row.map((cell, column) => [head[column] ?? "", cell.trim()]).filter(([, cell]) => cell);
    const one = head.length === 1 ? cells.map(([, cell]) => cell) : cells.map((cell) => cell.join(": "));
    return inPassages([one.join("\n")], `row ${i + 2}`);
  });
}

/** As RFC 4180 has it: a quoted cell may hold separators, line breaks and doubled quotes. @param {string} text @param {string} separator */
function rowsOf(text, separator) {
  /** @type {string[][]} */
  const rows = [[]];
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^${separator}\\n]*))(${separator}|\\n|$)`, "g");
  for (const [whole, quoted, plain, end] of text.matchAll(cell)) {
    if (whole === "" && end === "") break;
    rows[rows.length - 1].push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\n") rows.push([]);
  }
  return rows;
}

/** The members of an array, or the fields of an object; or one JSON value a line. @param {string} text */
function ofJson(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const lines = text.split("\n").filter((line) => line.trim());
    try {
      value = lines.map((line) => JSON.parse(line));
    } catch {
      throw new Error(`it is not JSON: ${/** @type {Error} */ (error).message}`);
    }
  }
  if (value && typeof value === "object" && !Array.isArray(value)) {
    const lists = Object.values(value).filter((one) => Array.isArray(one) && one.length > 1);
    if (lists.length === 1) value = lists[0];
  }
  if (Array.isArray(value)) return value.flatMap((one, i) => inPassages([inWords(one)], `item ${i + 1}`));
  if (value && typeof value === "object")
    return Object.entries(value).flatMap(([name, one]) => inPassages([`${name}: ${inWords(one)}`], name));
  return inPassages([inWords(value)], "");
}

/** @param {unknown} value @returns {string} */
function inWords(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(inWords).filter(Boolean).join(", ");
  if (typeof value !== "object") return String(value);
  return Object.entries(value)
    .map(([name, one]) => [name, inWords(one)])
    .filter(([, one]) => one)
    .map((one) => one.join(": "))
    .join("\n");
}

/** Joins stubs with what follows, and cuts what is too long at ends of sentences. @param {string[]} paragraphs @param {string} place */
function inPassages(paragraphs, place) {
  /** @type {Passage[]} */
  const passages = [];
  let rest = "";
  const pieces = paragraphs
    .map((paragraph) => paragraph.replace(/[ \t]+\n/g, "\n").trim())
    .filter((paragraph) => /[\p{L}\p{N}]/u.test(paragraph))
    .flatMap((paragraph) => (wordsIn(paragraph) > PASSAGE_WORDS ? sentences(paragraph) : [paragraph]));
  for (const piece of pieces) {
    if (rest && wordsIn(rest) >= STUB_WORDS && wordsIn(rest) + wordsIn(piece) > PASSAGE_WORDS) {
      passages.push({ text: rest, place });
      rest = "";
    }
    rest = rest ? `${rest}\n${piece}` : piece;
  }
  if (rest) passages.push({ text: rest, place });
  return passages;
}

/** @param {string} text */
function sentences(text) {
  const parts = text.split(/(?<=[.!?…。！？])\s+|\n/u).filter((part) => part.trim());
  return parts.flatMap((part) => {
    const words = part.split(/\s+/);
    const count = Math.ceil(words.length / PASSAGE_WORDS);
    if (count <= 1) return [part];
    const size = Math.ceil(words.length / count);
    return Array.from({ length: count }, (_, i) => words.slice(i * size, (i + 1) * size).join(" "));
  });
}

/** @param {string} text */
function wordsIn(text) {
  return text.match(/\S+/g)?.length ?? 0;
}
