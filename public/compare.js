// @ts-check
// The view "Compare texts": embed, then look at similarities, positions, vectors, and what time and money they take.
import { partInWords, requestEmbeddings, RequestError, UNKNOWN_MODEL } from "./api.js";
import { compareInParts, compute } from "./compute.js";
import {
  announce,
  byId,
  checkRadio,
  copyButton,
  costOfAMillion,
  countOf,
  duration,
  exampleButtons,
  field,
  labelParts,
  median,
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
  markCell,
  NUMBERED_TEXTS,
  onThemeChange,
  shorten,
  sumInWords,
  vectorStrip,
} from "./draw.js";
import { learn } from "./embedder.js";
import { compareExamples } from "./examples.js";
import { norm, toBase64, toJson } from "./vectors.js";

const MATRIX_TEXTS = 30; // more cells than this make a table that nobody reads
const NEAREST_TEXTS = 3000; // all pairs: some seconds for so many
const SLOW_MILLISECONDS = 250; // until the button says that it waits
const TEXTS_ON_A_PAGE = 25;
const AGAIN = 2; // more runs of a quick request, so that its time is a median and no accident
const QUICK_MILLISECONDS = 300;
const COLD_MILLISECONDS = 1500; // a first request may have loaded the model: it is worth a second one
const RELIABLE_TEXTS = 20; // fewer say little about how many dimensions are enough
const DIGITS = 3;
const MATRIX_TITLE = "Pairwise similarity";
const HOW_TO_READ = "Point at a square, or use the arrow keys, for its number.";
const NOTHING_IN_COMMON = Math.SQRT2; // the distance of two unit vectors at right angles
const KEPT = 0.95; // of the nearest neighbours: from there on a vector is as good as the whole

/** @typedef {{ texts: string, part: import("./page.js").Part }} CompareState */
/** @typedef {import("./compute-worker.js").ComparisonPart} ComparisonPart */
/** @typedef {import("./compute-worker.js").Pair} Pair */
/** @typedef {import("./embedder.js").Learned} Learned */

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
  /** The cell that the arrow keys or the pointer have come to. @type {[number, number] | null} */
  let shownPair = null;

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
  /** @param {string} text */
  const replaceTexts = (text) => {
    texts.value = text;
    page.edited();
    void run();
  };
  exampleButtons("compare-examples", compareExamples, {
    load: (example) => replaceTexts(example.texts.join("\n")),
    own: () =>
      texts.value.trim() && compareExamples.every((one) => one.texts.join("\n") !== texts.value)
        ? texts.value
        : null,
    bringBack: replaceTexts,
  });
  onRadio("measure", () => {
    measure = radioValue("measure");
    showMatrix();
  });
  byId("each-previous").addEventListener("click", () => showEach(firstShown - TEXTS_ON_A_PAGE));
  byId("each-next").addEventListener("click", () => showEach(firstShown + TEXTS_ON_A_PAGE));
  for (const [id, step] of /** @type {const} */ ([
    ["each-before", -TEXTS_ON_A_PAGE],
    ["each-after", TEXTS_ON_A_PAGE],
  ])) {
    byId(id).addEventListener("click", () => {
      showEach(firstShown + step);
      byId("each-title").scrollIntoView();
      byId("each").querySelector("summary")?.focus({ preventScroll: true });
    });
  }
  byId("matrix").addEventListener("keydown", moveInMatrix);
  byId("matrix").addEventListener("blur", () => showPair(null));
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
    return { texts: texts.value, part: partNow() };
  }

  function isCurrent() {
    return result !== null && result.model.id === page.model?.id;
  }

  /** Fills in what depends on the model. */
  function modelKnown() {
    const model = page.model ?? UNKNOWN_MODEL;
    const { semanticDimensions, maxDimensions } = model;
    labelParts("compare-part", model);
    byId("compare-part").hidden = semanticDimensions === maxDimensions;
    showPartHint();
  }

  function showPartHint() {
    byId("compare-part-hint").textContent = partInWords(page.model ?? UNKNOWN_MODEL, partNow());
  }

  function partNow() {
    return /** @type {import("./page.js").Part} */ (radioValue("compare-part"));
  }

  async function run() {
    for (const place of ["texts", "compare"]) showError(place, null);
    showPartHint();
    const lines = linesOf(texts.value);
    if (lines.length === 0) return showError("texts", "There is no text here yet. Type one per line.");
    const model = page.model ?? UNKNOWN_MODEL;
    const dimensions = partNow() === "meaning" ? model.semanticDimensions : model.maxDimensions;
    running?.abort();
    const mine = (running = new AbortController());
    byId("panel-compare").setAttribute("aria-busy", "true");
    const slow = setTimeout(() => (byId("embed").textContent = "Embedding…"), SLOW_MILLISECONDS);
    const answered = () => {
      clearTimeout(slow);
      byId("embed").textContent = "Embed";
      showProgress("compare-progress", null);
    };
    /** @type {import("./api.js").EmbeddingRequest[]} */
    const requests = [];
    try {
      page.sent("compare", { texts: lines, query: undefined, dimensions });
      const learned = await learn(lines, {
        model,
        view: "compare",
        dimensions,
        again: true,
        signal: mine.signal,
        onRequest: (request) => requests.push(request),
        onProgress: (done, of) => showProgress("compare-progress", done, of),
      });
      mine.signal.throwIfAborted();
      page.answered(learned.version);
      const { space } = learned;
      const split = Math.min(model.semanticDimensions || Infinity, dimensions || Infinity);
      /** @type {Result} */
      const fresh = { texts: lines, space, model, dimensions, split, known: {} };
      await compareInParts(
        { space, texts: lines, semantic: split, matrixTexts: MATRIX_TEXTS, nearestTexts: NEAREST_TEXTS },
        mine.signal,
        (part) => {
          Object.assign(fresh.known, part);
          if (part.about) {
            result = fresh;
            answered();
            showSummary(learned, [learned.milliseconds]);
          }
          showPart(part);
        },
      );
      if (requests.length === 1) await measureAgain(learned, requests[0], mine.signal);
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return;
      if (!(error instanceof RequestError)) throw error;
      if (page.keyRefused("compare", error))
        return showError("compare", "Not sent through: see the API key above.");
      showError(error.place === "texts" ? "texts" : "compare", error.sentence("Text"));
    } finally {
      if (running === mine) {
        running = null;
        answered();
        byId("panel-compare").setAttribute("aria-busy", "false");
      }
    }
  }

  /**
   * The first request may have met a cold start: it is sent again, and once more if it is a quick one.
   * @param {Learned} learned @param {import("./api.js").EmbeddingRequest} request @param {AbortSignal} signal
   */
  async function measureAgain(learned, request, signal) {
    const times = [learned.milliseconds];
    try {
      while (
        times.length <= AGAIN &&
        Math.min(...times) < (times.length === 1 ? COLD_MILLISECONDS : QUICK_MILLISECONDS)
      ) {
        times.push((await requestEmbeddings(request, signal)).milliseconds);
        showSummary(learned, times);
      }
    } catch (error) {
      if (!(error instanceof RequestError)) throw error; // a rate limit, perhaps: the first time stands
    }
  }

  /** @param {Learned} learned @param {number[]} times of each run, in milliseconds */
  function showSummary({ count, requests, tokens }, times) {
    if (!result?.known.about) return;
    const milliseconds = median(times);
    result.dimensions = result.known.about.dimensions;
    result.split = Math.min(result.split, result.dimensions);
    const { marks } = result.known.about;
    const cut = [...marks].flatMap(([index, { cut }]) => (cut ? [{ index, ...cut }] : []));
    byId("compare-status").replaceChildren(
      `${countOf(result.texts.length, "text")}, ${countOf(tokens, "token")}.`,
      ...(cut.length ? [element("span", { class: "cut" }, ` ${cutInWords(cut)}`)] : []),
    );
    const bytes = 4 * result.dimensions;
    /** @type {[string, string, string][]} */
    const facts = [
      [
        "Round trip",
        duration(milliseconds),
        requests > 1
          ? `in ${requests} requests`
          : `network and computing${times.length > 1 ? `, median of\u00a0${times.length}` : ""}`,
      ],
      [
        "Per text in this batch",
        duration(milliseconds / count),
        `${count.toLocaleString("en")} in ${requests > 1 ? "all" : "one request"}`,
      ],
      [
        "1 M texts",
        costOfAMillion({ texts: count, requests, milliseconds }),
        `${Math.ceil(count / requests).toLocaleString("en")} per request, at Cloudflare’s prices`,
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
    if (part.neighbours) {
      for (const [at, item] of [...byId("each").children].entries()) showNear(item, firstShown + at);
      showPair(shownPair);
    }
  }

  function showMatrix() {
    const matrix = result?.known.matrix;
    if (!result || !matrix) return;
    const isCosine = measure === "cosine";
    const rows = isCosine ? matrix.cosines : matrix.distances;
    const isDense = rows.length > NUMBERED_TEXTS;
    const others = rows.flatMap((row, i) => [...row].filter((value, j) => j !== i && !Number.isNaN(value)));
    const [lowest, highest] = [Math.min(...others), Math.max(...others)];
    // Of unit vectors, the farthest are 2 apart; of others, whatever is farthest here.
    const farthest = matrix.areUnit ? 2 : Math.max(...rows.map((row) => Math.max(...row))) || 1;
    const neutral = matrix.areUnit ? NOTHING_IN_COMMON : farthest;
    /** @param {number} value */
    const heatOf = (value) => {
      // Many texts that are all much alike, or all little, would have one colour: theirs are scaled to what there is.
      if (isDense) {
        const share = (value - lowest) / (highest - lowest || 1);
        return isCosine ? share : 1 - share;
      }
      if (isCosine) return value;
      return value <= neutral ? 1 - value / neutral : -(value - neutral) / (farthest - neutral);
    };
    const shownTexts = result.texts.slice(0, rows.length);
    byId("matrix-title").textContent =
      rows.length < result.texts.length ? `${MATRIX_TITLE}, texts 1 to ${rows.length}` : MATRIX_TITLE;
    byId("matrix-caption").hidden = !isDense;
    byId("matrix-caption").textContent = HOW_TO_READ;
    drawMatrix(byId("matrix"), {
      texts: shownTexts,
      rows,
      heatOf,
      digits: DIGITS,
      caption: isCosine ? "Cosine similarity of each pair of texts" : "L2 distance of each pair of texts",
      onPair: showPair,
    });
    drawScale(
      byId("scale"),
      isDense
        ? {
            from: lowest,
            to: highest,
            heatOf,
            ticks: [],
            words: [`lowest here ${format(lowest, 2)}`, `highest here ${format(highest, 2)}`],
          }
        : isCosine
          ? { from: -1, to: 1, heatOf, ticks: [-1, 0, 1], words: ["opposite", "same"] }
          : {
              from: 0,
              to: farthest,
              heatOf,
              ticks: matrix.areUnit ? [0, 1, 2] : [0, farthest],
              words: ["same", "far apart"],
            },
    );
    showPair(null);
  }

  /** The pair of the matrix that the arrow keys have come to. @param {KeyboardEvent} event */
  function moveInMatrix(event) {
    const count = result?.known.matrix?.cosines.length ?? 0;
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || count < 2) return;
    event.preventDefault();
    const [row, column] = shownPair ?? [0, 0];
    const within = (/** @type {number} */ at) => Math.max(0, Math.min(count - 1, at));
    showPair(shownPair ? [within(row + step[0]), within(column + step[1])] : [0, 0]);
    markCell(byId("matrix"), shownPair)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /**
   * Says how alike two texts are: those of a cell of the matrix, or those that are most alike of all.
   * @param {[number, number] | null} cell
   */
  function showPair(cell) {
    const matrix = result?.known.matrix;
    if (!result || !matrix) return;
    shownPair = cell;
    markCell(byId("matrix"), cell);
    const isCosine = measure === "cosine";
    const count = result.texts.length;
    const isOfAll = !cell || cell[0] === cell[1];
    const pair = isOfAll ? mostAlike(result.known, isCosine) : pairIn(matrix, cell);
    if (!pair) {
      byId("pair").textContent =
        count === 1
          ? "One text has nothing to be compared with. Add another line."
          : pair === undefined
            ? `Looking for the most alike of all ${count.toLocaleString("en")}…`
            : "No text here has a known word: there is nothing to compare.";
      return;
    }
    const {
      texts: [i, j],
      cosine,
      distance,
      meaning,
      alone,
    } = pair;
    const sum =
      isCosine && meaning !== null && alone !== null
        ? `${sumInWords(cosine, meaning, DIGITS)} (meaning alone: ${format(alone, DIGITS)})`
        : "";
    const isAll = result.known.neighbours || matrix.cosines.length === count;
    const which =
      matrix.cosines.length === count
        ? "Most alike: "
        : `Most alike of ${isAll ? "all" : "the first"} ${(isAll ? count : matrix.cosines.length).toLocaleString("en")}: `;
    byId("pair").replaceChildren(
      `${isOfAll ? which : ""}${i + 1} and ${j + 1}, `,
      element("strong", {}, format(isCosine ? cosine : distance, DIGITS)),
      `${sum}. “${shorten(result.texts[i], 60)}” and “${shorten(result.texts[j], 60)}”`,
    );
  }

  /** @param {ComparisonPart} known @param {boolean} isCosine @returns {Pair | null | undefined} undefined: not known yet */
  function mostAlike({ matrix, neighbours }, isCosine) {
    const count = result?.texts.length ?? 0;
    if (!matrix || count < 2) return null;
    if (count > matrix.cosines.length && count <= NEAREST_TEXTS)
      return neighbours && (neighbours.closest?.[isCosine ? "cosine" : "distance"] ?? null);
    const closest = closestPair(isCosine ? matrix.cosines : matrix.distances, isCosine);
    return closest && pairIn(matrix, closest);
  }

  function showScatter() {
    const scatter = result?.known.scatter;
    if (!result || !scatter) return;
    const share = 100 * (scatter.explained[0] + scatter.explained[1]);
    const { indices, points } = scatter;
    const without = result.texts.length - indices.length;
    byId("scatter-hint").textContent =
      (indices.length < 3
        ? "With one or two texts there is little to see: add a third."
        : `The two directions in which these texts differ most (principal components). ${shareInWords(share)}`) +
      (without ? ` ${countOf(without, "text")} not shown: no known word, so no place.` : "");
    drawScatter(byId("scatter"), {
      points,
      indices,
      texts: result.texts,
      label: `Map of ${countOf(indices.length, "text")} on two principal components, which hold ${share.toFixed(0)}% of the variance. The numbers are those of the list of texts.`,
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
    details.scrollIntoView({ block: "nearest" });
    details.querySelector("summary")?.focus();
  }

  function showCosts() {
    if (!result) return;
    const place = byId("cost-hint");
    const { costs, of = 0 } = result.known.costs ?? {};
    if (result.texts.length < RELIABLE_TEXTS || (costs && of < RELIABLE_TEXTS)) {
      byId("cost").replaceChildren();
      place.textContent = `Add at least ${RELIABLE_TEXTS} texts to see how short your vectors can be.`;
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
    const wordsCount = result.dimensions - result.split;
    place.textContent = [
      chosen === whole
        ? `Nearest neighbours change below ${whole.dimensions} dimensions: these texts need all of them.`
        : `${chosen.dimensions} dimensions: ${(4 * chosen.dimensions).toLocaleString("en")} bytes instead of ` +
          `${(4 * whole.dimensions).toLocaleString("en")}; the nearest neighbour is kept for ${chosen.nearestKept} of ` +
          `${countOf(of, "text")}. Similarities change by ${chosen.mean.toFixed(3)} on average. Send “dimensions”: ${chosen.dimensions}.`,
      wordsCount > 0
        ? `The chart shortens the ${result.split} dimensions of meaning alone, without the ${wordsCount} of words behind them.`
        : "",
      of < result.texts.length ? `Measured on ${of} of the texts.` : "",
    ]
      .filter(Boolean)
      .join(" ");
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
    byId("each-before").hidden = firstShown === 0;
    byId("each-before").textContent = `Back to texts ${firstShown - TEXTS_ON_A_PAGE + 1} to ${firstShown}`;
    byId("each-after").hidden = end === all.length;
    byId("each-after").textContent =
      `On to texts ${end + 1} to ${Math.min(all.length, end + TEXTS_ON_A_PAGE)}`;
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
        ? [element("span", { class: "cut" }, "no known word: zero vector, no similarity")]
        : []),
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
    const item = element("li", {}, details, strip, element("p", { class: "near" }));
    showNear(item, i);
    return item;
  }

  /** @param {Element} item @param {number} i */
  function showNear(item, i) {
    const { nearest, scores } = result?.known.neighbours ?? {};
    const near = item.querySelector(".near");
    if (!near || !nearest || !scores || !(nearest[i] >= 0)) return;
    const other = nearest[i];
    const text = result?.texts[other] ?? "";
    const link = element("button", { type: "button", class: "link" }, `${other + 1}. ${shorten(text, 50)}`);
    link.addEventListener("click", () => openText(other));
    near.replaceChildren("nearest: ", link, element("span", { class: "score" }, format(scores[i], DIGITS)));
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
      ...fact("Min / max", `${format(Math.min(...vector), 3)} / ${format(Math.max(...vector), 3)}`),
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
          : `${usage.prompt_tokens.toLocaleString("en")}, not truncated`,
        alone: `${duration(milliseconds)} round trip; 1 M texts, 1 per request: ${cost}`,
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

/** @param {NonNullable<ComparisonPart["matrix"]>} matrix @param {[number, number]} pair @returns {Pair} */
function pairIn({ cosines, distances, meanings, alone }, [i, j]) {
  return {
    texts: [i, j],
    cosine: cosines[i][j],
    distance: distances[i][j],
    meaning: meanings && meanings[i][j],
    alone: alone && alone[i][j],
  };
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
