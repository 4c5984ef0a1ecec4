// What some models want before a query or a document. Most say so in config_sentence_transformers.json; some of the
// best known say so only in their README.
import { isObject } from "./json-file.js";
import { jsonOf, type ModelSource } from "./source.js";

export interface Prompts {
  query: string | undefined;
  document: string | undefined;
}

const CONFIG = "config_sentence_transformers.json";
/** The names under which sentence-transformers looks for the prompt of a query, and of a document. */
const NAMES: Record<keyof Prompts, string[]> = {
  query: ["query"],
  document: ["document", "passage", "corpus"],
};

const RETRIEVE_PASSAGES = "Represent this sentence for searching relevant passages: ";
/** From the READMEs of these models, by their name without the owner's. */
const WELL_KNOWN: { name: RegExp; prompts: Prompts }[] = [
  {
    name: /^(bge-(small|base|large)-en(-v1\.5)?|mxbai-embed-large-v1|snowflake-arctic-embed-(xs|s|m|l))$/i,
    prompts: { query: RETRIEVE_PASSAGES, document: undefined },
  },
  {
    name: /^bge-(small|base|large)-zh(-v1\.5)?$/i,
    prompts: { query: "为这个句子生成表示以用于检索相关文章：", document: undefined },
  },
  { name: /^e5-(small|base|large)(-v2)?$/i, prompts: { query: "query: ", document: "passage: " } },
];

/** `given` are the prompts of the command line; an empty text means none. */
export async function readPrompts(
  source: ModelSource,
  given: Prompts,
  note: (text: string) => void,
): Promise<Prompts> {
  const config = await jsonOf(source, CONFIG);
  const configured = config?.fields["prompts"];
  const prompts: Prompts = { query: undefined, document: undefined };
  if (isObject(configured)) {
    for (const kind of ["query", "document"] as const) {
      const name = NAMES[kind].find((candidate) => configured[candidate] !== undefined);
      if (name === undefined) continue;
      const prompt = configured[name];
      if (typeof prompt !== "string") config!.refuse(`prompts.${name}`, "a text", prompt);
      prompts[kind] = (prompt as string) || undefined;
    }
  }
  if (!isObject(configured) || Object.keys(configured).length === 0) {
    const known = WELL_KNOWN.find(({ name }) => name.test(source.name));
    if (known !== undefined) {
      Object.assign(prompts, known.prompts);
      note(`the prompts are those of this model's README: ${described(prompts)}`);
    }
  }
  if (typeof config?.fields["default_prompt_name"] === "string") {
    note(
      `sentence-transformers puts the prompt "${config.fields["default_prompt_name"]}" before every text; ` +
        "the Worker puts a prompt before a text only where input_type asks for it",
    );
  }
  return {
    query: given.query === undefined ? prompts.query : given.query || undefined,
    document: given.document === undefined ? prompts.document : given.document || undefined,
  };
}

export function described({ query, document }: Prompts): string {
  const shown = (kind: string, prompt: string | undefined) =>
    prompt === undefined ? `${kind} none` : `${kind} "${prompt}"`;
  return `${shown("query", query)}, ${shown("document", document)}`;
}
