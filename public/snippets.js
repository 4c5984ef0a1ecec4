// @ts-check
// A view's requests as a person would paste them. The key itself is never written out, only where it is read from.

/**
 * @typedef {object} Snippet
 * @property {string} baseUrl
 * @property {string} model
 * @property {number | undefined} dimensions
 * @property {boolean} hasKey
 * @property {boolean} typed whether requests say `input_type`
 * @property {string[]} texts
 * @property {string | undefined} query a search, where there is one
 */

const TEXTS_SHOWN = 3; // of many: the code is to be read at a glance
const FEW_TEXTS = 20; // so many are shown all

const TYPE_NOTE = "input_type: optional, not part of the OpenAI API";

/** @typedef {Record<"curl" | "python" | "typescript", (snippet: Snippet) => string>} Snippets */

/** @type {Snippets} */
export const snippets = {
  curl(snippet) {
    const { baseUrl, hasKey, query } = snippet;
    const { texts, note } = shown(snippet, "#");
    /** @param {string | string[]} input @param {string} type */
    const call = (input, type) =>
      [
        `curl ${baseUrl}/embeddings`,
        `-H 'content-type: application/json'`,
        ...(hasKey ? [`-H "authorization: Bearer $EMBEDDINGS_API_KEY"`] : []),
        `-d '${indent(JSON.stringify({ ...fields(snippet, type), input }, null, 2), 2).replaceAll("'", `'\\''`)}'`,
      ].join(" \\\n  ");
    if (query === undefined) return [...note, call(texts.length === 1 ? texts[0] : texts, "")].join("\n");
    return [
      "# Once: the documents. Keep their vectors.",
      ...(snippet.typed ? [`# ${TYPE_NOTE}`] : []),
      ...note,
      call(texts, "document"),
      "",
      "# For each search: the query. The best document has the largest dot product with it.",
      call(query, "query"),
    ].join("\n");
  },

  python(snippet) {
    const { baseUrl, hasKey, query } = snippet;
    const { texts, note } = shown(snippet, "#");
    const head = [
      ...(hasKey ? ["import os", ""] : []),
      "from openai import OpenAI",
      "",
      `client = OpenAI(base_url=${JSON.stringify(baseUrl)}, api_key=${hasKey ? 'os.environ["EMBEDDINGS_API_KEY"]' : '"not-needed"'})`,
      ...note,
    ];
    const input = JSON.stringify(texts, null, 4);
    const { model, dimensions } = fields(snippet, "");
    /** @param {string} value @param {string} type */
    const create = (value, type) => [
      "client.embeddings.create(",
      `    model=${JSON.stringify(model)},`,
      `    input=${value},`,
      ...(dimensions === undefined ? [] : [`    dimensions=${dimensions},`]),
      ...(type && snippet.typed
        ? [`    extra_body={"input_type": ${JSON.stringify(type)}},  # ${TYPE_NOTE}`]
        : []),
      ")",
    ];
    if (query === undefined) {
      const [first, ...rest] = create(indent(input, 4), "");
      return [
        ...head,
        `answer = ${first}`,
        ...rest,
        "for item in answer.data:",
        "    print(item.index, item.embedding[:4], len(item.embedding))",
        "",
      ].join("\n");
    }
    const [firstOfDocuments, ...restOfDocuments] = create("documents", "document");
    const [firstOfQuery, ...restOfQuery] = create(JSON.stringify(query), "query");
    return [
      ...head,
      `documents = ${input}`,
      `vectors = ${firstOfDocuments}`,
      ...restOfDocuments,
      `query = ${firstOfQuery}`,
      ...restOfQuery,
      "scores = [sum(a * b for a, b in zip(query.data[0].embedding, item.embedding)) for item in vectors.data]",
      "for score, document in sorted(zip(scores, documents), reverse=True):",
      '    print(f"{score:.3f} {document}")',
      "",
    ].join("\n");
  },

  typescript(snippet) {
    const { baseUrl, hasKey, query } = snippet;
    const { texts, note } = shown(snippet, "//");
    const head = [
      `import OpenAI from "openai";`,
      "",
      `const client = new OpenAI({`,
      `  baseURL: ${JSON.stringify(baseUrl)},`,
      `  apiKey: ${hasKey ? "process.env.EMBEDDINGS_API_KEY" : '"not-needed"'},`,
      `});`,
      ...note,
    ];
    const input = JSON.stringify(texts, null, 2);
    const { model, dimensions } = fields(snippet, "");
    /** @param {string} name @param {string} value @param {string} type */
    const create = (name, value, type) => [
      `const ${name} = await client.embeddings.create({`,
      `  model: ${JSON.stringify(model)},`,
      `  input: ${value},`,
      ...(dimensions === undefined ? [] : [`  dimensions: ${dimensions},`]),
      ...(type && snippet.typed
        ? [`  ...({ input_type: ${JSON.stringify(type)} } as object), // ${TYPE_NOTE}`]
        : []),
      `});`,
    ];
    if (query === undefined) {
      return [
        ...head,
        ...create("answer", indent(input, 2), ""),
        `for (const { index, embedding } of answer.data) {`,
        `  console.log(index, embedding.slice(0, 4), embedding.length);`,
        `}`,
        "",
      ].join("\n");
    }
    return [
      ...head,
      `const documents = ${input};`,
      ...create("vectors", "documents", "document"),
      ...create("query", JSON.stringify(query), "query"),
      `const ranked = vectors.data`,
      `  .map(({ index, embedding }) => ({`,
      `    document: documents[index],`,
      `    score: embedding.reduce((sum, value, i) => sum + value * query.data[0]!.embedding[i]!, 0),`,
      `  }))`,
      `  .sort((a, b) => b.score - a.score);`,
      `for (const { score, document } of ranked) console.log(score.toFixed(3), document);`,
      "",
    ].join("\n");
  },
};

/** @param {Snippet} snippet @param {string} type */
function fields({ model, dimensions, typed }, type) {
  return {
    model,
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(type && typed ? { input_type: type } : {}),
  };
}

/** @param {Snippet} snippet @param {string} comment */
function shown({ texts, query }, comment) {
  const what = query === undefined ? "texts" : "documents";
  if (texts.length <= FEW_TEXTS) return { texts, note: [] };
  return {
    texts: texts.slice(0, TEXTS_SHOWN),
    note: [`${comment} The first ${TEXTS_SHOWN} of your ${texts.length.toLocaleString("en")} ${what}.`],
  };
}

/** @param {string} text @param {number} width */
function indent(text, width) {
  return text.replaceAll("\n", "\n" + " ".repeat(width));
}
