import { readFileSync } from "node:fs";
import { Endpoint, indexFolder, openIndex, find } from "./search.ts";
const q = JSON.parse(readFileSync("/work/wt/page/examples/search-markdown/questions.json","utf8"));
const norm = (h: string) => h.replace(/[`*~]/g,"").replace(/\s+/g," ").trim().toLowerCase();
const verbose = process.argv[2];
for (const [url, model, dimensions] of [["http://localhost:8801/v1","embeddings-worker",384],["http://localhost:8801/v1","embeddings-worker",1024],["http://localhost:8801/v1","embeddings-worker",256],["http://localhost:8899/v1","all-MiniLM-L6-v2",384]] as const) {
  const e = new Endpoint(url, { model, dimensions: url.includes("8899") ? undefined : dimensions });
  const t = Date.now();
  console.log(await indexFolder("/tmp/pk2/docs", `/tmp/mrr-${model}-${dimensions}.db`, e), Date.now()-t);
  const ix = openIndex(`/tmp/mrr-${model}-${dimensions}.db`);
  let sum = 0; const miss: string[] = [];
  for (const { question, file, headings } of q.questions) {
    const want = headings.map(norm);
    const found = await find(question, ix, e, 10);
    const rank = found.findIndex(f => f.file === file && f.sections.some(s => want.includes(norm(s)))) + 1;
    sum += rank ? 1/rank : 0;
    if (rank !== 1) miss.push(`${rank} ${question} | ${found[0]!.file} ${found[0]!.heading} :: ${found[0]!.text.slice(0,60).replace(/\n/g," ")}`);
  }
  console.log(model, dimensions, (sum/q.questions.length).toFixed(3)); if (verbose) console.log(miss.join("\n"));
}
