// Puts tensors and metadata into the extended container that model/FORMAT.md describes.
import type { RoundedLayer } from "./round-for-inputs.js";
import {
  inPanels,
  inWidePanels,
  panelShape,
  quantiseRows,
  widePanelShape,
  type QuantisedRows,
} from "./quantise.js";

/** F32, I8 and I16 tensors start at multiples of this, so that they can be read in place. */
const ALIGNMENT = 16;

type AnyQuantisedRows = QuantisedRows<Int8Array | Int16Array>;

export interface WeightsTensor {
  name: string;
  dtype: "F32" | "I32" | "I16" | "I8" | "U8";
  shape: number[];
  bytes: Uint8Array;
}

/** The whole file. F32 tensors come first, then I32, I16, I8 and U8, each in the order given. */
export function weightsFile(metadata: Record<string, string>, tensors: WeightsTensor[]): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: "embeddings-worker", ...metadata } };
  const parts: Uint8Array[] = [];
  let end = 0;
  const put = ({ name, dtype, shape, bytes }: WeightsTensor) => {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    parts.push(bytes);
    end += bytes.length;
  };
  for (const tensor of inFileOrder(tensors)) {
    const missing = -end & (ALIGNMENT - 1);
    if (tensor.dtype !== "U8" && missing > 0) {
      // The tensors of a safetensors file lie without holes, so what fills one is a tensor.
      put({ name: `padding.${end}`, dtype: "U8", shape: [missing], bytes: new Uint8Array(missing) });
    }
    put(tensor);
  }
  let headerText = JSON.stringify(header);
  headerText += " ".repeat(-(8 + Buffer.byteLength(headerText)) & (ALIGNMENT - 1));
  const headerBytes = Buffer.from(headerText);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(headerBytes.length));
  return Buffer.concat([length, headerBytes, ...parts]);
}

function inFileOrder(tensors: WeightsTensor[]): WeightsTensor[] {
  const isAligned = ({ bytes }: WeightsTensor) => bytes.length % ALIGNMENT === 0;
  const floats = tensors.filter(({ dtype }) => dtype === "F32");
  return [
    ...floats.filter(isAligned),
    ...floats.filter((tensor) => !isAligned(tensor)),
    ...tensors.filter(({ dtype }) => dtype === "I32"),
    ...tensors.filter(({ dtype }) => dtype === "I16"),
    ...tensors.filter(({ dtype }) => dtype === "I8"),
    ...tensors.filter(({ dtype }) => dtype === "U8"),
  ];
}

export function floatTensor(name: string, shape: number[], values: Float32Array): WeightsTensor {
  return { name, dtype: "F32", shape, bytes: bytesOf(values) };
}

/** A table of which single rows are read: I8 [rows, columns], and a tensor of its rows' scales. */
export function tableTensors(
  name: string,
  scalesName: string,
  [rows, columns]: [number, number],
  values: Float32Array,
): WeightsTensor[] {
  const { levels, scales } = quantiseRows(values, rows, columns);
  return [
    floatTensor(scalesName, [rows], scales),
    { name, dtype: "I8", shape: [rows, columns], bytes: bytesOf(levels) },
  ];
}

/** A linear layer: its matrix, the columns of it that are f32, where there are any, and its bias. */
export function linearTensors(
  name: string,
  { matrix, bias, exactInputs, exactColumns }: RoundedLayer,
): WeightsTensor[] {
  const rows = bias.length;
  const weight = `${name}.weight`;
  const exact: WeightsTensor[] = [
    {
      name: `${weight}.exact_inputs`,
      dtype: "I32",
      shape: [exactInputs.length],
      bytes: bytesOf(exactInputs),
    },
    floatTensor(`${weight}.exact_columns`, [exactInputs.length, rows], exactColumns),
  ];
  return [
    ...matrixTensors(weight, [rows, matrix.levels.length / rows], matrix),
    ...(exactInputs.length > 0 ? exact : []),
    floatTensor(`${name}.bias`, [rows], bias),
  ];
}

/** A matrix that vectors are multiplied with: I8 or I16 in panels, and `<name>.scales`. */
export function matrixTensors(
  name: string,
  [rows, columns]: [number, number],
  { levels, scales }: AnyQuantisedRows,
): WeightsTensor[] {
  const scalesTensor = floatTensor(`${name}.scales`, [rows], scales);
  if (levels instanceof Int16Array) {
    const bytes = bytesOf(inWidePanels(levels, rows, columns));
    return [scalesTensor, { name, dtype: "I16", shape: widePanelShape(rows, columns), bytes }];
  }
  const bytes = bytesOf(inPanels(levels, rows, columns));
  return [scalesTensor, { name, dtype: "I8", shape: panelShape(rows, columns), bytes }];
}

export function bytesTensor(name: string, bytes: Uint8Array): WeightsTensor {
  return { name, dtype: "U8", shape: [bytes.length], bytes };
}

/** Every machine that runs Node keeps its numbers little-endian, as the file does. */
function bytesOf(values: Float32Array | Int32Array | Int8Array | Int16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
