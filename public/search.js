// @ts-check
// The view "Search documents": every text is embedded once and kept; typing costs one short request for the query.
import { partInWords, RequestError, UNKNOWN_MODEL } from "./api.js";
import { compute } from "./compute.js";
import {
  byId,
  checkRadio,
  countOf,
  duration,
  exampleButtons,
  field,
  labelParts,
  onRadio,
  radioValue,
  showError,
  showProgress,
} from "./dom.js";
import { element, format, shorten, sumInWords } from "./draw.js";
import { learn } from "./embedder.js";
import { searchExamples } from "./examples.js";
import { EXTENSIONS } from "./passages.js";

const PAUSE_MILLISECONDS = 120; // between keys, before a request goes out
const RANKS_SHOWN = 10; // and so many more at each click
const MOST_DOCUMENTS = 10_000; // their vectors take 40 MB
const MOST_FILE_BYTES = 20 * 1024 * 1024;
const SHOWN_CHARACTERS = 420;
const SHOWN_BY_WORDS = 160;
const WORDS_SHOWN = 6; // of those that a hit shares with the query

/** @typedef {{ name: string, passages: import("./passages.js").Passage[] }} ReadFile */
/** @typedef {{ documents: string, split: string, query: string, part: import("./page.js").Part, files: ReadFile[] }} SearchState */
/** @typedef {{ text: string, source: string }} Document source: the file and place, where it comes from one */

/** @param {import("./page.js").Page} page */
export function startSearch(page) {
  /** @type {ReadFile[]} */
  let files = [];
  /** The documents as they were last cut, and what they were cut from. */
  let cut = {
    from: "",
    files,
    documents: /** @type {Document[]} */ ([]),
    texts: /** @type {string[]} */ ([]),
  };
  /** The texts that the web worker ranks. @type {string[]} */
  let indexed = [];
  let ranksShown = RANKS_SHOWN;
  /** @type {AbortController | null} */
  let running = null;
  let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);

  const documents = field("documents");
  const query = field("query");

  documents.addEventListener("input", () => {
    page.edited();
    soon(4 * PAUSE_MILLISECONDS);
  });
  query.addEventListener("input", () => {
    page.edited();
    ranksShown = RANKS_SHOWN;
    soon(PAUSE_MILLISECONDS);
  });
  for (const name of ["split", "search-part"]) {
    onRadio(name, () => {
      page.edited();
      showPartHint();
      void run();
    });
  }
  byId("more-hits").addEventListener("click", () => {
    ranksShown += RANKS_SHOWN;
    void run();
  });
  byId("documents-toggle").addEventListener("click", () =>
    showFields(byId("documents-toggle").getAttribute("aria-expanded") === "false"),
  );
  byId("search-form").addEventListener("submit", (event) => event.preventDefault());
  exampleButtons("search-examples", searchExamples, {
    load(example) {
      loadExample(example);
      page.edited();
      void run();
    },
    own: () => (isExample() ? null : state()),
    bringBack(kept) {
      restore(kept);
      page.edited();
      void run();
    },
  });
  startFiles();
  startTwins();
  return { run, modelKnown, restore, state };

  /** @param {Partial<SearchState> | undefined} state */
  function restore(state) {
    loadExample(searchExamples[0]);
    if (state) {
      documents.value = typeof state.documents === "string" ? state.documents : "";
      query.value = typeof state.query === "string" ? state.query : "";
      checkRadio("split", state.split === "paragraph" ? "paragraph" : "line");
      checkRadio("search-part", state.part === "meaning" ? "meaning" : "all");
      files = Array.isArray(state.files) ? state.files.filter((file) => Array.isArray(file?.passages)) : [];
    }
    showFiles();
  }

  /** @returns {SearchState} */
  function state() {
    return {
      documents: documents.value,
      split: radioValue("split"),
      query: query.value,
      part: partNow(),
      files,
    };
  }

  function modelKnown() {
    const model = page.model ?? UNKNOWN_MODEL;
    const { semanticDimensions, maxDimensions } = model;
    labelParts("search-part", model);
    byId("search-part").hidden = byId("search-part-hint").hidden = semanticDimensions === maxDimensions;
    showPartHint();
  }

  function showPartHint() {
    byId("search-part-hint").textContent = partInWords(page.model ?? UNKNOWN_MODEL, partNow());
  }

  function partNow() {
    return /** @type {import("./page.js").Part} */ (radioValue("search-part"));
  }

  /** In a narrow window the documents are folded away, so that the search comes first. @param {boolean} areOpen */
  function showFields(areOpen) {
    byId("documents-toggle").setAttribute("aria-expanded", String(areOpen));
    showCount();
  }

  function showCount() {
    const isOpen = byId("documents-toggle").getAttribute("aria-expanded") === "true";
    byId("documents-toggle").textContent =
      `${countOf(allDocuments().texts.length, "document")} · ${isOpen ? "Close" : "Edit"}`;
  }

  /** Whether nothing would be lost: no files, and an example or nothing in the field. */
  function isExample() {
    return (
      files.length === 0 &&
      (!documents.value.trim() || searchExamples.some((one) => one.documents.join("\n") === documents.value))
    );
  }

  /** @param {typeof searchExamples[number]} example */
  function loadExample(example) {
    documents.value = example.documents.join("\n");
    query.value = example.query;
    files = [];
    showFiles();
    checkRadio("split", "line");
  }

  /** @param {number} milliseconds */
  function soon(milliseconds) {
    showBusy(true);
    clearTimeout(timer);
    timer = setTimeout(() => void run(), milliseconds);
  }

  function allDocuments() {
    const from = `${radioValue("split")} ${documents.value}`;
    if (cut.from === from && cut.files === files) return cut;
    const typed = partsOf(documents.value, radioValue("split")).map((text) => ({ text, source: "" }));
    const read = files.flatMap(({ name, passages }) =>
      passages.map(({ text, place }) => ({ text, source: place ? `${name} › ${place}` : name })),
    );
    const all = [...typed, ...read];
    return (cut = { from, files, documents: all, texts: all.map(({ text }) => text) });
  }

  /** From the first key on until the ranking is that of what stands in the fields. @param {boolean} isBusy */
  function showBusy(isBusy) {
    byId("panel-search").setAttribute("aria-busy", String(isBusy));
  }

  async function run() {
    showBusy(true);
    clearTimeout(timer);
    timer = undefined;
    running?.abort();
    const mine = (running = new AbortController());
    showError("documents", null);
    showError("query", null);
    const { documents: all, texts } = allDocuments();
    showCount();
    const question = query.value.trim();
    const model = page.model ?? UNKNOWN_MODEL;
    const asked = { model, view: "search", dimensions: model.maxDimensions, signal: mine.signal };
    const hasWordsPart = model.semanticDimensions < model.maxDimensions;
    const withWords = hasWordsPart && partNow() === "all";
    /** @type {"documents" | "query"} */
    let asking = "documents";
    try {
      if (texts.length === 0) {
        byId("documents-status").textContent = "";
        byId("rankings").hidden = true;
        showFields(true);
        return showError("documents", "There is no document here yet. Type some, or drop files.");
      }
      if (texts.length > MOST_DOCUMENTS) {
        return showError(
          "documents",
          `${texts.length.toLocaleString("en")} documents are too many for this page, which takes ` +
            `${MOST_DOCUMENTS.toLocaleString("en")}. Take fewer files, or use the example search-markdown.`,
        );
      }
      page.sent("search", {
        texts,
        query: question || "your query",
        dimensions: withWords || !hasWordsPart ? model.maxDimensions : model.semanticDimensions,
      });
      const learned = await learn(texts, {
        ...asked,
        type: "document",
        onProgress: (done, of) => {
          showProgress("documents-progress", done, of);
          byId("documents-status").textContent =
            `${done.toLocaleString("en")} of ${of.toLocaleString("en")} documents embedded…`;
        },
      });
      showProgress("documents-progress", null);
      page.answered(learned.version);
      byId("documents-status").replaceChildren(
        ...(learned.count
          ? [
              `${countOf(texts.length, "document")}: `,
              `${learned.count === texts.length ? "each" : countOf(learned.count, "new one")} embedded once, in `,
              element("strong", {}, duration(learned.milliseconds)),
              learned.count > 1 ? ` (${duration(learned.milliseconds / learned.count)} each).` : ".",
            ]
          : [`${countOf(texts.length, "document")}, all embedded already.`]),
      );
      asking = "query";
      if (!question) {
        byId("rankings").hidden = true;
        byId("query-status").textContent = "Type a question or a few words.";
        return;
      }
      const learnedQuery = await learn([question], { ...asked, type: "query" });
      mine.signal.throwIfAborted();
      if (learnedQuery.version !== learned.version) return soon(1000); // the model has just changed: all over again
      if (indexed !== texts) {
        indexed = texts;
        await compute("setDocuments", { texts });
      }
      const ranking = await compute("rank", {
        space: learned.space,
        querySpace: learnedQuery.space,
        query: question,
        semantic: model.semanticDimensions || Infinity,
        withWords: withWords || !hasWordsPart,
        limit: ranksShown,
      });
      mine.signal.throwIfAborted();
      if (ranking === null) return soon(1000);
      byId("query-status").replaceChildren(
        ...(learnedQuery.count
          ? [element("strong", {}, duration(learnedQuery.milliseconds)), " round trip for the query."]
          : ["Query embedded already."]),
      );
      show(all, ranking, withWords);
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      if (!(error instanceof RequestError)) throw error;
      if (page.keyRefused("search", error))
        return showError(asking, "Not sent through: see the API key above.");
      showError(asking, error.sentence(asking === "query" ? "Query" : "Document"));
    } finally {
      if (running === mine) {
        running = null;
        showProgress("documents-progress", null);
        showBusy(timer !== undefined);
      }
    }
  }

  /**
   * @param {Document[]} all @param {NonNullable<Awaited<ReturnType<import("./compute-worker.js").Tasks["rank"]>>>} ranking
   * @param {boolean} withWords
   */
  function show(all, ranking, withWords) {
    if (ranking.queryIsEmpty) {
      byId("rankings").hidden = true;
      byId("query-status").textContent = "";
      return showError(
        "query",
        "There is no known word in the query, so nothing is like it. Type a word or two.",
      );
    }
    byId("rankings").hidden = false;
    byId("ranking-legend").replaceChildren(
      element("span", { class: "meaning" }, "meaning"),
      ...(withWords
        ? [
            element("span", { class: "words" }, "words"),
            element("span", { class: "chance" }, "words, no keyword shared"),
            element("span", { class: "less" }, "taken away"),
          ]
        : []),
    );
    const best = ranking.hits[0]?.score ?? 1;
    moveTo(
      byId("ranking"),
      ranking.hits.map((hit, at) => {
        const { text, source } = all[hit.index];
        return element(
          "li",
          { "data-document": String(hit.index) },
          element("span", { class: "rank" }, String(at + 1)),
          ...(source ? [element("span", { class: "source" }, source)] : []),
          element("span", { class: "text" }, ...underlined(text, hit.forms)),
          splitBar(hit, best, withWords),
          element(
            "span",
            { class: "why" },
            ...why({ ...hit, sharedFillers: asTyped(hit.sharedFillers) }, withWords),
          ),
        );
      }),
    );
    byId("more-hits").hidden = ranking.count <= ranking.hits.length;
    byId("more-hits").textContent = `Show ${Math.min(RANKS_SHOWN, ranking.count - ranking.hits.length)} more`;
    const rest = ranking.count - ranking.hits.length;
    byId("ranking-hint").textContent = [
      rest > 0 ? `The best ${ranking.hits.length} of ${ranking.count.toLocaleString("en")} documents.` : "",
      ranking.withoutWord > 0
        ? `${countOf(ranking.withoutWord, "document")} without a known word ${ranking.withoutWord === 1 ? "is" : "are"} left out.`
        : "",
      `A full bar is the best hit’s ${format(best, 3)}; numbers are cosine similarities, from −1 to 1. Underlined: keywords of the query.`,
      withWords && ranking.chance > 0
        ? `Words are hashed into ${wordPlaces()} places, where unrelated ones can meet: with no word in common the ` +
          `words part is chance, here up to ±${roundedUp(ranking.chance)}.`
        : "",
    ]
      .filter(Boolean)
      .join(" ");

    const bestByWords = ranking.byWords[0]?.score ?? 1;
    moveTo(
      byId("by-words"),
      ranking.byWords.map((hit, at) => {
        const bar = element("span", { class: "bar", "aria-hidden": "true" });
        const part = element("span", { class: "words" });
        part.style.width = `${(100 * hit.score) / bestByWords}%`;
        bar.append(part);
        return element(
          "li",
          { "data-document": String(hit.index) },
          element("span", { class: "rank" }, String(at + 1)),
          element("span", { class: "text" }, shorten(all[hit.index].text, SHOWN_BY_WORDS)),
          bar,
          element(
            "span",
            { class: "why" },
            element("strong", {}, format(hit.score, 2)),
            hit.rank === null ? "" : ` ${ordinal(hit.rank)} by the vectors`,
          ),
        );
      }),
    );
    const nothingByWords = ranking.countByWords === 0;
    byId("ranking-title").textContent = nothingByWords ? "Results" : "By vectors";
    byId("by-words-head").hidden = byId("by-words").hidden = nothingByWords;
    const unseen = all.length - ranking.countByWords;
    const ignored = ranking.fillers.length
      ? `BM25 ignores filler words (${fewOf(asTyped(ranking.fillers)).join(", ")}). `
      : "";
    const either =
      ranking.keywords.length > WORDS_SHOWN ? "any keyword of the query" : listed(asTyped(ranking.keywords));
    byId("by-words-hint").textContent = nothingByWords
      ? `Keyword search (BM25) finds nothing here: no document has ${either}.`
      : ignored +
        (unseen > 0
          ? `The other ${countOf(unseen, "document")} ${unseen === 1 ? "does" : "do"} not contain ${either}: BM25 cannot find ${unseen === 1 ? "it" : "them"}.`
          : "");
    showCounted(ranking);
  }

  /** The query once more, where some of its words do not count. @param {{ fillers: string[] }} ranking */
  function showCounted({ fillers }) {
    const place = byId("query-counted");
    place.hidden = fillers.length === 0;
    place.replaceChildren(
      "Keywords: ",
      ...marked(query.value.trim(), fillers, (word) => element("s", {}, word)),
    );
  }

  /** Words of the query in their own capitals. @param {string[]} words in lower case */
  function asTyped(words) {
    /** @type {Map<string, string>} */
    const forms = new Map();
    marked(query.value, words, (word) => {
      const form = word.toLowerCase().replace(/['’]/g, "");
      if (!forms.has(form)) forms.set(form, word);
      return new Text(word);
    });
    return words.map((word) => forms.get(word) ?? word);
  }

  function wordPlaces() {
    const { semanticDimensions, maxDimensions } = page.model ?? UNKNOWN_MODEL;
    return maxDimensions - semanticDimensions;
  }

  function startFiles() {
    const zone = byId("panel-search");
    const [picked, pickedFolder] = [
      /** @type {HTMLInputElement} */ (byId("files")),
      /** @type {HTMLInputElement} */ (byId("folder")),
    ];
    picked.accept = EXTENSIONS.join(",");
    for (const input of [picked, pickedFolder]) {
      input.addEventListener("change", async () => {
        await addFiles([...(input.files ?? [])]);
        input.value = "";
      });
    }
    byId("choose-files").addEventListener("click", () => picked.click());
    byId("choose-folder").addEventListener("click", () => pickedFolder.click());
    zone.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      byId("drop").classList.add("over");
    });
    for (const end of ["dragleave", "drop"])
      zone.addEventListener(end, () => byId("drop").classList.remove("over"));
    zone.addEventListener("drop", async (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      await addFiles(await droppedFiles(event.dataTransfer));
    });
  }

  /** @param {File[]} chosen */
  async function addFiles(chosen) {
    const readable = chosen.filter(
      ({ name, webkitRelativePath }) =>
        EXTENSIONS.some((extension) => name.toLowerCase().endsWith(extension)) &&
        !/(?:^|\/)(?:node_modules|\.[^/]+)\//.test(webkitRelativePath),
    );
    if (chosen.length === 0) return;
    if (readable.length === 0) {
      return showError(
        "documents",
        `No file here can be read: ${shorten(chosen[0].name, 40)} is none of .md, .txt, .csv, .json.`,
      );
    }
    const bytes = readable.reduce((sum, { size }) => sum + size, 0);
    if (bytes > MOST_FILE_BYTES) {
      return showError(
        "documents",
        `These files have ${(bytes / 1024 ** 2).toFixed(0)} MB, and this page takes ${MOST_FILE_BYTES / 1024 ** 2}. Take fewer.`,
      );
    }
    const problems = [];
    const isFirst = isExample();
    for (const file of readable) {
      const name = file.webkitRelativePath || file.name;
      try {
        const passages = await compute("passages", { name, text: await file.text() });
        files = [...files.filter((one) => one.name !== name), { name, passages }];
      } catch (error) {
        problems.push(`${name}: ${/** @type {Error} */ (error).message}`);
      }
    }
    // One's own files take the place of the example, and stand beside what one has typed.
    if (isFirst && files.length) documents.value = "";
    showFiles();
    page.edited();
    await run();
    if (problems.length) showError("documents", problems.join(" "));
  }

  function showFiles() {
    const list = byId("file-list");
    list.hidden = files.length === 0;
    list.replaceChildren(
      ...files.map(({ name, passages }) => {
        const remove = element(
          "button",
          { type: "button", class: "link", "aria-label": `Take out ${name}` },
          "×",
        );
        remove.addEventListener("click", () => {
          files = files.filter((one) => one.name !== name);
          showFiles();
          page.edited();
          void run();
        });
        return element(
          "li",
          {},
          element("span", { class: "name" }, name),
          element("span", { class: "hint" }, countOf(passages.length, "passage")),
          remove,
        );
      }),
    );
  }
}

/**
 * @typedef {object} Hit
 * @property {number} score the sum of meaning and words
 * @property {number} meaning
 * @property {number} words
 * @property {string[]} shared keywords of the query that the document has, as it writes them
 * @property {string[]} sharedFillers
 * @property {number | null} wordsRank
 */

/**
 * The bar of a hit, as long as its score is of the best one's, cut into what meaning and words give to it. Behind its
 * end stands what a negative part has taken away.
 * @param {Hit} hit @param {number} best @param {boolean} withWords
 */
function splitBar({ score, meaning, words, shared }, best, withWords) {
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  const whole = Math.max(0, score / best);
  const positive = Math.max(0, meaning) + Math.max(0, words) || 1;
  for (const [name, value] of /** @type {const} */ ([
    ["meaning", meaning],
    ["words", words],
  ])) {
    if (name === "words" && !withWords) continue;
    const isChance = name === "words" && shared.length === 0;
    const part = element("span", { class: isChance ? "words chance" : name });
    part.style.width = `${((100 * Math.max(0, value)) / positive) * whole}%`;
    bar.append(part);
  }
  const taken = Math.min(positive, -Math.min(0, meaning, words));
  if (withWords && taken > 0) {
    const less = element("span", { class: "less" });
    less.style.width = `${(100 * taken) / best}%`;
    bar.append(less);
  }
  return bar;
}

/** @param {Hit} hit @param {boolean} withWords */
function why({ score, meaning, shared, sharedFillers, wordsRank }, withWords) {
  return [
    element(
      "span",
      {},
      element("strong", {}, format(score, 3)),
      withWords ? sumInWords(score, meaning, 3) : "",
    ),
    element(
      "span",
      { class: "shared-words" },
      ...(shared.length
        ? shared.slice(0, WORDS_SHOWN).map((word) => element("span", { class: "word" }, word))
        : sharedFillers.length
          ? [`only filler words in common (${fewOf(sharedFillers).join(", ")})`]
          : ["no keyword in common"]),
    ),
    ...(wordsRank === null
      ? []
      : [element("span", { class: "other-rank" }, `${ordinal(wordsRank)} by BM25`)]),
  ];
}

/** To three digits, upwards, so that it stays a bound. @param {number} value */
function roundedUp(value) {
  return (Math.ceil(value * 1000) / 1000).toFixed(3);
}

/** @param {string[]} words */
function fewOf(words) {
  return words.length > WORDS_SHOWN ? [...words.slice(0, WORDS_SHOWN), "…"] : words;
}

/** "a, b or c" @param {string[]} words */
function listed(words) {
  return new Intl.ListFormat("en-GB", { type: "disjunction" }).format(words);
}

/** @param {number} rank */
function ordinal(rank) {
  const ending = { one: "st", two: "nd", few: "rd" }[/** @type {"one"} */ (ORDINALS.select(rank))] ?? "th";
  return `${rank.toLocaleString("en")}${ending}`;
}

const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });

/** A document that both rankings have is marked in the other one while the pointer is on it. */
function startTwins() {
  const lists = [byId("ranking"), byId("by-words")];
  lists.forEach((list, at) => {
    const other = lists[1 - at];
    list.addEventListener("pointerover", (event) => {
      const item = event.target instanceof Element ? event.target.closest("[data-document]") : null;
      for (const twin of other.children) {
        const isTwin =
          item !== null && twin.getAttribute("data-document") === item.getAttribute("data-document");
        twin.classList.toggle("twin", isTwin);
      }
    });
    list.addEventListener("pointerleave", () => {
      for (const twin of other.children) twin.classList.remove("twin");
    });
  });
}

/** The files of a drop, those in folders with their paths. @param {DataTransfer} dropped @returns {Promise<File[]>} */
async function droppedFiles(dropped) {
  const entries = [...dropped.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  /** @param {FileSystemEntry} entry @returns {Promise<File[]>} */
  const filesOf = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) =>
        /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject),
      );
      const path = entry.fullPath.slice(1);
      if (path !== file.name) Object.defineProperty(file, "webkitRelativePath", { value: path });
      return [file];
    }
    if (entry.name === "node_modules" || entry.name.startsWith(".")) return [];
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    /** @type {FileSystemEntry[]} */
    const inside = [];
    // A reader gives a hundred entries at a time, and none at the end.
    for (;;) {
      /** @type {FileSystemEntry[]} */
      const more = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (more.length === 0) break;
      inside.push(...more);
    }
    return (await Promise.all(inside.map(filesOf))).flat();
  };
  return entries.length ? (await Promise.all(entries.map(filesOf))).flat() : [...dropped.files];
}

/** Replaces the items and lets those that stay slide to their new places. @param {HTMLElement} list @param {HTMLElement[]} items */
function moveTo(list, items) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const before = new Map(
    still
      ? []
      : [...list.children].map((item) => [
          item.getAttribute("data-document"),
          item.getBoundingClientRect().top,
        ]),
  );
  list.replaceChildren(...items);
  if (still) return;
  const moves = items.map((item) => {
    const top = before.get(item.getAttribute("data-document"));
    return top === undefined ? 0 : top - item.getBoundingClientRect().top;
  });
  items.forEach((item, i) => {
    if (moves[i])
      item.animate([{ transform: `translateY(${moves[i]}px)` }, { transform: "none" }], {
        duration: 220,
        easing: "ease-out",
      });
  });
}

/** @param {string} text @param {string} split */
function partsOf(text, split) {
  return text
    .split(split === "paragraph" ? /\n\s*\n/ : "\n")
    .map((part) => part.trim())
    .filter(Boolean);
}

/** @param {string} text @param {string[]} forms in lower case, apostrophes left out */
function underlined(text, forms) {
  return marked(shorten(text, SHOWN_CHARACTERS), forms, (word) => element("span", { class: "shared" }, word));
}

/**
 * A text whose words of these forms are made into elements.
 * @param {string} text @param {string[]} forms in lower case, apostrophes left out @param {(word: string) => Node} mark
 */
function marked(text, forms, mark) {
  const wanted = new Set(forms);
  return text
    .split(/([\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*)/u)
    .filter(Boolean)
    .map((part) => (wanted.has(part.toLowerCase().replace(/['’]/g, "")) ? mark(part) : part));
}
