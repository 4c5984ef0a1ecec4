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
 * Begins to load a weights file; any number of loads may go on side by side.
 * @returns {number}
 */
export function beginLoad() {
    let ret;
    __wbg_call_guard();
    ret = wasm.beginLoad();
    return ret >>> 0;
}

/**
 * Counts the tokens of `count` texts, which are in the input area: their lengths in UTF-16 units, `[u32; count]`, and
 * then the texts in UTF-8, `byte_length` bytes with one byte between two of them. The output area has
 * then for each text two u32, its tokens and how many of them the model reads.
 * @param {number} model
 * @param {number} count
 * @param {number} byte_length
 */
export function countTokens(model, count, byte_length) {
    let ret;
    __wbg_call_guard();
    ret = wasm.countTokens(model, count, byte_length);
    if (ret[1]) {
        throw takeFromExternrefTable0(ret[0]);
    }
}

/**
 * Gives a load up, with its memory. A load that is gone already is no error.
 * @param {number} load
 */
export function dropLoad(load) {
    __wbg_call_guard();
    wasm.dropLoad(load);
}

/**
 * Gives a model's memory back. A model that is gone already is no error.
 * @param {number} model
 */
export function dropModel(model) {
    __wbg_call_guard();
    wasm.dropModel(model);
}

/**
 * Embeds texts, which are in the input area as `countTokens` has them, and returns how many were done: those that
 * the budget of multiply-adds allows. `format` is 0 for elements of `data` with numbers, 1 for such
 * with base64, 2 for little-endian f32. `first_index` is the place of the first text in its request. Behind the texts are
 * `begun_bytes` bytes, of the call before for the same request, which left the first text half-way. What
 * the output area has then, `batch::embed` says.
 * @param {number} model
 * @param {number} count
 * @param {number} byte_length
 * @param {number} dimensions
 * @param {number} format
 * @param {number} first_index
 * @param {number} work_budget
 * @param {number} begun_bytes
 * @returns {number}
 */
export function embed(model, count, byte_length, dimensions, format, first_index, work_budget, begun_bytes) {
    let ret;
    __wbg_call_guard();
    ret = wasm.embed(model, count, byte_length, dimensions, format, first_index, work_budget, begun_bytes);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0] >>> 0;
}

/**
 * How many embeddings of this size fit in one chunk, of 2 MiB, of an answer.
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
 * Writes `count` vectors, f32 in the input area, as elements of `data` into the output area and returns their length
 * in bytes. `format` is 0 or 1, as in `embed`.
 * @param {number} count
 * @param {number} dimensions
 * @param {number} format
 * @param {number} first_index
 * @returns {number}
 */
export function encode(count, dimensions, format, first_index) {
    let ret;
    __wbg_call_guard();
    ret = wasm.encode(count, dimensions, format, first_index);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0] >>> 0;
}

/**
 * Checks the weights that were written and makes a model of them. Throws the reason why they are refused; the load
 * is gone either way.
 * @param {number} load
 * @returns {number}
 */
export function finishLoad(load) {
    let ret;
    __wbg_call_guard();
    ret = wasm.finishLoad(load);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0] >>> 0;
}

/**
 * Makes room for so many bytes in the input area, keeps what is there, and returns the area's address.
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
 * What is to be known about a model, as JSON.
 * @param {number} model
 * @returns {string}
 */
export function modelInfo(model) {
    let deferred2_0;
    let deferred2_1;
    try {
        let ret;
        __wbg_call_guard();
        ret = wasm.modelInfo(model);
        var ptr1 = ret[0];
        var len1 = ret[1];
        if (ret[3]) {
            ptr1 = 0; len1 = 0;
            throw takeFromExternrefTable0(ret[2]);
        }
        deferred2_0 = ptr1;
        deferred2_1 = len1;
        return getStringFromWasm0(ptr1, len1);
    } finally {
        __wbg_call_guard();
        wasm.__wbindgen_free(deferred2_0, deferred2_1, 1);
    }
}

/**
 * The address of the output area. Behind every output there is room for 4 KiB more.
 * @returns {number}
 */
export function outputAddress() {
    let ret;
    __wbg_call_guard();
    ret = wasm.outputAddress();
    return ret >>> 0;
}

/**
 * The length in bytes that a file must have, read from its first `byte_length` bytes, which are in the input
 * area; 0 when these do not hold the whole header yet. Throws the reason why a file is refused.
 * @param {number} load
 * @param {number} byte_length
 * @returns {number}
 */
export function readHead(load, byte_length) {
    let ret;
    __wbg_call_guard();
    ret = wasm.readHead(load, byte_length);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0] >>> 0;
}

/**
 * After a trap: the next call from JavaScript finds a new instance, with nothing loaded. This alone may be called
 * when the call before never ended.
 */
export function replaceInstance() {
    __wbg_call_guard();
    wasm.replaceInstance();
}

/**
 * Where the whole file is to be written, from its first byte on; the same address until the load ends.
 * @param {number} load
 * @returns {number}
 */
export function weightsAddress(load) {
    let ret;
    __wbg_call_guard();
    ret = wasm.weightsAddress(load);
    if (ret[2]) {
        throw takeFromExternrefTable0(ret[1]);
    }
    return ret[0] >>> 0;
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
