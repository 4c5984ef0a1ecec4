// The shipped wasm, but for one thing: where the tests want it, it runs into a real `unreachable`.
import assert from "node:assert/strict";
import binaryen from "binaryen";

/** Embedding a text of so many bytes traps. */
export const TRAPPING_BYTES = 1234;

export function trapOnLongTexts(wasm: Uint8Array): Uint8Array {
  const byteLength = 2;
  return withTrap(wasm, "embed", (module) =>
    module.i32.eq(module.local.get(byteLength, binaryen.i32), module.i32.const(TRAPPING_BYTES)),
  );
}

/** Writing any chunk of an answer but the first traps: the answer's status has been sent by then. */
export function trapInLaterChunks(wasm: Uint8Array): Uint8Array {
  const firstIndex = 3;
  return withTrap(wasm, "encode", (module) =>
    module.i32.gt_u(module.local.get(firstIndex, binaryen.i32), module.i32.const(0)),
  );
}

/** Puts a function before an export: it traps where `condition`, of the arguments, is not 0. */
function withTrap(
  wasm: Uint8Array,
  name: string,
  condition: (module: binaryen.Module) => binaryen.ExpressionRef,
): Uint8Array {
  const module = binaryen.readBinary(wasm);
  module.setFeatures(binaryen.Features.All);
  const { value: original } = binaryen.getExportInfo(module.getExport(name));
  const { params, results } = binaryen.getFunctionInfo(module.getFunction(original));
  const passedOn = binaryen.expandType(params).map((type, i) => module.local.get(i, type));
  module.addFunction(
    `${name}OrTrap`,
    params,
    results,
    [],
    module.block(
      null,
      [module.if(condition(module), module.unreachable()), module.call(original, passedOn, results)],
      results,
    ),
  );
  module.removeExport(name);
  module.addFunctionExport(`${name}OrTrap`, name);
  assert.ok(module.validate());
  return module.emitBinary();
}
