// @ts-check
// The view "Compare texts": embed, then look at similarities, positions, vectors, and what time and money they take.
import { requestEmbeddings, RequestError, UNKNOWN_MODEL } from "./api.js";
import { compareInParts, compute } from "./compute.js";
import {
  announce,
  byId,
  checkRadio,
  clock,
  copyButton,
  costOfAMillion,
  countOf,
  duration,
  field,
  onRadio,
  radioValue,
  showError,
  showProgress,
} from "./dom.js";
import {
  drawCosts,
  drawMatrix,
  drawScale,
  drawScatter,
  element,
  format,
  onThemeChange,
  shorten,
  vectorStrip,
} from "./draw.js";
import { learn } from "./embedder.js";
import { compareExamples } from "./examples.js";
import { norm, toBase64, toJson } from "./vectors.js";

const MATRIX_TEXTS = 30; // more cells than this make a table that nobody reads
const SLOW_MILLISECONDS = 250; // until the button says that it waits
const TEXTS_ON_A_PAGE = 25;
const NOTHING_IN_COMMON = Math.SQRT2; // the distance of two unit vectors at right angles
const KEPT = 0.95; // of the nearest neighbours: from there on a vector is as good as the whole

/** @typedef {{ texts: string, part: import("./page.js").Part }} CompareState */
/** @typedef {import("./compute-worker.js").ComparisonPart} ComparisonPart */

/**
 * @typedef {object} Result
 * @property {string[]} texts
 * @property {string} space where the web worker keeps the vectors
 * @property {import("./api.js").Model} model
 * @property {number} dimensions
 * @property {number} split where the meaning part ends
 * @property {ComparisonPart} known what has been computed so far
 */

/** @param {import("./page.js").Page} page */
export function startCompare(page) {
  /** @type {Result | null} */
  let result = null;
  /** @type {AbortController | null} */
  let running = null;
  let measure = "cosine";
  let firstShown = 0;
  let drawnWidth = 0;

  const texts = field("texts");
  byId("compare-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void run();
  });
  byId("compare-form").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void run();
  });
  texts.addEventListener("input", () => {
    showError("texts", null);
    showStale();
    page.edited();
  });
  onRadio("compare-part", () => {
    page.edited();
    void run();
  });
  for (const { name, texts: lines } of compareExamples) {
    const button = element("button", { type: "button", class: "chip" }, name);
    button.addEventListener("click", () => {
      texts.value = lines.join("\n");
      page.edited();
      void run();
    });
    byId("compare-examples").append(button);
  }
  onRadio("measure", () => {
    measure = radioValue("measure");
    showMatrix();
  });
  byId("each-previous").addEventListener("click", () => showEach(firstShown - TEXTS_ON_A_PAGE));
  byId("each-next").addEventListener("click", () => showEach(firstShown + TEXTS_ON_A_PAGE));
  onThemeChange(() => {
    showMatrix();
    showScatter();
  });
  new ResizeObserver(([{ contentRect }]) => {
    if (!result || contentRect.width === drawnWidth || contentRect.width === 0) return;
    drawnWidth = contentRect.width;
    showScatter();
    showCosts();
  }).observe(byId("compare-results"));

  return { run, modelKnown, restore, state, isCurrent };

  /** @param {Partial<CompareState> | undefined} state */
  function restore(state) {
    texts.value =
      typeof state?.texts === "string" && state.texts.trim()
        ? state.texts
        : compareExamples[0].texts.join("\n");
    checkRadio("compare-part", state?.part === "all" ? "all" : "meaning");
    result = null;
  }

  /** @returns {CompareState} */
  function state() {
    return { texts: texts.value, part: /** @type {import("./page.js").Part} */ (radioValue("compare-part")) };
  }

  function isCurrent() {
    return result !== null && result.model.id === page.model?.id;
  }

  /** Fills in what depends on the model. */
  function modelKnown() {
    const { semanticDimensions, maxDimensions } = page.model ?? UNKNOWN_MODEL;
    byId("compare-part").hidden = semanticDimensions === maxDimensions;
    showPartHint();
  }

  function showPartHint() {
    const { semanticDimensions, maxDimensions } = page.model ?? UNKNOWN_MODEL;
    byId("compare-part-hint").textContent =
      radioValue("compare-part") === "meaning"
        ? `The first ${semanticDimensions} dimensions: what a text says. Best for short texts and paraphrase.`
        : `All ${maxDimensions.toLocaleString("en")} dimensions: what it says, and which rare words it has. Best for search.`;
  }

  async function run() {
    for (const place of ["texts", "compare"]) showError(place, null);
    showPartHint();
    const lines = linesOf(texts.value);
    if (lines.length === 0) return showError("texts", "There is no text here yet. Type one a line.");
    const model = page.model ?? UNKNOWN_MODEL;
    const dimensions =
      radioValue("compare-part") === "meaning" ? model.semanticDimensions : model.maxDimensions;
    running?.abort();
    const mine = (running = new AbortController());
    byId("panel-compare").setAttribute("aria-busy", "true");
    const slow = setTimeout(() => (byId("embed").textContent = "Embedding…"), SLOW_MILLISECONDS);
    try {
      page.sent("compare", { texts: lines, query: undefined, dimensions });
      const learned = await learn(lines, {
        model,
        view: "compare",
        dimensions,
        again: true,
        signal: mine.signal,
        onProgress: (done, of) => showProgress("compare-progress", done, of),
      });
      mine.signal.throwIfAborted();
      page.answered(learned.version);
      const { space } = learned;
      const split = Math.min(model.semanticDimensions || Infinity, dimensions || Infinity);
      /** @type {Result} */
      const fresh = { texts: lines, space, model, dimensions, split, known: {} };
      await compareInParts(
        { space, texts: lines, semantic: split, matrixTexts: MATRIX_TEXTS },
        mine.signal,
        (part) => {
          Object.assign(fresh.known, part);
          if (part.about) {
            result = fresh;
            showProgress("compare-progress", null);
            showSummary(learned);
          }
          showPart(part);
        },
      );
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      if (!(error instanceof RequestError)) throw error;
      if (page.keyRefused("compare", error))
        return showError("compare", "Not sent through: see the API key above.");
      showError(error.place === "texts" ? "texts" : "compare", error.sentence("Text"));
    } finally {
      clearTimeout(slow);
      if (running === mine) {
        running = null;
        byId("embed").textContent = "Embed";
        showProgress("compare-progress", null);
        byId("panel-compare").setAttribute("aria-busy", "false");
      }
    }
  }

  /** @param {import("./embedder.js").Learned} learned */
  function showSummary({ count, requests, milliseconds, tokens }) {
    if (!result?.known.about) return;
    result.dimensions = result.known.about.dimensions;
    result.split = Math.min(result.split, result.dimensions);
    const { marks } = result.known.about;
    const cut = [...marks].flatMap(([index, { cut }]) => (cut ? [{ index, ...cut }] : []));
    byId("compare-status").replaceChildren(
      `${countOf(result.texts.length, "text")}, ${countOf(tokens, "token")} at ${clock()}.`,
      ...(cut.length ? [element("span", { class: "cut" }, ` ${cutInWords(cut)}`)] : []),
    );
    const bytes = 4 * result.dimensions;
    /** @type {[string, string, string][]} */
    const facts = [
      ["Round trip", duration(milliseconds), requests > 1 ? `in ${requests} requests` : "there and back"],
      ["Each text", duration(milliseconds / count), `of ${count.toLocaleString("en")} at once`],
      [
        "A million of them",
        costOfAMillion({ texts: count, requests, milliseconds }),
        "at Cloudflare’s prices",
      ],
      [
        "Each vector",
        `${bytes.toLocaleString("en")} bytes`,
        `${result.dimensions.toLocaleString("en")} dimensions`,
      ],
    ];
    byId("facts").replaceChildren(
      ...facts.map(([name, value, more]) =>
        element(
          "div",
          {},
          element("dt", {}, name),
          element("dd", {}, element("strong", {}, value), element("span", {}, more)),
        ),
      ),
    );
  }

  function showStale() {
    const changed = result !== null && linesOf(texts.value).join("\n") !== result.texts.join("\n");
    byId("compare-results").classList.toggle("stale", changed);
    byId("compare-stale").hidden = !changed;
  }

  /** @param {ComparisonPart} part */
  function showPart(part) {
    if (part.about) {
      byId("compare-results").hidden = false;
      showStale();
      showEach(0);
    }
    if (part.matrix) showMatrix();
    if (part.scatter) {
      drawnWidth = byId("compare-results").clientWidth;
      showScatter();
      showCosts(); // empty until its figures are here
    }
    if (part.costs) showCosts();
    if (part.neighbours)
      for (const [at, item] of [...byId("each").children].entries()) showNear(item, firstShown + at);
  }

  function showMatrix() {
    const matrix = result?.known.matrix;
    if (!result || !matrix) return;
    const isCosine = measure === "cosine";
    const rows = isCosine ? matrix.cosines : matrix.distances;
    // Of unit vectors, the farthest are 2 apart; of others, whatever is farthest here.
    const farthest = matrix.areUnit ? 2 : Math.max(...rows.map((row) => Math.max(...row))) || 1;
    const neutral = matrix.areUnit ? NOTHING_IN_COMMON : farthest;
    /** @param {number} value */
    const heatOf = (value) => {
      if (isCosine) return value;
      return value <= neutral ? 1 - value / neutral : -(value - neutral) / (farthest - neutral);
    };
    const shownTexts = result.texts.slice(0, rows.length);
    const digits = shownTexts.length > 12 ? 2 : 3;
    drawMatrix(byId("matrix"), {
      texts: shownTexts,
      rows,
      heatOf,
      digits,
      caption: isCosine ? "Cosine similarity of each pair of texts" : "L2 distance of each pair of texts",
      onPair: (pair) => showPair(pair, rows, digits),
    });
    drawScale(
      byId("scale"),
      isCosine
        ? { from: -1, to: 1, heatOf, ticks: [-1, 0, 1], words: ["opposite", "same"] }
        : {
            from: 0,
            to: farthest,
            heatOf,
            ticks: matrix.areUnit ? [0, 1, 2] : [0, farthest],
            words: ["same", "far apart"],
          },
    );
    showPair(null, rows, digits);
  }

  /** @param {[number, number] | null} pair @param {Float64Array[]} rows @param {number} digits */
  function showPair(pair, rows, digits) {
    if (!result) return;
    const isCosine = measure === "cosine";
    let words = "";
    if (!pair || pair[0] === pair[1]) {
      pair = rows.length > 1 ? closestPair(rows, isCosine) : null;
      words = "Most alike: ";
    }
    const place = byId("pair");
    if (!pair) {
      place.textContent =
        rows.length > 1
          ? "No text here has a word in it: there is nothing to compare."
          : "One text has nothing to be compared with. Add another line.";
      return;
    }
    const [i, j] = pair;
    const meanings = isCosine ? result.known.matrix?.meanings : null;
    const split = meanings
      ? ` (meaning ${format(meanings[i][j], digits)}, words ${format(rows[i][j] - meanings[i][j], digits)})`
      : "";
    const rest = result.texts.length - rows.length;
    place.replaceChildren(
      `${words}${i + 1} and ${j + 1}, `,
      element("strong", {}, format(rows[i][j], digits)),
      `${split}. “${shorten(result.texts[i], 60)}” and “${shorten(result.texts[j], 60)}”`,
      ...(rest > 0
        ? [` The first ${MATRIX_TEXTS} of ${result.texts.length.toLocaleString("en")} texts are shown.`]
        : []),
    );
  }

  function showScatter() {
    const scatter = result?.known.scatter;
    if (!result || !scatter) return;
    const share = 100 * (scatter.explained[0] + scatter.explained[1]);
    byId("scatter-hint").textContent =
      result.texts.length < 3
        ? "With one or two texts there is little to see: add a third."
        : `The two directions in which these texts differ most (principal components). ${shareInWords(share)}`;
    drawScatter(byId("scatter"), {
      points: scatter.points,
      texts: result.texts,
      label: `Map of ${countOf(result.texts.length, "text")} on two principal components, which hold ${share.toFixed(0)}% of the variance. The numbers are those of the list of texts.`,
      onPoint: openText,
    });
  }

  /** @param {number} index */
  function openText(index) {
    if (index < firstShown || index >= firstShown + TEXTS_ON_A_PAGE)
      showEach(index - (index % TEXTS_ON_A_PAGE));
    const details = byId("each").children[index - firstShown].querySelector("details");
    if (!details) return;
    details.open = true;
    details.querySelector("summary")?.focus();
  }

  function showCosts() {
    if (!result) return;
    const place = byId("cost-hint");
    const { costs, of = 0 } = result.known.costs ?? {};
    if (result.texts.length < 2 || (costs && of < 2)) {
      byId("cost").replaceChildren();
      place.textContent = "It takes two texts with words in them to see what smaller vectors lose.";
      return;
    }
    if (!costs) return;
    const whole = costs[costs.length - 1];
    const firstGood = costs.findIndex((_, at) =>
      costs.slice(at).every(({ nearestKept }) => nearestKept >= KEPT * whole.nearestKept),
    );
    const chosen = costs[firstGood];
    drawCosts(byId("cost"), {
      costs,
      chosen,
      label: costs
        .map(
          (cost) =>
            `${cost.dimensions} dimensions: similarities change by ${cost.mean.toFixed(3)} on average, at most ${cost.max.toFixed(3)}`,
        )
        .join(". "),
    });
    const isPart = result.split < result.dimensions;
    place.textContent =
      (chosen === whole
        ? `These texts need all ${whole.dimensions} dimensions${isPart ? " of the meaning" : ""} to keep their nearest neighbours. `
        : `The first ${chosen.dimensions} of ${whole.dimensions} dimensions${isPart ? " of the meaning" : ""} keep the nearest neighbour of ` +
          `${chosen.nearestKept} of ${countOf(of, "text")}; similarities change by ${chosen.mean.toFixed(3)} on average. ` +
          `“dimensions”: ${chosen.dimensions} in a request gives vectors of ${(4 * chosen.dimensions).toLocaleString("en")} bytes. `) +
      (of < result.texts.length ? `Measured on ${of} of the texts.` : "");
  }

  /** A page of the list: each text has a picture of its own, so that not all are there at once. @param {number} first */
  function showEach(first) {
    if (!result?.known.about) return;
    const { texts: all, dimensions, split } = result;
    firstShown = Math.max(0, first);
    const end = Math.min(all.length, firstShown + TEXTS_ON_A_PAGE);
    const items = [];
    for (let i = firstShown; i < end; i++) items.push(textItem(i));
    byId("each").replaceChildren(...items);
    byId("each").setAttribute("start", String(firstShown + 1));
    byId("each-pager").hidden = all.length <= TEXTS_ON_A_PAGE;
    byId("each-range").textContent = `${firstShown + 1} to ${end} of ${all.length.toLocaleString("en")}`;
    /** @type {HTMLButtonElement} */ (byId("each-previous")).disabled = firstShown === 0;
    /** @type {HTMLButtonElement} */ (byId("each-next")).disabled = end === all.length;
    byId("parts").replaceChildren(
      ...[
        { name: "meaning", count: split },
        { name: "words", count: dimensions - split },
      ]
        .filter(({ count }) => count > 0)
        .map(({ name, count }) => {
          const label = element("span", {}, `${name}: ${count}`);
          label.style.flexGrow = String(count);
          return label;
        }),
    );
  }

  /** @param {number} i */
  function textItem(i) {
    const { texts: all, known, space, dimensions, split } = /** @type {Result} */ (result);
    const { largest, marks } = /** @type {NonNullable<ComparisonPart["about"]>} */ (known.about);
    const mark = marks.get(i);
    const summary = element(
      "summary",
      {},
      element("span", { class: "number" }, String(i + 1)),
      element("span", { class: "text" }, shorten(all[i], 240)),
      ...(mark?.cut ? [element("span", { class: "cut" }, "cut")] : []),
      ...(mark?.empty
        ? [
            element(
              "span",
              { class: "cut", title: "Its vector is zero, and so it is like nothing." },
              "no word in it",
            ),
          ]
        : []),
      element("span", { class: "near" }),
    );
    const strip = vectorStrip(() => compute("vector", { space, text: all[i] }), {
      largest,
      split,
      size: dimensions,
      label: `The ${dimensions} values of vector ${i + 1} as stripes`,
    });
    const details = element("details", {}, summary);
    details.addEventListener("toggle", async () => details.append(await textDetails(i, mark?.cut ?? null)), {
      once: true,
    });
    const item = element("li", {}, details, strip);
    showNear(item, i);
    return item;
  }

  /** @param {Element} item @param {number} i */
  function showNear(item, i) {
    const { nearest, scores } = result?.known.neighbours ?? {};
    const near = item.querySelector(".near");
    if (!near || !nearest || !scores || !(nearest[i] >= 0)) return;
    near.replaceChildren(
      `nearest ${nearest[i] + 1}, `,
      element("span", { class: "score" }, format(scores[i], 3)),
    );
  }

  /** @param {number} i @param {{ tokens: number, tokens_read: number } | null} cut */
  async function textDetails(i, cut) {
    const { texts: all, space, dimensions } = /** @type {Result} */ (result);
    const text = all[i];
    const vector = await compute("vector", { space, text });
    const alone = element("dd", {}, "…");
    const tokens = element("dd", {}, "…");
    const facts = element(
      "dl",
      {},
      element("dt", {}, "Tokens"),
      tokens,
      element("dt", {}, "By itself"),
      alone,
      ...fact("Dimensions", String(vector.length)),
      ...fact("Norm", format(norm(vector), 4)),
      ...fact("Values from, to", `${format(Math.min(...vector), 3)}, ${format(Math.max(...vector), 3)}`),
    );
    void askAlone(text, dimensions, cut).then((said) => {
      tokens.textContent = said.tokens;
      alone.textContent = said.alone;
    });
    const json = element("button", { type: "button", class: "quiet" }, "Copy as JSON");
    const base64 = element("button", { type: "button", class: "quiet" }, "Copy as base64");
    copyButton(json, () => toJson(vector));
    copyButton(base64, () => toBase64(vector));
    const start = Array.from(vector.slice(0, 6), (value) => format(value, 4)).join("  ");
    return element(
      "div",
      { class: "detail" },
      facts,
      element("p", { class: "values" }, `${start}  …`),
      element("p", { class: "copies" }, json, base64),
    );
  }

  /**
   * The endpoint counts tokens for a whole request, so one text's count, time and cost are asked for when someone looks.
   * @param {string} text @param {number} dimensions @param {{ tokens: number, tokens_read: number } | null} cut
   */
  async function askAlone(text, dimensions, cut) {
    try {
      const model = page.model ?? UNKNOWN_MODEL;
      const request = { model: model.id, input: text, dimensions: dimensions || undefined };
      const { bytes, milliseconds } = await requestEmbeddings(request);
      const { usage } = JSON.parse(new TextDecoder().decode(bytes));
      const cost = costOfAMillion({ texts: 1, requests: 1, milliseconds });
      return {
        tokens: cut
          ? `${cut.tokens.toLocaleString("en")}, of which the first ${cut.tokens_read.toLocaleString("en")} were read: the text was cut`
          : `${usage.prompt_tokens.toLocaleString("en")}, all read`,
        alone: `${duration(milliseconds)} in a request of its own; a million such requests cost ${cost}`,
      };
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return { tokens: `not known: ${error.sentence()}`, alone: "not known" };
    }
  }
}

/** @param {number} share in percent */
function shareInWords(share) {
  if (share > 99.95) return "They hold all the differences between these texts.";
  const rounded = share >= 99.5 ? "more than 99%" : `${share.toFixed(0)}%`;
  return (
    `They hold ${rounded} of the differences; the rest is not in the picture, so trust the numbers above where they ` +
    "disagree."
  );
}

/** @param {{ index: number, tokens: number, tokens_read: number }[]} cut */
function cutInWords(cut) {
  const [{ index, tokens, tokens_read }] = cut;
  const counts = `${tokens_read.toLocaleString("en")} of ${tokens.toLocaleString("en")} tokens`;
  if (cut.length === 1) return `Text ${index + 1} was cut: ${counts} were read.`;
  return `${cut.length} texts were cut; of text ${index + 1}, ${counts} were read.`;
}

/** @param {string} text */
function linesOf(text) {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

/** @param {string} name @param {string} value */
function fact(name, value) {
  return [element("dt", {}, name), element("dd", {}, value)];
}

/** @param {Float64Array[]} rows @param {boolean} highest @returns {[number, number] | null} */
function closestPair(rows, highest) {
  /** @type {[number, number] | null} */
  let best = null;
  for (let i = 0; i < rows.length; i++) {
    for (let j = i + 1; j < rows.length; j++) {
      if (Number.isNaN(rows[i][j])) continue;
      if (!best || (highest ? rows[i][j] > rows[best[0]][best[1]] : rows[i][j] < rows[best[0]][best[1]]))
        best = [i, j];
    }
  }
  return best;
}
