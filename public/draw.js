// @ts-check
// Pictures of numbers: heat colours, the matrix, the scatter plot, the cost curve, the vector strip.

const SVG = "http://www.w3.org/2000/svg";
const DARK = matchMedia("(prefers-color-scheme: dark)");
const MINUS = "\u2212";
const CAPTIONED_POINTS = 16;
/** More texts than this make a matrix of plain squares: their numbers would be too small to be read. */
export const NUMBERED_TEXTS = 12;
const NUMBERED_POINTS = 60; // more are dots on a canvas: so many elements would take their time
const HEAT_STEPS = 255; // colours from -1 to 0, and from 0 to 1

/** @param {() => void} redraw */
export function onThemeChange(redraw) {
  DARK.addEventListener("change", redraw);
}

/** @param {number} value @param {number} digits */
export function format(value, digits) {
  if (Number.isNaN(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/**
 * A number as the sum of two parts that add up as they are printed: the second is what the rounded others leave.
 * @param {number} whole @param {number} first @param {number} digits
 * @returns {string} " = 0.317 meaning + 0.009 words"
 */
export function sumInWords(whole, first, digits) {
  const second = Number(whole.toFixed(digits)) - Number(first.toFixed(digits));
  const sign = Number(second.toFixed(digits)) < 0 ? MINUS : "+";
  return ` = ${format(first, digits)} meaning ${sign} ${format(Math.abs(second), digits)} words`;
}

/** @param {string} text @param {number} length */
export function shorten(text, length) {
  const characters = Array.from(text);
  return characters.length <= length
    ? text
    : characters
        .slice(0, length - 1)
        .join("")
        .trimEnd() + "…";
}

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name @param {Record<string, string>} attributes @param {(Node | string)[]} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** @param {string} name @param {Record<string, string | number>} attributes @param {(Node | string)[]} children */
function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

// ---- heat colours: from a neutral at 0 to one hue at 1 and another at -1

/** @typedef {[number, number, number]} Colour linear light, 0..1 */

/** @returns {{ high: Colour[], low: Colour[] }} the colours at 0, 0.5 and 1 */
function heatColours() {
  const style = getComputedStyle(document.documentElement);
  /** @param {string} name @returns {Colour} */
  const read = (name) => {
    const hex = style.getPropertyValue(name).trim();
    return /** @type {Colour} */ (
      [1, 3, 5].map((at) => {
        const value = parseInt(hex.slice(at, at + 2), 16) / 255;
        return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      })
    );
  };
  const zero = read("--heat-zero");
  return {
    high: [zero, read("--heat-high-half"), read("--heat-high")],
    low: [zero, read("--heat-low-half"), read("--heat-low")],
  };
}

/** @type {{ isDark: boolean, colours: ReturnType<typeof heat>[] } | null} */
let heatTable = null;

/** The colours from -1 to 1 in equal steps. */
function heatSteps() {
  if (heatTable?.isDark !== DARK.matches) {
    const colours = heatColours();
    const steps = Array.from({ length: 2 * HEAT_STEPS + 1 }, (_, i) => heat(colours, i / HEAT_STEPS - 1));
    heatTable = { isDark: DARK.matches, colours: steps };
  }
  return heatTable.colours;
}

/** @param {number} value from -1 to 1 */
function heatStep(value) {
  return HEAT_STEPS + Math.round(HEAT_STEPS * Math.max(-1, Math.min(1, value || 0)));
}

/**
 * A colour for a value from -1 to 1, and black or white for a number on it: whichever stands out more, which is
 * never below 4.5 to 1.
 * @param {ReturnType<typeof heatColours>} colours @param {number} value
 */
function heat(colours, value) {
  const size = Math.min(1, Math.abs(value) || 0);
  const [zero, half, full] = value < 0 ? colours.low : colours.high;
  const [from, to, share] = size < 0.5 ? [zero, half, 2 * size] : [half, full, 2 * size - 1];
  // The cube root is how lightness is seen: equal steps of the value then look equal.
  const mixed = from.map((light, i) => (Math.cbrt(light) * (1 - share) + Math.cbrt(to[i]) * share) ** 3);
  const channels = mixed.map((light) =>
    Math.round(255 * (light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055)),
  );
  const luminance = 0.2126 * mixed[0] + 0.7152 * mixed[1] + 0.0722 * mixed[2];
  return { background: `rgb(${channels.join(" ")})`, ink: luminance > 0.179 ? "#000" : "#fff", channels };
}

// ---- the matrix

/**
 * Up to NUMBERED_TEXTS texts have their numbers in the cells; more are squares, whose numbers are told to `onPair` alone.
 * @param {HTMLElement} place
 * @param {{ texts: string[], rows: Float64Array[], heatOf: (value: number) => number, digits: number, caption: string,
 *   onPair: (pair: [number, number] | null) => void }} content
 */
export function drawMatrix(place, { texts, rows, heatOf, digits, caption, onPair }) {
  const colours = heatSteps();
  const isDense = texts.length > NUMBERED_TEXTS;
  const head = element("tr", {}, element("td", { class: "corner" }));
  for (const i of texts.keys()) {
    head.append(element("th", { scope: "col" }, element("abbr", { title: texts[i] }, String(i + 1))));
  }
  const body = element("tbody");
  for (const i of texts.keys()) {
    const row = element(
      "tr",
      {},
      element(
        "th",
        { scope: "row", title: texts[i] },
        element("span", { class: "number" }, String(i + 1)),
        element("span", { class: "text" }, texts[i]),
      ),
    );
    for (const j of texts.keys()) {
      const cell = element(
        "td",
        { "data-row": String(i), "data-column": String(j) },
        format(rows[i][j], digits),
      );
      if (i === j) {
        cell.className = "self";
      } else {
        const { background, ink } = colours[heatStep(heatOf(rows[i][j]))];
        cell.style.background = background;
        cell.style.color = ink;
      }
      row.append(cell);
    }
    body.append(row);
  }
  const table = element(
    "table",
    { class: isDense ? "matrix dense" : "matrix" },
    element("caption", { class: "unseen" }, caption),
    element("thead", {}, head),
    body,
  );
  table.style.setProperty("--columns", String(texts.length));
  table.addEventListener("pointerover", (event) => {
    const cell = event.target instanceof Element ? event.target.closest("td[data-row]") : null;
    if (!(cell instanceof HTMLElement)) return onPair(null);
    onPair([Number(cell.dataset.row), Number(cell.dataset.column)]);
  });
  table.addEventListener("pointerleave", () => onPair(null));
  const legend = isDense
    ? []
    : [
        element(
          "ol",
          { class: "matrix-legend" },
          ...texts.map((text, i) =>
            element("li", {}, element("span", { class: "number" }, String(i + 1)), shorten(text, 60)),
          ),
        ),
      ];
  place.replaceChildren(...legend, table);
}

/** Shows which cell is spoken of, and gives it back. @param {HTMLElement} place @param {[number, number] | null} pair */
export function markCell(place, pair) {
  place.querySelector(".at")?.classList.remove("at");
  if (!pair) return null;
  const cell = place.querySelector(`td[data-row="${pair[0]}"][data-column="${pair[1]}"]`);
  cell?.classList.add("at");
  return cell;
}

/** @param {HTMLElement} place @param {{ from: number, to: number, heatOf: (value: number) => number, ticks: number[], words: [string, string] }} content */
export function drawScale(place, { from, to, heatOf, ticks, words }) {
  const colours = heatSteps();
  const stops = Array.from(
    { length: 17 },
    (_, i) => colours[heatStep(heatOf(from + ((to - from) * i) / 16))].background,
  );
  const bar = element("span", { class: "bar" });
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  const labels = element("span", { class: "ticks" });
  for (const tick of ticks) {
    const label = element("span", {}, format(tick, tick % 1 ? (ticks.length > 2 ? 1 : 2) : 0));
    label.style.left = `${(100 * (tick - from)) / (to - from)}%`;
    labels.append(label);
  }
  place.replaceChildren(
    element("span", { class: "words" }, words[0]),
    element("span", { class: "gauge" }, bar, labels),
    element("span", { class: "words" }, words[1]),
  );
}

/** As wide as it will be shown, so that its text has the size that it says. @param {HTMLElement} place */
function drawingWidth(place) {
  return Math.max(280, Math.min(640, place.clientWidth || 440));
}

// ---- the map of the texts

/** @typedef {{ points: [number, number][], texts: string[], indices: number[], label: string, onPoint: (index: number) => void }} ScatterContent texts: all; indices: those of the points */

/**
 * Both axes have one scale, so that distances in the picture can be compared.
 * @param {HTMLElement} place @param {ScatterContent} content
 */
export function drawScatter(place, content) {
  const { points } = content;
  const width = drawingWidth(place);
  const height = Math.round(width * 0.72);
  const radius = points.length <= NUMBERED_POINTS ? 11 : 3;
  const margin = radius + 0.1 * height;
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min(
    (width - 2 * margin) / (right - left || 1),
    (height - 2 * margin) / (top - bottom || 1),
  );
  const spots = points.map(([x, y]) => ({
    x: width / 2 + (x - (left + right) / 2) * scale,
    y: height / 2 - (y - (top + bottom) / 2) * scale,
  }));
  const origin = {
    x: width / 2 - ((left + right) / 2) * scale,
    y: height / 2 + ((top + bottom) / 2) * scale,
  };
  if (points.length <= NUMBERED_POINTS) drawNumbers(place, content, { width, height, radius, spots, origin });
  else drawDots(place, content, { width, height, radius, spots, origin });
}

/** @typedef {{ x: number, y: number }} Spot */
/** @typedef {{ width: number, height: number, radius: number, spots: Spot[], origin: Spot }} Frame */

/** @param {HTMLElement} place @param {ScatterContent} content @param {Frame} frame */
function drawNumbers(place, { texts, indices, label, onPoint }, { width, height, radius, spots, origin }) {
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": label,
    class: "scatter",
  });
  picture.append(
    svg("line", { class: "axis", x1: 0, x2: width, y1: origin.y, y2: origin.y }),
    svg("line", { class: "axis", y1: 0, y2: height, x1: origin.x, x2: origin.x }),
  );
  const marks = movedApart(spots, { width, height, radius });
  const captions =
    indices.length <= CAPTIONED_POINTS
      ? placeCaptions(
          marks,
          indices.map((index) => texts[index]),
          { width, height, radius },
        )
      : [];
  marks.forEach(({ x, y }, i) => {
    if (Math.hypot(x - spots[i].x, y - spots[i].y) > radius)
      picture.append(
        svg("line", { class: "leader", x1: spots[i].x, y1: spots[i].y, x2: x, y2: y }),
        svg("circle", { class: "spot", cx: spots[i].x, cy: spots[i].y, r: 2 }),
      );
  });
  for (const { x, y, anchor, text } of captions) {
    picture.append(
      svg("text", { class: "caption", x, y, "text-anchor": anchor, "dominant-baseline": "central" }, text),
    );
  }
  marks.forEach(({ x, y }, i) => {
    const index = indices[i];
    const mark = svg("g", { class: "mark", "data-index": index });
    mark.append(
      svg("title", {}, `${index + 1}. ${texts[index]}`),
      svg("circle", { cx: x, cy: y, r: radius }),
      svg("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central" }, String(index + 1)),
    );
    mark.addEventListener("click", () => onPoint(index));
    picture.append(mark);
  });
  place.replaceChildren(picture);
}

/**
 * Marks that would hide one another are moved apart, each to the nearest free place, rather above or below than beside:
 * there is room for captions.
 * @param {Spot[]} spots @param {{ width: number, height: number, radius: number }} frame @returns {Spot[]}
 */
function movedApart(spots, { width, height, radius }) {
  const step = radius / 2;
  const apart = 2 * radius + 1;
  const reach = Math.ceil(Math.max(width, height) / step);
  const moves = [];
  for (let dx = -reach; dx <= reach; dx++)
    for (let dy = -reach; dy <= reach; dy++)
      moves.push({ x: dx * step, y: dy * step, far: 40 * dx * dx + dy * dy });
  moves.sort((a, b) => a.far - b.far);
  /** @type {Spot[]} */
  const placed = [];
  for (const spot of spots) {
    const isFree = (/** @type {Spot} */ move) => {
      const [x, y] = [spot.x + move.x, spot.y + move.y];
      const inside = x >= radius && y >= radius && x <= width - radius && y <= height - radius;
      return inside && placed.every((other) => Math.hypot(other.x - x, other.y - y) >= apart);
    };
    const move = moves.find(isFree) ?? moves[0];
    placed.push({ x: spot.x + move.x, y: spot.y + move.y });
  }
  // Those of one spot stand in their order, from above.
  /** @type {Map<string, number[]>} */
  const ofSpot = new Map();
  spots.forEach(({ x, y }, i) => {
    const key = `${Math.round(x)} ${Math.round(y)}`;
    ofSpot.set(key, [...(ofSpot.get(key) ?? []), i]);
  });
  for (const indices of ofSpot.values()) {
    const inOrder = indices.map((i) => placed[i]).sort((a, b) => a.y - b.y || a.x - b.x);
    indices.forEach((i, at) => (placed[i] = inOrder[at]));
  }
  return placed;
}

/** @param {HTMLElement} place @param {ScatterContent} content @param {Frame} frame */
function drawDots(place, { texts, indices, label, onPoint }, { width, height, radius, spots, origin }) {
  const canvas = element("canvas", { class: "scatter", role: "img", "aria-label": label });
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.aspectRatio = `${width} / ${height}`;
  const style = getComputedStyle(document.documentElement);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  context.strokeStyle = style.getPropertyValue("--line");
  context.beginPath();
  context.moveTo(0, origin.y);
  context.lineTo(width, origin.y);
  context.moveTo(origin.x, 0);
  context.lineTo(origin.x, height);
  context.stroke();
  context.fillStyle = style.getPropertyValue("--accent");
  context.globalAlpha = 0.5;
  for (const { x, y } of spots) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }
  const invitation = "Tap or point at a dot to see its text.";
  const said = element("p", { class: "under-pointer", "aria-hidden": "true" }, invitation);
  /** @param {PointerEvent | MouseEvent} event */
  const nearest = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    const y = ((event.clientY - box.top) / box.height) * height;
    const distances = spots.map((spot) => Math.hypot(spot.x - x, spot.y - y));
    const least = distances.reduce((best, distance, i) => (distance < distances[best] ? i : best), 0);
    return distances[least] <= 4 * radius ? indices[least] : -1;
  };
  canvas.addEventListener("pointermove", (event) => {
    const index = nearest(event);
    canvas.classList.toggle("on-dot", index >= 0);
    said.textContent = index < 0 ? invitation : `${index + 1}. ${shorten(texts[index], 90)}`;
  });
  canvas.addEventListener("click", (event) => {
    const index = nearest(event);
    if (index >= 0) onPoint(index);
  });
  place.replaceChildren(canvas, said);
}

const CAPTION_LENGTHS = [Infinity, 60, 48, 36, 24, 14]; // characters

/** @typedef {{ x: number, y: number, anchor: string, from: number, to: number, text: string }} Caption */

/**
 * First each mark gets a short caption, where there is room for one; then each as long a one as the rest leaves room for.
 * Where all sides are taken the number has to do.
 * @param {Spot[]} marks @param {string[]} texts @param {{ width: number, height: number, radius: number }} frame
 */
function placeCaptions(marks, texts, frame) {
  /** @type {(Caption | undefined)[]} */
  const captions = marks.map(() => undefined);
  for (const lengths of [CAPTION_LENGTHS.slice(-1), CAPTION_LENGTHS]) {
    for (const own of marks.keys()) {
      for (const length of lengths) {
        const longer = captionAt(own, shorten(texts[own], length), marks, captions, frame);
        if (!longer) continue;
        captions[own] = longer;
        break;
      }
    }
  }
  return captions.filter((caption) => caption !== undefined);
}

/**
 * A caption goes right of its mark, left, above or below, where neither another mark nor another caption is in the way.
 * Room is left around, so that a caption never seems to belong to the mark at its other end.
 * @param {number} own @param {string} text @param {Spot[]} marks @param {(Caption | undefined)[]} captions
 * @param {{ width: number, height: number, radius: number }} frame @returns {Caption | undefined}
 */
function captionAt(own, text, marks, captions, { width, height, radius }) {
  const [perCharacter, half] = [6.4, 8]; // of 12 px text, on the wide side
  const room = radius + 20;
  const taken = [
    ...marks.map(({ x, y }) => ({ from: x - room, to: x + room, y, half: radius })),
    ...captions.map((caption) => (caption ? { ...caption, half } : { from: 0, to: 0, y: 0, half: 0 })),
  ];
  const { x, y } = marks[own];
  const long = text.length * perCharacter;
  const gap = radius + 5;
  const beyond = radius + half + 2;
  return [
    { x: x + gap, y, anchor: "start", from: x + gap },
    { x: x - gap, y, anchor: "end", from: x - gap - long },
    ...[y - beyond, y + beyond].flatMap((beside) => [
      { x, y: beside, anchor: "middle", from: x - long / 2 },
      { x: x - radius, y: beside, anchor: "start", from: x - radius },
      { x: x + radius, y: beside, anchor: "end", from: x + radius - long },
    ]),
  ]
    .map((one) => ({ ...one, to: one.from + long, text }))
    .find((one) => {
      const inside = one.from >= 2 && one.to <= width - 2 && one.y >= half && one.y <= height - half;
      const clear = !taken.some(
        (box, i) =>
          i % marks.length !== own &&
          Math.abs(box.y - one.y) < box.half + half &&
          box.from < one.to &&
          box.to > one.from,
      );
      return inside && clear;
    });
}

// ---- the cost curve

/**
 * Mean and largest change of the similarities against the number of dimensions, which runs in doublings.
 * @param {HTMLElement} place @param {{ costs: import("./vectors.js").DimensionCost[], chosen: import("./vectors.js").DimensionCost, label: string }} content
 */
export function drawCosts(place, { costs, chosen, label }) {
  const width = drawingWidth(place);
  const [height, left, bottom, top] = [Math.round(width * 0.58), 44, 52, 30];
  const first = Math.log2(costs[0].dimensions);
  const last = Math.log2(costs[costs.length - 1].dimensions);
  const largest = Math.max(...costs.map((cost) => cost.max), 0.05);
  const step = [0.02, 0.05, 0.1, 0.2, 0.5, 1].find((candidate) => largest / candidate <= 5) ?? 1;
  const ceiling = Math.ceil(largest / step) * step;
  /** @param {number} dimensions */
  const x = (dimensions) =>
    left + ((Math.max(first, Math.log2(dimensions)) - first) / (last - first || 1)) * (width - left - 22);
  /** @param {number} change */
  const y = (change) => height - bottom - (Math.min(change, ceiling) / ceiling) * (height - bottom - top);
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": label,
    class: "costs",
  });
  for (let tick = 0; tick <= ceiling + 1e-9; tick += step) {
    picture.append(
      svg("line", { class: "grid", x1: left, x2: width, y1: y(tick), y2: y(tick) }),
      svg(
        "text",
        { class: "tick", x: left - 8, y: y(tick), "text-anchor": "end", "dominant-baseline": "central" },
        tick.toFixed(2),
      ),
    );
  }
  for (const { dimensions } of costs) {
    picture.append(
      svg(
        "text",
        { class: "tick", x: x(dimensions), y: height - bottom + 18, "text-anchor": "middle" },
        String(dimensions),
      ),
    );
  }
  /** @param {"mean" | "max"} which */
  const path = (which) =>
    costs.map((cost, i) => `${i ? "L" : "M"}${x(cost.dimensions)} ${y(cost[which])}`).join("");
  picture.append(
    svg("text", { class: "tick", x: 0, y: 14 }, "change in similarity"),
    svg(
      "text",
      { class: "tick", x: (left + width - 22) / 2, y: height - 8, "text-anchor": "middle" },
      "dimensions kept",
    ),
    svg("path", { class: "line max", d: path("max") }),
    svg("path", { class: "line mean", d: path("mean") }),
    svg("line", {
      class: "chosen",
      x1: x(chosen.dimensions),
      x2: x(chosen.dimensions),
      y1: top - 4,
      y2: height - bottom,
    }),
    svg("circle", { class: "dot max", cx: x(chosen.dimensions), cy: y(chosen.max), r: 4 }),
    svg("circle", { class: "dot mean", cx: x(chosen.dimensions), cy: y(chosen.mean), r: 4 }),
  );
  const legend = element(
    "p",
    { class: "legend", "aria-hidden": "true" },
    element("span", { class: "mean" }, "mean change"),
    element("span", { class: "max" }, "largest change"),
  );
  place.replaceChildren(picture, legend);
}

// ---- the vector strip

const GAP = 3; // pixels between the two parts of a vector

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) target.dispatchEvent(new Event("redraw"));
});
/**
 * One stripe per value, coloured by sign and size, with a gap where the meaning part ends. `largest` is shared by the strips that are to be compared.
 * @param {() => Promise<Float32Array>} vectorOf
 * @param {{ largest: number, split: number, size: number, label: string }} about
 */
export function vectorStrip(vectorOf, { largest, split, size, label }) {
  const canvas = element("canvas", { class: "strip", role: "img", "aria-label": label, height: "1" }); // which CSS stretches
  /** @type {Float32Array | null} */
  let vector = null;
  const draw = () => {
    const { width } = canvas.getBoundingClientRect();
    if (!width || !vector) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    const context = canvas.getContext("2d");
    if (!context) return;
    const colours = heatSteps();
    const row = context.createImageData(canvas.width, 1);
    const gap = split < size ? Math.round(GAP * ratio) : 0;
    const firstWidth = Math.round(((canvas.width - gap) * split) / size);
    /** @param {Float32Array} values @param {number} from @param {number} to in pixels */
    const paint = (values, from, to) => {
      for (let column = from; column < to; column++) {
        const start = Math.floor(((column - from) / (to - from)) * values.length);
        const end = Math.max(start + 1, Math.floor(((column + 1 - from) / (to - from)) * values.length));
        // Where several values share a pixel the largest is shown, so that none of note disappears.
        let value = values[start];
        for (let k = start + 1; k < end; k++) if (Math.abs(values[k]) > Math.abs(value)) value = values[k];
        const step = heatStep(Math.sign(value) * Math.sqrt(Math.abs(value) / (largest || 1)));
        row.data.set([...colours[step].channels, 255], 4 * column);
      }
    };
    paint(vector.subarray(0, split), 0, firstWidth);
    if (split < size) paint(vector.subarray(split), firstWidth + gap, canvas.width);
    context.putImageData(row, 0, 0);
  };
  canvas.addEventListener("redraw", draw);
  void vectorOf().then((known) => {
    vector = known;
    sizes.observe(canvas); // which draws it, at the size that it has
  });
  return canvas;
}
