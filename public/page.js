// @ts-check
// The page's frame: the model's facts, the key, the tabs, the last request as code. The two views are modules.
import { apiKey, describeModel, RequestError } from "./api.js";
import { startCompare } from "./compare.js";
import { byId, copyButton, selectTab, showError } from "./dom.js";
import { onThemeChange } from "./draw.js";
import { startSearch } from "./search.js";
import { snippets } from "./snippets.js";

const baseUrl = `${location.origin}/v1`;

/**
 * @typedef {{ input: string | string[], dimensions?: number | undefined }} SentRequest
 * @typedef {object} Page what the views share
 * @property {{ name: string, dimensions: number, maxTokens: number | null, version: string } | null} model
 * @property {string} modelName what `model` is sent as; the endpoint takes any name
 * @property {(fromView: "compare" | "search", request: SentRequest) => void} sent
 * @property {(error: unknown) => boolean} keyRefused shows a 401 at the key field; false for any other error
 */

/** @type {Record<string, SentRequest>} the last request of each view */
const lastRequests = {};
let view = "compare";
let language = /** @type {keyof typeof snippets} */ ("curl");

/** @type {Page} */
const page = {
  model: null,
  get modelName() {
    return this.model?.name ?? "embeddings-worker";
  },
  sent(fromView, request) {
    lastRequests[fromView] = request;
    showError("key", null);
    showSnippet();
  },
  keyRefused(error) {
    if (!(error instanceof RequestError) || error.place !== "key") return false;
    showError(
      "key",
      apiKey.value ? error.sentence : "This endpoint asks for an API key. Type it above, then press Enter.",
    );
    return true;
  },
};

byId("base-url").textContent = baseUrl;
byId("host").textContent = location.host;
copyButton(byId("copy-base-url"), () => baseUrl);
copyButton(byId("copy-snippet"), () => byId("snippet-code").textContent ?? "");

const keyField = /** @type {HTMLInputElement} */ (byId("api-key"));
keyField.value = apiKey.load();
keyField.addEventListener("input", () => {
  apiKey.store(keyField.value.trim());
  showError("key", null);
  showSnippet();
});

const compare = startCompare(page);
const search = startSearch(page);

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  void showModel();
  void (view === "compare" ? compare.run() : search.run());
});

selectTab("tab-", ["compare", "search"], (name) => {
  view = name;
  byId("panel-compare").hidden = name !== "compare";
  byId("panel-search").hidden = name !== "search";
  history.replaceState(null, "", name === "search" ? "#search" : location.pathname);
  if (name === "search") void search.run();
  showSnippet();
});
selectTab("tab-", ["curl", "python", "typescript"], (name) => {
  language = /** @type {keyof typeof snippets} */ (name);
  byId("snippet").setAttribute("aria-labelledby", `tab-${name}`);
  showSnippet();
});
onThemeChange(() => {
  for (const strip of document.querySelectorAll(".strip")) strip.dispatchEvent(new Event("redraw"));
});

await showModel();
if (location.hash === "#search") byId("tab-search").click();
else await compare.run();

async function showModel() {
  const place = byId("model");
  try {
    const { name, dimensions, maxTokens, version } = (page.model = await describeModel());
    const facts = [
      name,
      `${dimensions} dimensions`,
      ...(maxTokens ? [`reads ${maxTokens.toLocaleString("en")} words of a text`] : []),
      ...(version === "unknown" ? [] : [`weights ${version}`]),
    ];
    place.className = "model";
    place.replaceChildren(
      ...facts.map((fact) => Object.assign(document.createElement("span"), { textContent: fact })),
    );
    compare.modelKnown();
  } catch (error) {
    place.className = "model error";
    place.textContent = error instanceof RequestError ? error.sentence : String(error);
  }
}

function showSnippet() {
  const request = lastRequests[view];
  byId("request").hidden = !request;
  if (!request) return;
  byId("snippet-code").textContent = snippets[language]({
    baseUrl,
    model: page.modelName,
    hasKey: apiKey.value !== "",
    ...request,
  });
}
