// Runs the Python client suites, and schemathesis over the OpenAPI document, against the Worker with the shipped
// weights. Needs Python 3.10 or newer; makes its own virtual environment in test/python/.venv.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startService } from "../test/lib/harness.js";
import { PROJECT_ROOT, runAsCommand, SHIPPED_WEIGHTS } from "./lib/project.js";
import { makeEnvironment, run } from "./lib/python.js";

const SUITES = join(PROJECT_ROOT, "test", "python");

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

await runAsCommand(import.meta.url, async () => {
  const inEnvironment = await makeEnvironment(join(SUITES, ".venv"), join(SUITES, "requirements.txt"));
  const service = await startService({ weights: readFileSync(SHIPPED_WEIGHTS), assets: true });
  const scratch = mkdtempSync(join(tmpdir(), "schemathesis-"));
  try {
    await run(inEnvironment("python"), ["-m", "pytest", SUITES], {
      cwd: SUITES,
      environment: { EMBEDDINGS_BASE_URL: `${service.url}/v1` },
    });
    const schemathesis = ["run", `${service.url}/openapi.json`, "--checks", SCHEMATHESIS_CHECKS.join(",")];
    // The same requests in every run, so that a failure is one of the change that it comes with.
    await run(
      inEnvironment("schemathesis"),
      [...schemathesis, "--generation-deterministic", "--continue-on-failure"],
      { cwd: scratch },
    );
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    await service.stop();
  }
});
