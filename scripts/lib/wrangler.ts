// Runs the project's own wrangler, so that no command depends on one that is installed elsewhere.
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { createRequire } from "node:module";
import { stripVTControlCharacters } from "node:util";
import { PROJECT_ROOT } from "./project.js";

/** wrangler itself, not the launcher in its bin/: that one keeps signals to itself. */
const WRANGLER_PROGRAM = createRequire(import.meta.url).resolve("wrangler");

export interface WranglerResult {
  exitCode: number;
  stdout: string;
  /** Both streams, in the order in which they were written: what a person would have read. */
  output: string;
}

/** The command as a person would type it, for printing. */
export function wranglerCommandLine(args: string[]): string {
  return ["npx", "wrangler", ...args.map((arg) => (/^[\w./:=@+-]+$/.test(arg) ? arg : `'${arg}'`))].join(" ");
}

export function startWrangler(
  args: string[],
  stdio: StdioOptions,
  environment: NodeJS.ProcessEnv = {},
): ChildProcess {
  return spawn(process.execPath, ["--no-warnings", WRANGLER_PROGRAM, ...args], {
    cwd: PROJECT_ROOT,
    stdio,
    // No report to Cloudflare, no banner: it looks for a newer wrangler on the network.
    env: { WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true", ...process.env, ...environment },
  });
}

/** Runs wrangler to its end and keeps what it printed. Without a stdin it never waits for an answer. */
export function runWrangler(args: string[], environment: NodeJS.ProcessEnv = {}): Promise<WranglerResult> {
  return new Promise((resolve, reject) => {
    const child = startWrangler(args, ["ignore", "pipe", "pipe"], environment);
    let stdout = "";
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      output += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", reject);
    child.on("close", (exitCode) => {
      // wrangler colours its errors even where nobody sees colours.
      resolve({ exitCode: exitCode ?? 1, stdout, output: stripVTControlCharacters(output) });
    });
  });
}
