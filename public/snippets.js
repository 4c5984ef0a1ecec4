// @ts-check
// A request as a person would paste it. The key itself is never written out, only where it is read from.

/** @typedef {{ baseUrl: string, model: string, input: string | string[], dimensions?: number | undefined, hasKey: boolean }} Request */

/** @type {Record<"curl" | "python" | "typescript", (request: Request) => string>} */
export const snippets = {
  curl({ baseUrl, model, input, dimensions, hasKey }) {
    const body = { model, input, ...(dimensions === undefined ? {} : { dimensions }) };
    return [
      `curl ${baseUrl}/embeddings`,
      `-H 'content-type: application/json'`,
      ...(hasKey ? [`-H "authorization: Bearer $EMBEDDINGS_API_KEY"`] : []),
      `-d '${JSON.stringify(body, null, 2).replaceAll("'", `'\\''`)}'`,
    ].join(" \\\n  ");
  },

  python({ baseUrl, model, input, dimensions, hasKey }) {
    return [
      ...(hasKey ? ["import os", ""] : []),
      "from openai import OpenAI",
      "",
      `client = OpenAI(base_url=${JSON.stringify(baseUrl)}, api_key=${hasKey ? 'os.environ["EMBEDDINGS_API_KEY"]' : '"not-needed"'})`,
      "answer = client.embeddings.create(",
      `    model=${JSON.stringify(model)},`,
      `    input=${indent(JSON.stringify(input, null, 4), 4)},`,
      ...(dimensions === undefined ? [] : [`    dimensions=${dimensions},`]),
      ")",
      "for item in answer.data:",
      "    print(item.index, item.embedding[:4], len(item.embedding))",
      "",
    ].join("\n");
  },

  typescript({ baseUrl, model, input, dimensions, hasKey }) {
    return [
      `import OpenAI from "openai";`,
      "",
      `const client = new OpenAI({`,
      `  baseURL: ${JSON.stringify(baseUrl)},`,
      `  apiKey: ${hasKey ? "process.env.EMBEDDINGS_API_KEY" : '"not-needed"'},`,
      `});`,
      `const answer = await client.embeddings.create({`,
      `  model: ${JSON.stringify(model)},`,
      `  input: ${indent(JSON.stringify(input, null, 2), 2)},`,
      ...(dimensions === undefined ? [] : [`  dimensions: ${dimensions},`]),
      `});`,
      `for (const { index, embedding } of answer.data) {`,
      `  console.log(index, embedding.slice(0, 4), embedding.length);`,
      `}`,
      "",
    ].join("\n");
  },
};

/** @param {string} text @param {number} width */
function indent(text, width) {
  return text.replaceAll("\n", "\n" + " ".repeat(width));
}
