// Markdown in passages that are small enough for a vector to say what they are about.
import { fromMarkdown } from "mdast-util-from-markdown";
import { toString } from "mdast-util-to-string";

/** Where a section is longer it is cut between two blocks: the vector of a long text is a blur of all that it says. */
const PASSAGE_WORDS = 80;

export interface Passage {
  /** Counted from 1. */
  line: number;
  /** The section's heading after those above it. */
  heading: string;
  /** As it stands in the file, headings left out. */
  text: string;
}

export function passagesOf(markdown: string): Passage[] {
  const passages: Passage[] = [];
  const headings: string[] = [];
  let blocks: ReturnType<typeof fromMarkdown>["children"] = [];
  let words = 0;

  const finish = (): void => {
    const [first] = blocks;
    if (first !== undefined) {
      const text = markdown.slice(first.position!.start.offset, blocks.at(-1)!.position!.end.offset);
      const heading = headings.filter((title) => title !== "").join(" › ");
      passages.push({ line: first.position!.start.line, heading, text });
    }
    [blocks, words] = [[], 0];
  };

  for (const block of fromMarkdown(markdown).children) {
    if (block.type === "heading") {
      finish();
      headings.length = Math.min(headings.length, block.depth - 1);
      while (headings.length < block.depth - 1) headings.push("");
      headings.push(toString(block));
      continue;
    }
    if (words >= PASSAGE_WORDS) finish();
    blocks.push(block);
    words += toString(block).split(/\s+/).length;
  }
  finish();
  return passages;
}
