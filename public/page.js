// @ts-check
// The page's frame: the models, the key, the tabs, what is remembered, the requests as code. The two views are modules.
import { apiKey, listModels, RequestError } from "./api.js";
import { startCompare } from "./compare.js";
import { announce, buttonOf, byId, copyButton, selectTab, showError } from "./dom.js";
import { element, onThemeChange } from "./draw.js";
import { forget, fromFragment, recall, remember, toFragment } from "./memory.js";
import { startSearch } from "./search.js";
import { quality } from "./quality.js";
import { snippets } from "./snippets.js";

const SAVE_PAUSE_MILLISECONDS = 400;
const LINK_LABEL = byId("compare-link").textContent;
const TOO_LONG = "Too long for a link";
const baseUrl = `${location.origin}/v1`;

/** @typedef {"compare" | "search"} View */
/** @typedef {"meaning" | "all"} Part of a vector: its meaning alone, or with the words behind it */
/** @typedef {Pick<import("./snippets.js").Snippet, "texts" | "query" | "dimensions">} Sent */

/**
 * @typedef {object} State what is remembered, and what a link carries
 * @property {View} view
 * @property {string | null} model
 * @property {import("./compare.js").CompareState} compare
 * @property {import("./search.js").SearchState} search
 */

/**
 * @typedef {object} Page what the views share
 * @property {import("./api.js").Model | null} model
 * @property {(view: View, sent: Sent) => void} sent
 * @property {(view: View, error: unknown) => boolean} keyRefused shows a 401 at the key field; false for any other error
 * @property {() => void} edited remembers the texts
 * @property {(version: string) => void} answered by the model of that version
 */

/** @type {Partial<Record<View, Sent>>} the last requests of each view */
const lastSent = {};
/** Views whose last request was refused for its key. @type {Set<View>} */
const refused = new Set();
/** @type {View} */
let view = "compare";
let language = /** @type {keyof typeof snippets} */ ("curl");
/** @type {import("./api.js").Model[]} */
let models = [];
let saving = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
let isForgotten = false;

/** @type {Page} */
const page = {
  model: null,
  sent(fromView, sent) {
    lastSent[fromView] = sent;
    refused.delete(fromView);
    showError("key", null);
    showSnippet();
  },
  keyRefused(fromView, error) {
    if (!(error instanceof RequestError) || error.place !== "key") return false;
    refused.add(fromView);
    showKeyForm(true);
    showError(
      "key",
      apiKey.value ? error.sentence() : "This endpoint asks for an API key. Type it above, then press Enter.",
    );
    return true;
  },
  edited() {
    isForgotten = false;
    clearTimeout(saving);
    saving = setTimeout(save, SAVE_PAUSE_MILLISECONDS);
  },
  answered(version) {
    if (!page.model || page.model.version === version || version === "unknown") return;
    page.model.version = version;
    showFacts();
  },
};

byId("base-url").textContent = baseUrl;
byId("host").textContent = byId("files-host").textContent = location.host;
byId("local-hint").hidden = !/^(?:localhost|127\.[\d.]+|\[::1\])$/.test(location.hostname);
copyButton(buttonOf("copy-base-url"), () => baseUrl);
copyButton(buttonOf("copy-snippet"), () => byId("snippet-code").textContent ?? "");

const keyField = /** @type {HTMLInputElement} */ (byId("api-key"));
keyField.value = apiKey.load();
showKeyForm(keyField.value !== "");
showKeyState();
keyField.addEventListener("input", () => {
  apiKey.store(keyField.value.trim());
  showError("key", null);
  showKeyState();
  showSnippet();
});
byId("key-toggle").addEventListener("click", () => {
  showKeyForm(byId("key-form").hidden);
  if (!byId("key-form").hidden) keyField.focus();
});

const compare = startCompare(page);
const search = startSearch(page);
const views = { compare, search };

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  await showModels();
  void views[view].run();
});
byId("model").addEventListener("change", () => {
  const id = /** @type {HTMLSelectElement} */ (byId("model")).value;
  useModel(models.find((model) => model.id === id) ?? models[0]);
  page.edited();
  void views[view].run();
});

const tabs = selectTab("tab-", ["compare", "search"], (name) => {
  const isOther = view !== name;
  view = /** @type {View} */ (name);
  byId("panel-compare").hidden = name !== "compare";
  byId("panel-search").hidden = name !== "search";
  history.replaceState(null, "", name === "search" ? "#search" : location.pathname);
  if (isOther) page.edited();
  if (name === "search" || refused.has("compare") || !compare.isCurrent()) void views[view].run();
  showSnippet();
});
selectTab("tab-", ["curl", "python", "typescript"], (name) => {
  language = /** @type {keyof typeof snippets} */ (name);
  byId("snippet").setAttribute("aria-labelledby", `tab-${name}`);
  showSnippet();
});
for (const name of /** @type {View[]} */ (["compare", "search"])) {
  copyButton(buttonOf(`${name}-link`), async () => {
    const fragment = await toFragment({ ...stateNow(), view: name });
    if (fragment !== null) return location.origin + location.pathname + fragment;
    return { failure: TOO_LONG };
  });
}
byId("forget").addEventListener("click", async () => {
  clearTimeout(saving);
  isForgotten = true;
  await forget();
  compare.restore(undefined);
  search.restore(undefined);
  announce("Forgotten");
  void showLinks();
  void views[view].run();
});
addEventListener("pagehide", () => {
  if (saving !== undefined) save();
});
addEventListener("hashchange", () => void openLink());
byId("to-code").addEventListener("click", (event) => {
  event.preventDefault(); // the address stays that of the view
  byId("request").scrollIntoView();
  byId("snippet").focus({ preventScroll: true });
});
onThemeChange(() => {
  for (const strip of document.querySelectorAll(".strip")) strip.dispatchEvent(new Event("redraw"));
});

const linked = await fromFragment(location.hash);
const state = linked ?? (await recall());
restore(state);
void showLinks();
await showModels(state?.model ?? null);
start(
  linked?.view ??
    (location.hash === "#search" ? "search" : null) ??
    (location.hash ? null : state?.view) ??
    "compare",
);

/** A link that is opened while the page is. */
async function openLink() {
  const carried = await fromFragment(location.hash);
  if (!carried) return;
  restore(carried);
  void showLinks();
  await showModels(carried.model ?? null);
  start(carried.view ?? "compare");
}

/** @param {Partial<State> | null} carried */
function restore(carried) {
  compare.restore(carried?.compare);
  search.restore(carried?.search);
}

/** @param {View} first */
function start(first) {
  tabs.select(first);
}

/** @returns {State} */
function stateNow() {
  return { view, model: page.model?.id ?? null, compare: compare.state(), search: search.state() };
}

function save() {
  saving = undefined;
  if (isForgotten) return;
  void remember(stateNow());
  void showLinks();
}

/** A link that would be too long is not offered. */
async function showLinks() {
  const isTooLong = (await toFragment(stateNow())) === null;
  for (const name of ["compare", "search"]) {
    const button = buttonOf(`${name}-link`);
    if (button.disabled === isTooLong) continue;
    button.disabled = isTooLong;
    button.textContent = isTooLong ? TOO_LONG : LINK_LABEL;
  }
}

/** @param {string | null} wanted */
async function showModels(wanted = page.model?.id ?? null) {
  const place = byId("model-facts");
  try {
    models = await listModels();
    const select = /** @type {HTMLSelectElement} */ (byId("model"));
    select.replaceChildren(...models.map(({ id }) => element("option", { value: id }, id)));
    select.hidden = byId("model-label").hidden = models.length < 2;
    useModel(models.find(({ id }) => id === wanted) ?? models[0]);
    select.value = page.model?.id ?? "";
  } catch (error) {
    place.className = "model error";
    place.textContent = error instanceof RequestError ? error.sentence() : String(error);
  }
}

/** @param {import("./api.js").Model} model */
function useModel(model) {
  page.model = model;
  showFacts();
  compare.modelKnown();
  search.modelKnown();
}

function showFacts() {
  if (!page.model) return;
  const { id, maxDimensions, semanticDimensions, architecture, maxInputTokens, version } = page.model;
  const isStatic = architecture === null || architecture === "static";
  const words = maxDimensions - semanticDimensions;
  const facts = [
    ...(models.length < 2 ? [id] : []),
    ...(architecture ? [isStatic ? "static model" : "transformer"] : []),
    `${maxDimensions.toLocaleString("en")} dimensions` +
      (words > 0 ? `: ${semanticDimensions} for meaning + ${words} for words` : ""),
    ...(maxInputTokens ? [`reads ${maxInputTokens.toLocaleString("en")} tokens of a text`] : []),
  ];
  const figures = quality(id, version);
  byId("model-quality").hidden = figures === null;
  byId("model-quality").replaceChildren(
    ...(figures
      ? [
          `Finding answers ${figures.questions} (nDCG@10 × 100); `,
          element("span", { class: "roomy" }, "sentence similarity "),
          `STS ${figures.pairs}`,
        ]
      : []),
  );
  byId("weights").textContent = version ? `Weights ${version}` : "";
  byId("model-facts").className = "model";
  byId("model-facts").replaceChildren(...facts.map((fact) => element("span", {}, fact)));
}

/** @param {boolean} isShown */
function showKeyForm(isShown) {
  byId("key-form").hidden = !isShown;
  byId("key-toggle").setAttribute("aria-expanded", String(isShown));
}

function showKeyState() {
  byId("key-toggle").textContent = apiKey.value ? "API key: set" : "API key…";
}

function showSnippet() {
  const sent = lastSent[view];
  byId("request").hidden = byId("to-code").hidden = !sent || !page.model;
  if (!sent || !page.model) return;
  const { id, dimensions, architecture } = page.model;
  byId("snippet-code").textContent = snippets[language]({
    baseUrl,
    model: id,
    hasKey: apiKey.value !== "",
    typed: architecture !== null && architecture !== "static",
    ...sent,
    dimensions: sent.dimensions === dimensions ? undefined : sent.dimensions,
  });
}
