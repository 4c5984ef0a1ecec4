// @ts-check
// Small things that both views need from the document.

/** @param {string} id */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element with the id ${id}`);
  return found;
}

/** @param {string} id */
export function field(id) {
  return /** @type {HTMLInputElement | HTMLTextAreaElement} */ (byId(id));
}

/** Says a short thing to screen readers. @param {string} text */
export function announce(text) {
  byId("announcer").textContent = text;
}

const FIELDS = /** @type {Record<string, string>} */ ({ key: "api-key" });

/**
 * Shows or clears the message beside a field, and marks the field.
 * @param {string} name @param {string | null} message
 */
export function showError(name, message) {
  const place = byId(`${name}-error`);
  place.hidden = !message;
  place.textContent = message ?? "";
  const marked = document.getElementById(FIELDS[name] ?? name);
  if (message) marked?.setAttribute("aria-invalid", "true");
  else marked?.removeAttribute("aria-invalid");
}

/** @param {string} id */
export function buttonOf(id) {
  return /** @type {HTMLButtonElement} */ (byId(id));
}

/** Which radio button of a name is on. @param {string} name */
export function radioValue(name) {
  return /** @type {HTMLInputElement} */ (document.querySelector(`input[name="${name}"]:checked`)).value;
}

/** @param {string} name @param {string} value */
export function checkRadio(name, value) {
  const radio = document.querySelector(`input[name="${name}"][value="${CSS.escape(value)}"]`);
  if (radio instanceof HTMLInputElement) radio.checked = true;
}

/**
 * Writes on the switch between the parts of a vector how many dimensions each has.
 * @param {string} name of its radio buttons @param {import("./api.js").Model} model
 */
export function labelParts(name, { dimensions, semanticDimensions, maxDimensions }) {
  for (const [part, label, count] of /** @type {const} */ ([
    ["meaning", "Meaning", semanticDimensions],
    ["all", "Meaning + words", maxDimensions],
  ])) {
    const place = document.querySelector(`input[name="${name}"][value="${part}"] + span`);
    const text = `${label} · ${count.toLocaleString("en")}`.replaceAll(" ", "\u00a0"); // one line
    if (place) place.textContent = text + (count === dimensions ? " (API\u00a0default)" : "");
  }
}

/** @param {string} name @param {() => void} changed */
export function onRadio(name, changed) {
  for (const radio of document.querySelectorAll(`input[name="${name}"]`))
    radio.addEventListener("change", changed);
}

/** @param {string} id @param {number | null} done @param {number} of null hides it */
export function showProgress(id, done, of = 1) {
  const bar = /** @type {HTMLProgressElement} */ (byId(id));
  bar.hidden = done === null;
  bar.max = of;
  bar.value = done ?? 0;
}

/**
 * Tabs as the keyboard knows them: one stop, arrow keys between them.
 * @template {string} Name
 * @param {string} prefix of the tabs' ids @param {Name[]} names @param {(name: Name) => void} chosen
 */
export function selectTab(prefix, names, chosen) {
  const tabs = names.map((name) => byId(prefix + name));
  /** @param {number} at */
  const select = (at) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
    });
    chosen(names[at]);
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => select(i));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const at = (to + tabs.length) % tabs.length;
      tabs[at].focus();
      select(at);
    });
  });
  return { select: (/** @type {Name} */ name) => select(names.indexOf(name)) };
}

/** @param {HTMLButtonElement} button @param {() => string | Promise<string | { failure: string }>} text */
export function copyButton(button, text) {
  const label = button.textContent ?? "";
  let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
  button.addEventListener("click", async () => {
    const copied = await text();
    const said =
      typeof copied !== "string" ? copied.failure : (await copy(copied)) ? "Copied" : "Could not copy";
    button.textContent = said;
    announce(said);
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!button.disabled) button.textContent = label; // a disabled one says why it is
    }, 1600);
  });
}

/** The clipboard is there only over https and on localhost; elsewhere the older way. @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const focused = document.activeElement;
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return done;
  }
}

/** @param {number} milliseconds */
export function duration(milliseconds) {
  return milliseconds < 10
    ? `${milliseconds.toFixed(1)} ms`
    : `${Math.round(milliseconds).toLocaleString("en")} ms`;
}

/** @param {number} count @param {string} one */
export function countOf(count, one) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : `${one}s`}`;
}

const DOLLARS_PER_REQUEST = 0.3 / 1e6;
const DOLLARS_PER_CPU_MILLISECOND = 0.02 / 1e6;

/**
 * What a million such texts cost at most on Cloudflare's paid plan, beyond what it includes: the whole round trip is
 * counted as if it were CPU time. docs/benchmarks.md says where these prices stand and when they were read.
 * @param {{ texts: number, requests: number, milliseconds: number }} spent
 */
export function costOfAMillion({ texts, requests, milliseconds }) {
  const dollars = requests * DOLLARS_PER_REQUEST + milliseconds * DOLLARS_PER_CPU_MILLISECOND;
  const cents = Math.ceil((1e8 * dollars) / texts - 1e-9); // rounded up, or it would be no bound
  return `≤ $${(cents / 100).toFixed(2)}`;
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * A button for each example. What somebody typed is not lost when an example takes its place: Undo brings it back.
 * @template {{ name: string }} Example @template Kept
 * @param {string} id of the place @param {Example[]} examples
 * @param {{ load: (example: Example) => void, own: () => Kept | null, bringBack: (kept: Kept) => void }} acts
 *   own: what would be lost now; null where that is nothing
 */
export function exampleButtons(id, examples, { load, own, bringBack }) {
  const undo = document.createElement("button");
  undo.type = "button";
  undo.className = "link";
  undo.textContent = "Undo";
  undo.hidden = true;
  let kept = /** @type {Kept | null} */ (null);
  for (const example of examples) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "chip";
    button.textContent = example.name;
    button.addEventListener("click", () => {
      kept = own() ?? kept;
      undo.hidden = kept === null;
      load(example);
    });
    byId(id).append(button);
  }
  undo.addEventListener("click", () => {
    if (kept !== null) bringBack(kept);
    kept = null;
    undo.hidden = true;
  });
  byId(id).append(undo);
}
