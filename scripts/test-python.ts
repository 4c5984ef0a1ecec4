// Runs the Python client suites, and schemathesis over the OpenAPI document, against the Worker with the shipped
// weights. Needs Python 3.10 or newer; makes its own virtual environment in test/python/.venv.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startService } from "../test/harness.js";
import { PROJECT_ROOT, runAsCommand, SHIPPED_WEIGHTS, UserError } from "./project.js";

const SUITES = join(PROJECT_ROOT, "test", "python");
const REQUIREMENTS = join(SUITES, "requirements.txt");
const ENVIRONMENT = join(SUITES, ".venv");
/** Written when everything is installed: the hash of the requirements that are. */
const INSTALLED = join(ENVIRONMENT, "requirements.sha256");
const PROGRAMS = join(ENVIRONMENT, process.platform === "win32" ? "Scripts" : "bin");

/** All that schemathesis has but those for APIs that create and delete things. */
const SCHEMATHESIS_CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "negative_data_rejection",
  "positive_data_acceptance",
  "missing_required_header",
  "unsupported_method",
  "allow_header_conformance",
  "ignored_auth",
];
const PYTHON_HINT =
  "Install Python 3.10 or newer with its venv module (on Debian and Ubuntu: apt install python3-venv).";

await runAsCommand(import.meta.url, async () => {
  await install();
  const service = await startService({ weights: readFileSync(SHIPPED_WEIGHTS), assets: true });
  const scratch = mkdtempSync(join(tmpdir(), "schemathesis-"));
  try {
    await run(inEnvironment("python"), ["-m", "pytest", SUITES], SUITES, {
      EMBEDDINGS_BASE_URL: `${service.url}/v1`,
    });
    const schemathesis = ["run", `${service.url}/openapi.json`, "--checks", SCHEMATHESIS_CHECKS.join(",")];
    // The same requests in every run, so that a failure is one of the change that it comes with.
    await run(
      inEnvironment("schemathesis"),
      [...schemathesis, "--generation-deterministic", "--continue-on-failure"],
      scratch,
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    await service.stop();
  }
});

async function install(): Promise<void> {
  const wanted = createHash("sha256").update(readFileSync(REQUIREMENTS)).digest("hex");
  if (existsSync(INSTALLED) && readFileSync(INSTALLED, "utf8") === wanted) return;
  const python = process.platform === "win32" ? "python" : "python3";
  await run(python, ["-m", "venv", "--clear", ENVIRONMENT], SUITES, {}, PYTHON_HINT);
  await run(
    inEnvironment("python"),
    ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS],
    SUITES,
  );
  writeFileSync(INSTALLED, wanted);
}

function inEnvironment(program: string): string {
  return join(PROGRAMS, program);
}

/** Not spawnSync: the Worker's log has to be read meanwhile, or it would stop at a full pipe. */
function run(
  program: string,
  args: string[],
  cwd: string,
  environment: NodeJS.ProcessEnv = {},
  hint = "",
): Promise<void> {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", ...environment };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: "inherit" });
    child.on("error", (error) =>
      reject(new UserError(`${program} cannot be started: ${error.message}. ${hint}`.trim())),
    );
    child.on("close", (status) => {
      if (status === 0) resolve();
      else reject(new UserError(`${program} ${args.slice(0, 2).join(" ")} failed. ${hint}`.trim()));
    });
  });
}
