// @ts-check
// Words and their stems, as the transformers' lexical part reads them (model/FORMAT.md, `words-and-stems`; the static
// model's reads symbols and parts of words as well): words that
// share a stem count as one. Stems are those of Snowball's English stemmer ("Porter 2"),
// https://snowballstem.org/algorithms/english/stemmer.html

const UNSPACED =
  /[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u3005-\u3007\u3040-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\uFF66-\uFF9F\u{20000}-\u{3FFFF}]/u;
const RUN = new RegExp(
  `${UNSPACED.source}+|(?:(?!${UNSPACED.source})[\\p{Alphabetic}\\p{N}])+` +
    `(?:['\u2019](?:(?!${UNSPACED.source})[\\p{Alphabetic}\\p{N}])+)*`,
  "gu",
);
/** Words that say nothing about what a text is about. */
const FUNCTION_WORDS = new Set(
  (
    "a about an and any are as at be been but by can could did do does for from had has have he her his how i if in " +
    "into is it its me my no not of on or our she so such than that the their them then there these they this to us " +
    "was we were what when where which who why will with would you your"
  ).split(" "),
);

/**
 * @param {string} text
 * @returns {{ word: string, stem: string }[]} in order, in lower case
 */
export function wordsAndStems(text) {
  return [...text.matchAll(RUN)].flatMap(([run]) => {
    const word = run.replace(/['\u2019]/g, "").toLowerCase();
    if (!UNSPACED.test(word)) return [{ word, stem: stemOf(word) }];
    const characters = Array.from(word);
    return characters.map((one, i) => ({ word: one, stem: one + (characters[i + 1] ?? "") }));
  });
}

/** The different stems of a text without its function words; of all its words where it has no others. @param {string} text */
export function contentStems(text) {
  return new Set(keywords(text).map(({ stem }) => stem));
}

/** The words of a text that count: those that are no function words; all of them where it has no others. @param {string} text */
export function keywords(text) {
  const words = wordsAndStems(text);
  const content = words.filter(({ word }) => !FUNCTION_WORDS.has(word));
  return content.length ? content : words;
}

/** The different words of a text that do not count. @param {string} text */
export function fillerWords(text) {
  const counted = new Set(keywords(text).map(({ word }) => word));
  return [...new Set(wordsAndStems(text).map(({ word }) => word))].filter((word) => !counted.has(word));
}

/** @type {Map<string, string>} */
const remembered = new Map();

/** @param {string} word in lower case */
function stemOf(word) {
  if (!/^[a-z]+$/.test(word)) return word;
  let stem = remembered.get(word);
  if (stem === undefined) {
    if (remembered.size > 50_000) remembered.clear();
    remembered.set(word, (stem = englishStem(word)));
  }
  return stem;
}

const WHOLE_WORDS = new Map(
  Object.entries({
    skis: "ski",
    skies: "sky",
    dying: "die",
    lying: "lie",
    tying: "tie",
    idly: "idl",
    gently: "gentl",
    ugly: "ugli",
    early: "earli",
    only: "onli",
    singly: "singl",
    ...Object.fromEntries("sky news howe atlas cosmos bias andes".split(" ").map((word) => [word, word])),
  }),
);
const LEFT_AFTER_1A = new Set("inning outing canning herring earring proceed exceed succeed".split(" "));
const STEP_2 = [
  ["ational", "ate"],
  ["fulness", "ful"],
  ["iveness", "ive"],
  ["ization", "ize"],
  ["ousness", "ous"],
  ["biliti", "ble"],
  ["lessli", "less"],
  ["tional", "tion"],
  ["alism", "al"],
  ["aliti", "al"],
  ["ation", "ate"],
  ["entli", "ent"],
  ["fulli", "ful"],
  ["iviti", "ive"],
  ["ousli", "ous"],
  ["abli", "able"],
  ["alli", "al"],
  ["anci", "ance"],
  ["ator", "ate"],
  ["enci", "ence"],
  ["izer", "ize"],
  ["bli", "ble"],
  ["ogi", "og"],
  ["li", ""],
];
const STEP_3 = [
  ["ational", "ate"],
  ["tional", "tion"],
  ["alize", "al"],
  ["ative", ""],
  ["icate", "ic"],
  ["iciti", "ic"],
  ["ical", "ic"],
  ["ness", ""],
  ["ful", ""],
];
const STEP_4 = "ement able ance ence ible ment ant ate ent ion ism iti ive ize ous al er ic".split(" ");

/** @param {string} word of the letters a to z */
export function englishStem(word) {
  if (word.length < 3) return word;
  const exception = WHOLE_WORDS.get(word);
  if (exception !== undefined) return exception;
  let w = word.replace(/^y/, "Y").replace(/([aeiouy])y/g, "$1Y"); // Y is a consonant
  const regionAfter = (/** @type {number} */ from) => {
    const found = /[aeiouy][^aeiouy]/.exec(w.slice(from));
    return found ? from + found.index + 2 : w.length;
  };
  const r1 = /^(?:gener|commun|arsen)/.exec(w)?.[0].length ?? regionAfter(0);
  const r2 = regionAfter(r1);
  const endsIn = (/** @type {string} */ suffix, /** @type {number} */ region) =>
    w.endsWith(suffix) && w.length - suffix.length >= region;
  const cut = (/** @type {number} */ count, instead = "") => (w = w.slice(0, w.length - count) + instead);
  const endsInShortSyllable = (/** @type {string} */ text) =>
    /[^aeiouy][aeiouy][^aeiouywxY]$|^[aeiouy][^aeiouy]$/.test(text);

  // 1a
  if (w.endsWith("sses")) cut(2);
  else if (/(?:ied|ies)$/.test(w)) cut(3, w.length > 4 ? "i" : "ie");
  else if (!/(?:us|ss)$/.test(w) && /[aeiouy].+s$/.test(w)) cut(1);
  if (LEFT_AFTER_1A.has(w)) return w;
  // 1b
  const ending = /(?:eedly|eed|ingly|edly|ing|ed)$/.exec(w)?.[0];
  if (ending?.startsWith("eed")) {
    if (endsIn(ending, r1)) cut(ending.length, "ee");
  } else if (ending && /[aeiouy]/.test(w.slice(0, -ending.length))) {
    cut(ending.length);
    if (/(?:at|bl|iz)$/.test(w)) w += "e";
    else if (/(?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$/.test(w)) cut(1);
    else if (w.length === r1 && endsInShortSyllable(w)) w += "e";
  }
  // 1c
  if (/.[^aeiouy][yY]$/.test(w)) cut(1, "i");
  // 2
  const second = STEP_2.find(([suffix]) => w.endsWith(suffix));
  if (second && endsIn(second[0], r1)) {
    const before = w[w.length - second[0].length - 1];
    if (second[0] === "li") {
      if (/[cdeghkmnrt]/.test(before)) cut(2);
    } else if (second[0] !== "ogi" || before === "l") cut(second[0].length, second[1]);
  }
  // 3
  const third = STEP_3.find(([suffix]) => w.endsWith(suffix));
  if (third && endsIn(third[0], third[0] === "ative" ? r2 : r1)) cut(third[0].length, third[1]);
  // 4
  const fourth = STEP_4.find((suffix) => w.endsWith(suffix));
  if (fourth && endsIn(fourth, r2) && (fourth !== "ion" || /[st]ion$/.test(w))) cut(fourth.length);
  // 5
  if (endsIn("e", r2) || (endsIn("e", r1) && !endsInShortSyllable(w.slice(0, -1)))) cut(1);
  else if (endsIn("l", r2) && w.endsWith("ll")) cut(1);
  return w.replaceAll("Y", "y");
}
