// The file that holds a module's tensors. Only safetensors is read: the other forms are programs, or cut in pieces.
import { UserError } from "../project.js";
import { SafetensorsFile } from "./safetensors.js";
import { inModule, type ModelSource } from "./source.js";

export const SAFETENSORS = "model.safetensors";

export async function openWeights(source: ModelSource, folder: string): Promise<SafetensorsFile> {
  const name = inModule(folder, SAFETENSORS);
  const path = await source.file(name);
  if (path !== undefined) return SafetensorsFile.open(path, name);
  if ((await source.file(inModule(folder, `${SAFETENSORS}.index.json`))) !== undefined) {
    throw new UserError(`${name}: the model is stored in several files, so it is too large for a Worker`);
  }
  throw new UserError(
    `${name}: there is no such file. Weights are read from safetensors alone; a pytorch_model.bin can be converted ` +
      "with safetensors.torch.save_file, or by saving the model again with a present sentence-transformers",
  );
}
