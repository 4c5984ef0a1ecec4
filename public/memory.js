// @ts-check
// What has been typed survives a reload, in this browser alone; and it can be put into a link. IndexedDB, since
// localStorage takes 5 MB. Where storage is switched off, the page works without.

/** @typedef {import("./page.js").State} State */

const DATABASE = "embeddings-worker";
const STORE = "page";
const KEY = "texts";
const LONGEST_LINK = 32_000; // characters: some mail and chat programs break longer ones
const LONGEST_STATE = 4e6; // characters: so many texts are not even compressed
const LONGEST_PLAIN = 200; // below this, compressing makes the link longer

/** @returns {Promise<State | null>} */
export async function recall() {
  try {
    return (await inStore("readonly", (store) => store.get(KEY))) ?? null;
  } catch {
    return null;
  }
}

/** @param {State} state */
export async function remember(state) {
  try {
    await inStore("readwrite", (store) => store.put(state, KEY));
  } catch {}
}

export async function forget() {
  try {
    await inStore("readwrite", (store) => store.delete(KEY));
  } catch {}
}

/**
 * @template Value
 * @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<Value>} act @returns {Promise<Value>}
 */
function inStore(mode, act) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => {
        database.close();
        resolve(request.result);
      };
      transaction.onabort = transaction.onerror = () => {
        database.close();
        reject(transaction.error);
      };
    };
  });
}

/**
 * The part of a link behind #. It never reaches a server: browsers keep it to themselves.
 * @param {State} state @returns {Promise<string | null>} null where it would be longer than links may be
 */
export async function toFragment(state) {
  const text = JSON.stringify(state);
  if (text.length > LONGEST_STATE) return null;
  const plain = new TextEncoder().encode(text);
  if (plain.length < LONGEST_PLAIN) return `#texts=${toUrlBase64(plain)}`;
  const deflated = await through(plain, new CompressionStream("deflate-raw"));
  if (deflated.length > LONGEST_LINK) return null; // base64 makes it longer still
  const fragment = `#texts-deflated=${toUrlBase64(deflated)}`;
  return fragment.length > LONGEST_LINK ? null : fragment;
}

/** @param {string} fragment @returns {Promise<Partial<State> | null>} null for a fragment that carries no texts */
export async function fromFragment(fragment) {
  const [, deflated, base64] = /^#texts(-deflated)?=([\w-]+)$/.exec(fragment) ?? [];
  if (base64 === undefined) return null;
  try {
    const bytes = Uint8Array.from(atob(base64.replaceAll("-", "+").replaceAll("_", "/")), (one) =>
      one.charCodeAt(0),
    );
    const plain = deflated ? await through(bytes, new DecompressionStream("deflate-raw")) : bytes;
    const state = JSON.parse(new TextDecoder().decode(plain));
    return state && typeof state === "object" ? state : null;
  } catch {
    return null;
  }
}

/** @param {Uint8Array} bytes */
function toUrlBase64(bytes) {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** @param {Uint8Array} bytes @param {CompressionStream | DecompressionStream} stream */
async function through(bytes, stream) {
  const out = new Blob([/** @type {BlobPart} */ (bytes)]).stream().pipeThrough(stream);
  return new Uint8Array(await new Response(out).arrayBuffer());
}
