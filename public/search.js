// @ts-check
// The view "Search documents": every text is embedded once and kept; typing costs one short request for the query.
import { embed, RequestError } from "./api.js";
import { byId, countOf, duration, field, showError } from "./dom.js";
import { element, format } from "./draw.js";
import { searchExamples } from "./examples.js";
import { cosine } from "./vectors.js";

const PAUSE_MILLISECONDS = 120; // between keys, before a request goes out
const DOCUMENTS_PER_REQUEST = 500;
/** A word has a character at least, and a request may have 300,000 words. */
const CHARACTERS_PER_REQUEST = 250_000;
const RANKS_SHOWN = 50;

/** @param {import("./page.js").Page} page */
export function startSearch(page) {
  /** @type {Map<string, Float32Array>} every text that was embedded, until the model changes */
  const known = new Map();
  let knownVersion = "";
  /** @type {AbortController | null} */
  let running = null;
  let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);

  const documents = field("documents");
  const query = field("query");
  load(searchExamples[0]);

  documents.addEventListener("input", () => soon(4 * PAUSE_MILLISECONDS));
  query.addEventListener("input", () => soon(PAUSE_MILLISECONDS));
  for (const radio of document.querySelectorAll('input[name="split"]'))
    radio.addEventListener("change", () => void run());
  byId("search-form").addEventListener("submit", (event) => event.preventDefault());
  for (const example of searchExamples) {
    const button = element("button", { type: "button", class: "chip" }, example.name);
    button.addEventListener("click", () => {
      load(example);
      void run();
    });
    byId("search-examples").append(button);
  }
  return { run };

  /** @param {typeof searchExamples[number]} example */
  function load(example) {
    documents.value = example.documents.join("\n");
    query.value = example.query;
    /** @type {HTMLInputElement} */ (document.querySelector('input[name="split"][value="line"]')).checked =
      true;
  }

  /** @param {number} milliseconds */
  function soon(milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(() => void run(), milliseconds);
  }

  async function run() {
    clearTimeout(timer);
    running?.abort();
    const mine = (running = new AbortController());
    showError("documents", null);
    showError("query", null);
    const split = /** @type {HTMLInputElement} */ (document.querySelector('input[name="split"]:checked'))
      .value;
    const texts = partsOf(documents.value, split);
    const question = query.value.trim();
    /** @type {"documents" | "query"} */
    let asking = "documents";
    try {
      if (texts.length === 0) {
        byId("documents-status").textContent = "";
        byId("ranking").replaceChildren();
        return showError("documents", "There is no document here yet. Paste some, one a line.");
      }
      const spent = await learn(texts, mine.signal);
      if (spent) {
        byId("documents-status").replaceChildren(
          `${countOf(texts.length, "document")}: `,
          `${spent.count === texts.length ? "each" : countOf(spent.count, "new one")} embedded once, in `,
          element("strong", {}, duration(spent.milliseconds)),
          ".",
        );
      } else {
        byId("documents-status").textContent = `${countOf(texts.length, "document")}, all embedded already.`;
      }
      asking = "query";
      if (!question) {
        byId("query-status").textContent = "Type a question or a few words.";
        byId("ranking-hint").textContent = "";
        byId("ranking").replaceChildren();
        return;
      }
      const asked = await learn([question], mine.signal);
      if (texts.some((text) => !known.has(text))) return soon(1000); // the model has just changed: all over again
      rank(texts, question);
      byId("query-status").replaceChildren(
        ...(asked
          ? ["Query embedded in ", element("strong", {}, duration(asked.milliseconds)), "."]
          : ["Query embedded already."]),
      );
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      if (!(error instanceof RequestError)) throw error;
      if (page.keyRefused(error)) return showError(asking, "Not sent through: see the API key above.");
      showError(asking, error.sentence);
    }
  }

  /**
   * Embeds those texts that are not known yet. Vectors of another model than before make all the old ones useless.
   * @param {string[]} texts @param {AbortSignal} signal
   */
  async function learn(texts, signal) {
    let missing = [...new Set(texts)].filter((text) => !known.has(text));
    if (missing.length === 0) return null;
    let milliseconds = 0;
    const count = missing.length;
    while (missing.length) {
      const portion = missing.slice(0, countOfPortion(missing));
      const input = texts.length === 1 ? portion[0] : portion;
      page.sent("search", { input });
      const answer = await embed(input, { model: page.modelName, signal });
      milliseconds += answer.milliseconds;
      if (knownVersion !== answer.modelVersion) {
        known.clear();
        knownVersion = answer.modelVersion;
      }
      portion.forEach((text, i) => known.set(text, answer.vectors[i]));
      missing = missing.slice(portion.length);
    }
    return { milliseconds, count };
  }

  /** @param {string[]} texts @param {string} question */
  function rank(texts, question) {
    const asked = known.get(question);
    if (!asked) return;
    const ranked = texts
      .map((text, index) => ({
        text,
        index,
        score: cosine(asked, known.get(text) ?? new Float32Array(asked.length)),
      }))
      .sort((a, b) => (Number.isNaN(b.score) ? -1 : Number.isNaN(a.score) ? 1 : b.score - a.score))
      .slice(0, RANKS_SHOWN);
    const words = new Set(wordsOf(question).filter((word) => word.length > 4));
    moveTo(
      byId("ranking"),
      ranked.map(({ text, index, score }) => {
        const bar = element("span", { class: "bar", "aria-hidden": "true" });
        bar.style.setProperty("--share", String(Math.max(0, score || 0)));
        return element(
          "li",
          { "data-document": String(index) },
          element("span", { class: "score" }, format(score, 3)),
          bar,
          element("span", { class: "text" }, ...underlined(text, words)),
        );
      }),
    );
    const rest = texts.length - ranked.length;
    byId("ranking-hint").textContent =
      (rest > 0 ? `The best ${RANKS_SHOWN} of ${texts.length.toLocaleString("en")} documents. ` : "") +
      "Scores are cosine similarities. Underlined: longer words that the query has, too.";
  }
}

/** Replaces the items and lets those that stay slide to their new places. @param {HTMLElement} list @param {HTMLElement[]} items */
function moveTo(list, items) {
  const before = new Map(
    [...list.children].map((item) => [item.getAttribute("data-document"), item.getBoundingClientRect().top]),
  );
  list.replaceChildren(...items);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const item of items) {
    const top = before.get(item.getAttribute("data-document"));
    const by = top === undefined ? 0 : top - item.getBoundingClientRect().top;
    if (by)
      item.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], {
        duration: 220,
        easing: "ease-out",
      });
  }
}

/** @param {string} text @param {string} split */
function partsOf(text, split) {
  return text
    .split(split === "paragraph" ? /\n\s*\n/ : "\n")
    .map((part) => part.trim())
    .filter(Boolean);
}

/** @param {string} text */
function wordsOf(text) {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** @param {string} text @param {Set<string>} words */
function underlined(text, words) {
  return text
    .split(/([\p{L}\p{N}]+)/u)
    .filter(Boolean)
    .map((part) => (words.has(part.toLowerCase()) ? element("span", { class: "shared" }, part) : part));
}

/** How many of the texts go into one request: as many as its limits allow, and one at least. @param {string[]} texts */
function countOfPortion(texts) {
  let count = 0;
  let characters = 0;
  do characters += texts[count++].length;
  while (
    count < Math.min(texts.length, DOCUMENTS_PER_REQUEST) &&
    characters + texts[count].length <= CHARACTERS_PER_REQUEST
  );
  return count;
}
