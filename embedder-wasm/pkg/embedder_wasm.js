/* @ts-self-types="./embedder_wasm.d.ts" */

function __wbg_reset_state () {
    __wbg_instance_id++;
    cachedUint8ArrayMemory0 = null;
    if (typeof numBytesDecoded !== 'undefined') numBytesDecoded = 0;
    __wbg_reinit_scheduled = false;
    wasmInstance = new WebAssembly.Instance(wasmModule, __wbg_get_imports());
    wasm = wasmInstance.exports;
    wasm.__wbindgen_start();
}

/**
 * Begins a request of `count` texts: makes room for their vectors, and forgets those of the one before.
 * With a format, base64 or float, the vectors are written as they are made, and `writeEmbeddings` need
 * only be asked for all of them at once; without, they are kept.
 * @param {number} count
 * @param {number} dimensions
 * @param {boolean | null} [base64]
 */
export function begin(count, dimensions, base64) {
    __wbg_call_guard();
    wasm.begin(count, dimensions, isLikeNone(base64) ? 0xFFFFFF : base64 ? 1 : 0);
}

/**
 * Embeds texts and returns how many words they have together; the model reads the first
 * `maxInputTokens` of each. The texts are in the first `byte_length` bytes of the input buffer, one
 * byte between two of them, and their lengths, as JavaScript counts, where `textLengthsAddress` says.
 * With `only_count` no word is read.
 * @param {number} byte_length
 * @param {boolean} only_count
 * @returns {number}
 */
export function embedTexts(byte_length, only_count) {
    let ret;
    __wbg_call_guard();
    ret = wasm.embedTexts(byte_length, only_count);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0] >>> 0;
}

/**
 * How many embeddings of this size fit in one chunk of an answer.
 * @param {number} dimensions
 * @param {boolean} base64
 * @returns {number}
 */
export function embeddingsPerChunk(dimensions, base64) {
    let ret;
    __wbg_call_guard();
    ret = wasm.embeddingsPerChunk(dimensions, base64);
    return ret >>> 0;
}

/**
 * Makes room for `byte_length` bytes of input and returns its address.
 * @param {number} byte_length
 * @returns {number}
 */
export function inputAddress(byte_length) {
    let ret;
    __wbg_call_guard();
    ret = wasm.inputAddress(byte_length);
    return ret >>> 0;
}

/**
 * Checks the weights that were written and makes them the model.
 */
export function loadModel() {
    let ret;
    __wbg_call_guard();
    ret = wasm.loadModel();
    if (ret[1]) {
        throw takeFromExternrefTable0(ret[0]);
    }
}

/**
 * The loaded model's header, as JSON; an empty string when none is loaded.
 * @returns {string}
 */
export function modelHeader() {
    let deferred1_0;
    let deferred1_1;
    try {
        let ret;
        __wbg_call_guard();
        ret = wasm.modelHeader();
        deferred1_0 = ret[0];
        deferred1_1 = ret[1];
        return getStringFromWasm0(ret[0], ret[1]);
    } finally {
        __wbg_call_guard();
        wasm.__wbindgen_free(deferred1_0, deferred1_1, 1);
    }
}

/**
 * @returns {number}
 */
export function outputAddress() {
    let ret;
    __wbg_call_guard();
    ret = wasm.outputAddress();
    return ret >>> 0;
}

/**
 * After a trap: the next call from JavaScript finds a new instance, with nothing loaded.
 */
export function replaceInstance() {
    __wbg_call_guard();
    wasm.replaceInstance();
}

/**
 * Makes room for the lengths of `count` texts and returns its address.
 * @param {number} count
 * @returns {number}
 */
export function textLengthsAddress(count) {
    let ret;
    __wbg_call_guard();
    ret = wasm.textLengthsAddress(count);
    return ret >>> 0;
}

/**
 * How many words the model read of the texts since `begin`.
 * @returns {number}
 */
export function tokensRead() {
    let ret;
    __wbg_call_guard();
    ret = wasm.tokensRead();
    return ret >>> 0;
}

/**
 * Makes room for `count` vectors in place of those of the request before, and returns its address:
 * where JavaScript finds the vectors that it keeps while a large answer is sent, and puts them back.
 * @param {number} count
 * @param {number} dimensions
 * @returns {number}
 */
export function vectorsAddress(count, dimensions) {
    let ret;
    __wbg_call_guard();
    ret = wasm.vectorsAddress(count, dimensions);
    return ret >>> 0;
}

/**
 * Makes room for a weights file of `byte_length` bytes and returns its address.
 * @param {number} byte_length
 * @returns {number}
 */
export function weightsAddress(byte_length) {
    let ret;
    __wbg_call_guard();
    ret = wasm.weightsAddress(byte_length);
    return ret >>> 0;
}

/**
 * The length in bytes that the weights file must have, read from its first `byte_length` bytes,
 * which are in the input buffer; 0 when these do not hold the whole header yet.
 * @param {number} byte_length
 * @returns {number}
 */
export function weightsLength(byte_length) {
    let ret;
    __wbg_call_guard();
    ret = wasm.weightsLength(byte_length);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0] >>> 0;
}

/**
 * The address of the numbers of words, u32, of the texts since `begin`.
 * @returns {number}
 */
export function wordCountsAddress() {
    let ret;
    __wbg_call_guard();
    ret = wasm.wordCountsAddress();
    return ret >>> 0;
}

/**
 * Writes a piece of the answer into the output buffer and returns its length in bytes: the elements of
 * `data` for the vectors at hand, numbered from `first_index`, with what comes before the first of
 * all. After the piece the buffer has `tail_room` bytes more. Where the vectors were written as they were
 * made, that is the piece, and only the room is made.
 * @param {number} first_index
 * @param {boolean} base64
 * @param {number} tail_room
 * @returns {number}
 */
export function writeEmbeddings(first_index, base64, tail_room) {
    let ret;
    __wbg_call_guard();
    ret = wasm.writeEmbeddings(first_index, base64, tail_room);
    return ret >>> 0;
}
function __wbg_get_imports() {
    const import0 = {
        __proto__: null,
        __wbg_Error_208446807d0d1e30: function(arg0, arg1) {
            const ret = Error(getStringFromWasm0(arg0, arg1));
            return ret;
        },
        __wbg___wbindgen_reinit_2fe0d0b9c1cc3c21: function() {
            __wbg_reinit_scheduled = true;
        },
        __wbindgen_init_externref_table: function() {
            const table = wasm.__wbindgen_externrefs;
            table.set(0, undefined);
            table.set(1024, undefined);
            table.set(1025, null);
            table.set(1026, true);
            table.set(1027, false);
        },
    };
    return {
        __proto__: null,
        "./embedder_wasm_bg.js": import0,
    };
}

function __wbg_call_guard() {
    if (__wbg_reinit_scheduled) {
        __wbg_reset_state();
        return;
    }
}


let __wbg_instance_id = 0;

function getStringFromWasm0(ptr, len) {
    ptr = ptr >>> 0;
    return decodeText(getUint8ArrayMemory0().subarray(ptr, ptr + len));
}

let cachedUint8ArrayMemory0 = null;
function getUint8ArrayMemory0() {
    if (cachedUint8ArrayMemory0 === null || cachedUint8ArrayMemory0.byteLength === 0) {
        cachedUint8ArrayMemory0 = new Uint8Array(wasm.memory.buffer);
    }
    return cachedUint8ArrayMemory0;
}

function isLikeNone(x) {
    return x === undefined || x === null;
}

let __wbg_reinit_scheduled = false;

function takeFromExternrefTable0(idx) {
    const value = wasm.__wbindgen_externrefs.get(idx);
    wasm.__externref_table_dealloc(idx);
    return value;
}

let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
cachedTextDecoder.decode();
const MAX_SAFARI_DECODE_BYTES = 2146435072;
let numBytesDecoded = 0;
function decodeText(bytes) {
    numBytesDecoded += bytes.length;
    if (numBytesDecoded >= MAX_SAFARI_DECODE_BYTES) {
        cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
        cachedTextDecoder.decode();
        numBytesDecoded = bytes.length;
    }
    return cachedTextDecoder.decode(bytes);
}

let wasmModule, wasmInstance, wasm;
function __wbg_finalize_init(instance, module) {
    wasmInstance = instance;
    wasm = instance.exports;
    wasmModule = module;
    cachedUint8ArrayMemory0 = null;
    wasm.__wbindgen_start();
    return wasm;
}

async function __wbg_load(module, imports) {
    if (typeof Response === 'function' && module instanceof Response) {
        if (!module.ok) {
            throw new Error(`failed to fetch Wasm: ${module.status} ${module.statusText} fetching '${module.url}'`);
        }

        if (typeof WebAssembly.instantiateStreaming === 'function') {
            try {
                return await WebAssembly.instantiateStreaming(module, imports);
            } catch (e) {
                const validResponse = expectedResponseType(module.type);

                if (validResponse && module.headers.get('Content-Type') !== 'application/wasm') {
                    console.warn("`WebAssembly.instantiateStreaming` failed because your server does not serve Wasm with `application/wasm` MIME type. Falling back to `WebAssembly.instantiate` which is slower. Original error:\n", e);

                } else { throw e; }
            }
        }

        const bytes = await module.arrayBuffer();
        return await WebAssembly.instantiate(bytes, imports);
    } else {
        const instance = await WebAssembly.instantiate(module, imports);

        if (instance instanceof WebAssembly.Instance) {
            return { instance, module };
        } else {
            return instance;
        }
    }

    function expectedResponseType(type) {
        switch (type) {
            case 'basic': case 'cors': case 'default': return true;
        }
        return false;
    }
}

function initSync(module) {
    if (wasm !== undefined) return wasm;


    if (module !== undefined) {
        if (Object.getPrototypeOf(module) === Object.prototype) {
            ({module} = module)
        } else {
            console.warn('using deprecated parameters for `initSync()`; pass a single object instead')
        }
    }

    const imports = __wbg_get_imports();
    if (!(module instanceof WebAssembly.Module)) {
        module = new WebAssembly.Module(module);
    }
    const instance = new WebAssembly.Instance(module, imports);
    return __wbg_finalize_init(instance, module);
}

let __wbg_init_promise;
async function __wbg_init(module_or_path) {
    if (wasm !== undefined) return wasm;
    if (__wbg_init_promise === undefined) {
        __wbg_init_promise = __wbg_init_once(module_or_path);
        __wbg_init_promise.catch(() => { __wbg_init_promise = undefined; });
    }
    return __wbg_init_promise;
}

async function __wbg_init_once(module_or_path) {

    if (module_or_path !== undefined) {
        if (Object.getPrototypeOf(module_or_path) === Object.prototype) {
            ({module_or_path} = module_or_path)
        } else {
            console.warn('using deprecated parameters for the initialization function; pass a single object instead')
        }
    }

    if (module_or_path === undefined) {
        module_or_path = new URL('embedder_wasm_bg.wasm', import.meta.url);
    }
    const imports = __wbg_get_imports();

    if (typeof module_or_path === 'string' || (typeof Request === 'function' && module_or_path instanceof Request) || (typeof URL === 'function' && module_or_path instanceof URL)) {
        module_or_path = fetch(module_or_path);
    }

    const { instance, module } = await __wbg_load(await module_or_path, imports);

    return __wbg_finalize_init(instance, module);
}

export { initSync, __wbg_init as default };
