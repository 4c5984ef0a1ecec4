// @ts-check
// The view "Compare texts": embed, then look at similarities, positions, vectors and the cost of fewer dimensions.
import { embed, RequestError } from "./api.js";
import { announce, byId, clock, copyButton, countOf, duration, field, showError } from "./dom.js";
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
import { compareExamples } from "./examples.js";
import * as vectors from "./vectors.js";

const MATRIX_TEXTS = 40; // more cells than this make a table that nobody reads
const COST_TEXTS = 200; // all pairs at every step: 200 texts take about 10 ms
const SLOW_MILLISECONDS = 250; // until the button says that it waits
const TEXTS_SHOWN_AT_ONCE = 100;
const NOTHING_IN_COMMON = Math.SQRT2; // the distance of two unit vectors at right angles

/**
 * @typedef {object} Result
 * @property {string[]} texts
 * @property {number} dimensions
 * @property {Float32Array[]} vectors as answered for `dimensions`
 * @property {Float32Array[]} full the full vectors of the same texts
 * @property {string} modelVersion
 * @property {Map<number, { tokens: number, tokens_read: number }>} cut by text
 */

/** @param {import("./page.js").Page} page */
export function startCompare(page) {
  /** @type {Result | null} */
  let result = null;
  /** @type {AbortController | null} */
  let running = null;
  let measure = "cosine";
  let shown = 0;

  const texts = field("texts");
  const dimensions = field("dimensions");
  texts.value = compareExamples[0].texts.join("\n");

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
  });
  dimensions.addEventListener("input", () => showError("dimensions", null));
  dimensions.addEventListener("change", () => void run());
  for (const { name, texts: lines } of compareExamples) {
    const button = element("button", { type: "button", class: "chip" }, name);
    button.addEventListener("click", () => {
      texts.value = lines.join("\n");
      void run();
    });
    byId("compare-examples").append(button);
  }
  for (const radio of document.querySelectorAll('input[name="measure"]')) {
    radio.addEventListener("change", () => {
      measure = /** @type {HTMLInputElement} */ (radio).value;
      showMatrix();
    });
  }
  byId("each-more").addEventListener("click", () => {
    const first = shown;
    showEach();
    byId("each").children[first]?.querySelector("summary")?.focus();
  });
  onThemeChange(() => showMatrix());
  let drawnWidth = 0;
  new ResizeObserver(([{ contentRect }]) => {
    if (!result || contentRect.width === drawnWidth || contentRect.width === 0) return;
    drawnWidth = contentRect.width;
    showScatter();
    showCosts();
  }).observe(byId("compare-results"));

  return { run, modelKnown };

  /** Fills in what depends on the model's size. */
  function modelKnown() {
    const full = page.model?.dimensions;
    if (!full) return;
    dimensions.setAttribute("max", String(full));
    if (!dimensions.value) dimensions.value = String(full);
    const presets = [full, ...[512, 384, 256, 128, 64, 32].filter((count) => count < full)].slice(0, 5);
    byId("dimension-presets").replaceChildren(
      ...presets.map((count) => {
        const button = element("button", { type: "button", class: "chip" }, String(count));
        button.addEventListener("click", () => {
          dimensions.value = String(count);
          void run();
        });
        return button;
      }),
    );
    markPreset();
  }

  async function run() {
    for (const place of ["texts", "dimensions", "compare"]) showError(place, null);
    markPreset();
    const lines = linesOf(texts.value);
    if (lines.length === 0) return showError("texts", "There is no text here yet. Type one a line.");
    const wanted = wantedDimensions();
    if (Number.isNaN(wanted)) return showError("dimensions", "Dimensions is a whole number.");
    running?.abort();
    const mine = (running = new AbortController());
    byId("panel-compare").setAttribute("aria-busy", "true");
    const slow = setTimeout(() => (byId("embed").textContent = "Embedding…"), SLOW_MILLISECONDS);
    try {
      const options = { model: page.modelName, signal: mine.signal };
      page.sent("compare", { input: lines, dimensions: wanted });
      const answer = await embed(lines, { ...options, dimensions: wanted });
      const full =
        wanted === undefined
          ? answer.vectors
          : (fullOf(lines, answer.modelVersion) ?? (await embed(lines, options)).vectors);
      result = {
        texts: lines,
        dimensions: answer.vectors[0].length,
        vectors: answer.vectors,
        full,
        modelVersion: answer.modelVersion,
        cut: new Map(answer.truncated.map(({ index, ...cut }) => [index, cut])),
      };
      if (!dimensions.value) dimensions.value = String(result.dimensions);
      const summary = `${countOf(lines.length, "text")}, ${countOf(answer.tokens, "token")}, ${result.dimensions} dimensions`;
      byId("compare-status").replaceChildren(
        element("strong", {}, duration(answer.milliseconds)),
        ` at ${clock()}: ${summary}.`,
        ...(result.cut.size ? [element("span", { class: "cut" }, ` ${cutInWords(result.cut)}`)] : []),
      );
      show();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      if (!(error instanceof RequestError)) throw error;
      if (page.keyRefused(error)) return showError("compare", "Not sent through: see the API key above.");
      showError(error.place === "request" ? "compare" : error.place, error.sentence);
    } finally {
      clearTimeout(slow);
      if (running === mine) {
        running = null;
        byId("embed").textContent = "Embed";
        byId("panel-compare").setAttribute("aria-busy", "false");
      }
    }
  }

  /** The full vectors, where the same texts have just been embedded. @param {string[]} lines @param {string} modelVersion */
  function fullOf(lines, modelVersion) {
    const same = result?.modelVersion === modelVersion && result.texts.join("\n") === lines.join("\n");
    return same && result ? result.full : null;
  }

  /** undefined asks for the full vector, by leaving the field out of the request. */
  function wantedDimensions() {
    if (dimensions.validity.badInput) return NaN;
    const text = dimensions.value.trim();
    if (text === "") return undefined;
    const count = Number(text);
    if (!Number.isInteger(count)) return NaN;
    return count === page.model?.dimensions ? undefined : count;
  }

  function markPreset() {
    for (const button of byId("dimension-presets").children) {
      button.setAttribute("aria-pressed", String(button.textContent === dimensions.value));
    }
  }

  function showStale() {
    const changed = result !== null && linesOf(texts.value).join("\n") !== result.texts.join("\n");
    byId("compare-results").classList.toggle("stale", changed);
    byId("compare-stale").hidden = !changed;
  }

  function show() {
    byId("compare-results").hidden = false;
    showStale();
    showMatrix();
    drawnWidth = byId("compare-results").clientWidth;
    showScatter();
    showCosts();
    shown = 0;
    byId("each").replaceChildren();
    showEach();
  }

  function showMatrix() {
    if (!result) return;
    const shownTexts = result.texts.slice(0, MATRIX_TEXTS);
    const shownVectors = result.vectors.slice(0, MATRIX_TEXTS);
    const isCosine = measure === "cosine";
    const rows = vectors.pairwise(shownVectors, isCosine ? vectors.cosine : vectors.distance);
    // Of unit vectors, the farthest are 2 apart; of others, whatever is farthest here.
    const unit = shownVectors.every((vector) => Math.abs(vectors.norm(vector) - 1) < 0.01);
    const farthest = unit ? 2 : Math.max(...rows.map((row) => Math.max(...row))) || 1;
    const neutral = unit ? NOTHING_IN_COMMON : farthest;
    /** @param {number} value */
    const heatOf = (value) => {
      if (isCosine) return value;
      return value <= neutral ? 1 - value / neutral : -(value - neutral) / (farthest - neutral);
    };
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
            ticks: unit ? [0, 1, 2] : [0, farthest],
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
      place.textContent = "One text has nothing to be compared with. Add another line.";
      return;
    }
    const [i, j] = pair;
    const rest = result.texts.length - rows.length;
    place.replaceChildren(
      `${words}${i + 1} and ${j + 1}, `,
      element("strong", {}, format(rows[i][j], digits)),
      `. “${shorten(result.texts[i], 60)}” and “${shorten(result.texts[j], 60)}”`,
      ...(rest > 0 ? [` The first ${MATRIX_TEXTS} of ${result.texts.length} texts are shown.`] : []),
    );
  }

  function showScatter() {
    if (!result) return;
    const { points, explained } = vectors.principalComponents(result.vectors);
    const share = Math.round(100 * (explained[0] + explained[1]));
    const few = result.texts.length < 3;
    byId("scatter-hint").textContent = few
      ? "With one or two texts there is little to see: add a third."
      : `The two directions in which these texts differ most (principal components). They hold ${share}% of the ` +
        "differences; the rest is not in the picture, so trust the numbers above where they disagree.";
    drawScatter(byId("scatter"), {
      points,
      texts: result.texts,
      label: `Scatter plot of ${countOf(result.texts.length, "text")} on two principal components, which hold ${share}% of the variance. The numbers are those of the list of texts.`,
      onPoint: openText,
    });
  }

  /** @param {number} index */
  function openText(index) {
    while (shown <= index) showEach();
    const details = byId("each").children[index].querySelector("details");
    if (!details) return;
    details.open = true;
    details.querySelector("summary")?.focus();
  }

  function showCosts() {
    if (!result) return;
    const full = result.full.slice(0, COST_TEXTS);
    const size = full[0].length;
    const steps = vectors.dimensionSteps(size);
    const chosenAt = Math.min(result.dimensions, size);
    const counts = [...new Set([...steps, chosenAt])].sort((a, b) => a - b);
    const costs = vectors.dimensionCosts(full, counts);
    const chosen = costs[counts.indexOf(chosenAt)];
    const place = byId("cost-hint");
    if (full.length < 2) {
      byId("cost").replaceChildren();
      place.textContent = "It takes two texts to see what similarity loses.";
      return;
    }
    drawCosts(byId("cost"), {
      costs: costs.filter(({ dimensions }) => steps.includes(dimensions)),
      chosen,
      label: costs
        .map(
          (cost) =>
            `${cost.dimensions} dimensions: similarities change by ${cost.mean.toFixed(3)} on average, at most ${cost.max.toFixed(3)}`,
        )
        .join(". "),
    });
    const bytes = `${(4 * chosenAt).toLocaleString("en")} bytes a vector in place of ${(4 * size).toLocaleString("en")}`;
    const [i, j] = chosen.maxPair;
    const kept = `${chosen.nearestKept} of ${countOf(full.length, "text")} ${chosen.nearestKept === 1 ? "keeps its" : "keep their"} nearest neighbour.`;
    place.textContent =
      chosenAt === size
        ? `All ${size} dimensions: nothing is lost. Choose fewer under Dimensions to see what changes for these texts.`
        : `${chosenAt} of ${size} dimensions, ${bytes}: similarities change by ${chosen.mean.toFixed(3)} on average, ` +
          `most for ${i + 1} and ${j + 1} (by ${chosen.max.toFixed(3)}). ${kept}`;
  }

  /** The next texts of the list: they come in portions, since each has a picture of its own. */
  function showEach() {
    if (!result) return;
    const { texts: all, vectors: embedded, cut } = result;
    const cosines = all.length <= COST_TEXTS ? vectors.pairwise(embedded, vectors.cosine) : null;
    const largest = embedded.reduce(
      (most, vector) => vector.reduce((m, v) => Math.max(m, Math.abs(v)), most),
      0,
    );
    const end = Math.min(all.length, shown + TEXTS_SHOWN_AT_ONCE);
    for (; shown < end; shown++)
      byId("each").append(textItem(shown, { all, embedded, cut, cosines, largest }));
    const more = byId("each-more");
    more.hidden = shown >= all.length;
    more.textContent = `Show ${Math.min(TEXTS_SHOWN_AT_ONCE, all.length - shown)} more of ${all.length}`;
  }

  /**
   * @param {number} i
   * @param {{ all: string[], embedded: Float32Array[], cut: Result["cut"], cosines: Float64Array[] | null, largest: number }} of
   */
  function textItem(i, { all, embedded, cut, cosines, largest }) {
    const vector = embedded[i];
    const near = cosines ? vectors.nearest(cosines[i], i) : -1;
    const summary = element(
      "summary",
      {},
      element("span", { class: "number" }, String(i + 1)),
      element("span", { class: "text" }, shorten(all[i], 240)),
      ...(cut.has(i) ? [element("span", { class: "cut" }, "cut")] : []),
      ...(near >= 0 && cosines
        ? [
            element(
              "span",
              { class: "near" },
              `nearest ${near + 1}, `,
              element("span", { class: "score" }, format(cosines[i][near], 3)),
            ),
          ]
        : []),
    );
    const strip = vectorStrip(vector, largest, `The ${vector.length} values of vector ${i + 1} as stripes`);
    const details = element("details", {}, summary);
    details.addEventListener("toggle", () => details.append(textDetails(i, all[i], vector, cut.get(i))), {
      once: true,
    });
    return element("li", {}, details, strip);
  }

  /** @param {number} i @param {string} text @param {Float32Array} vector @param {{ tokens: number, tokens_read: number } | undefined} cut */
  function textDetails(i, text, vector, cut) {
    const tokens = element("dd", {}, "…");
    const facts = element(
      "dl",
      {},
      ...fact("Dimensions", String(vector.length)),
      element("dt", {}, "Tokens"),
      tokens,
      ...fact("Norm", format(vectors.norm(vector), 4)),
      ...fact("Values from, to", `${format(Math.min(...vector), 3)}, ${format(Math.max(...vector), 3)}`),
    );
    void countTokens(text, cut).then((said) => (tokens.textContent = said));
    const json = element("button", { type: "button", class: "quiet" }, "Copy as JSON");
    const base64 = element("button", { type: "button", class: "quiet" }, "Copy as base64");
    copyButton(json, () => vectors.toJson(vector));
    copyButton(base64, () => vectors.toBase64(vector));
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
   * The endpoint counts tokens for a whole request, so one text's count is asked for when someone looks.
   * @param {string} text @param {{ tokens: number, tokens_read: number } | undefined} cut
   */
  async function countTokens(text, cut) {
    if (cut) {
      return `${cut.tokens.toLocaleString("en")}, of which the first ${cut.tokens_read.toLocaleString("en")} were read: the text was cut`;
    }
    try {
      const { tokens } = await embed(text, { model: page.modelName, dimensions: 1 });
      return `${tokens.toLocaleString("en")}, all read`;
    } catch (error) {
      return error instanceof RequestError ? `not known: ${error.sentence}` : String(error);
    }
  }
}

/** @param {Result["cut"]} cut */
function cutInWords(cut) {
  const [[index, { tokens, tokens_read }]] = cut;
  const counts = `${tokens_read.toLocaleString("en")} of ${tokens.toLocaleString("en")} tokens`;
  if (cut.size === 1) return `Text ${index + 1} was cut: ${counts} were read.`;
  return `${cut.size} texts were cut; of text ${index + 1}, ${counts} were read.`;
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
