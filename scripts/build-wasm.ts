// Builds embedder-wasm/pkg from the crate: `npm run build:wasm`; with `-- --check` it only says whether
// pkg was built from the present sources. pkg is committed, so only who changes the crate needs Rust.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { PROJECT_ROOT, runAsCommand, UserError } from "./lib/project.js";

const CRATE_FOLDER = join(PROJECT_ROOT, "embedder-wasm");
const PACKAGE_FOLDER = join(CRATE_FOLDER, "pkg");
const SOURCES_HASH_FILE = join(PACKAGE_FOLDER, "sources.sha256");
/** wasm-pack writes here; only what the Worker imports moves on to pkg. */
const BUILD_FOLDER = join(PROJECT_ROOT, "target", "wasm-pack");

const WASM_FILE = "embedder_wasm_bg.wasm";
const GLUE_FILES = ["embedder_wasm.js", "embedder_wasm.d.ts", `${WASM_FILE}.d.ts`];
const WASM_TARGET = "wasm32-unknown-unknown";

// What rustc emits for its wasm target by default, and the SIMD that the crate is written for.
const WASM_OPT_FEATURES = [
  "simd",
  "bulk-memory",
  "bulk-memory-opt",
  "nontrapping-float-to-int",
  "sign-ext",
  "mutable-globals",
  "reference-types",
  "multivalue",
];

/**
 * Engines compile a function when it is first called. Without a bound wasm-opt puts functions that are called in one place
 * there, however long they are, and a model's first answer then waits until the code of all others is compiled.
 */
const MAX_INLINED_SIZE = 50;

interface RustToolchain {
  environment: NodeJS.ProcessEnv;
  wasmPackArguments: string[];
  cargoArguments: string[];
  /** Where this compiler keeps its standard library's sources: kept out of the binary. */
  sysroot: string;
}

void runAsCommand(import.meta.url, () => {
  const { values } = parseArgs({ options: { check: { type: "boolean" } } });
  return values.check ? check() : build();
});

function check(): void {
  const builtFrom = builtSourcesHash();
  if (builtFrom !== sourcesHash()) {
    const state =
      builtFrom === undefined ? "is missing" : "was built from other sources than the present ones";
    throw new UserError(
      `embedder-wasm/pkg ${state}: run \`npm run build:wasm\` and commit embedder-wasm/pkg`,
    );
  }
  console.log("embedder-wasm/pkg was built from the present sources.");
}

function build(): void {
  const wasmPack = findWasmPack();
  const toolchain = findRustToolchain();
  rmSync(BUILD_FOLDER, { recursive: true, force: true });

  // The crates' folder must be there before its path can be kept out of the binary.
  runVisibly("cargo", ["fetch", "--manifest-path", join(CRATE_FOLDER, "Cargo.toml")], toolchain.environment);
  runVisibly(
    wasmPack,
    [
      "build",
      "--target",
      "web",
      "--out-dir",
      BUILD_FOLDER,
      "--no-opt",
      ...toolchain.wasmPackArguments,
      CRATE_FOLDER,
      ...toolchain.cargoArguments,
    ],
    {
      ...toolchain.environment,
      CARGO_ENCODED_RUSTFLAGS: rustFlags(toolchain.sysroot).join("\x1f"),
    },
  );
  // Read after the build: cargo may have brought Cargo.lock up to date.
  const builtFrom = sourcesHash();
  const optimised = join(BUILD_FOLDER, "optimised.wasm");
  runVisibly(
    process.execPath,
    [
      findWasmOpt(),
      "-O3",
      `--one-caller-inline-max-function-size=${MAX_INLINED_SIZE}`,
      ...WASM_OPT_FEATURES.map((feature) => `--enable-${feature}`),
      join(BUILD_FOLDER, WASM_FILE),
      "-o",
      optimised,
    ],
    process.env,
  );

  // pkg is replaced only now, when nothing can fail any more but the disk.
  rmSync(PACKAGE_FOLDER, { recursive: true, force: true });
  mkdirSync(PACKAGE_FOLDER, { recursive: true });
  for (const name of GLUE_FILES) copyFileSync(join(BUILD_FOLDER, name), join(PACKAGE_FOLDER, name));
  copyFileSync(optimised, join(PACKAGE_FOLDER, WASM_FILE));
  writeFileSync(SOURCES_HASH_FILE, `${builtFrom}\n`);
  console.log(
    `embedder-wasm/pkg: ${WASM_FILE} has ${statSync(optimised).size} bytes; sources ${builtFrom.slice(0, 12)}`,
  );
}

/** SHA-256 over every file that the wasm is made of: their names and contents in sorted order. */
export function sourcesHash(): string {
  const hash = createHash("sha256");
  const files = ["Cargo.toml", "Cargo.lock", "embedder-wasm/Cargo.toml", ...filesBelow("embedder-wasm/src")];
  for (const path of files.sort()) {
    // A checkout that writes other line ends holds the same sources.
    const source = readFileSync(join(PROJECT_ROOT, path), "utf8").replaceAll("\r\n", "\n");
    hash.update(`${path}\0${source}\0`);
  }
  return hash.digest("hex");
}

/** Paths from the project's root, with forward slashes on every system. */
function filesBelow(folder: string): string[] {
  return readdirSync(join(PROJECT_ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(PROJECT_ROOT, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
}

/** The hash of the sources that the committed pkg was built from; undefined where there is no pkg. */
export function builtSourcesHash(): string | undefined {
  return existsSync(SOURCES_HASH_FILE) ? readFileSync(SOURCES_HASH_FILE, "utf8").trim() : undefined;
}

/** SIMD, and no path of the machine that builds: equal sources give equal bytes wherever they lie. */
function rustFlags(sysroot: string): string[] {
  const crates = join(process.env["CARGO_HOME"] ?? join(homedir(), ".cargo"), "registry", "src");
  const registries = existsSync(crates) ? readdirSync(crates) : [];
  return [
    "-Ctarget-feature=+simd128",
    `--remap-path-prefix=${PROJECT_ROOT}=.`,
    `--remap-path-prefix=${sysroot}=rust`,
    ...registries.map((registry) => `--remap-path-prefix=${join(crates, registry)}=crates`),
  ];
}

function findWasmPack(): string {
  // npm's package downloads its binary when it is installed; where that could not be done it does not start.
  const candidates = [join(PROJECT_ROOT, "node_modules", ".bin", "wasm-pack"), "wasm-pack"];
  const found = candidates.find((program) => firstLineOf(program, ["--version"]) !== undefined);
  if (found === undefined) {
    throw new UserError("wasm-pack is missing: run `cargo install wasm-pack --version 0.15.0 --locked`");
  }
  return found;
}

function findWasmOpt(): string {
  const program = join(PROJECT_ROOT, "node_modules", "binaryen", "bin", "wasm-opt");
  if (!existsSync(program))
    throw new UserError("wasm-opt is missing: run `npm ci`, which installs it (package binaryen)");
  return program;
}

function findRustToolchain(): RustToolchain {
  const sysroot = firstLineOf("rustc", ["--print", "sysroot"]);
  if (sysroot !== undefined && existsSync(join(sysroot, "lib", "rustlib", WASM_TARGET, "lib"))) {
    return { environment: process.env, wasmPackArguments: [], cargoArguments: [], sysroot };
  }
  const systemToolchain = findSystemToolchain();
  if (systemToolchain !== undefined) return systemToolchain;
  throw new UserError(
    sysroot === undefined
      ? "Rust is missing: install it from https://rustup.rs, then run `rustup target add wasm32-unknown-unknown`"
      : "Rust's wasm target is missing: run `rustup target add wasm32-unknown-unknown`; where rustup cannot download, " +
          "on Debian, `apt-get install rustc-web cargo-web rust-web-src rust-web-llvm lld-19`",
  );
}

/** Debian's compiler has no built standard library for wasm, but its sources: cargo builds it along. */
function findSystemToolchain(): RustToolchain | undefined {
  const sysroot = firstLineOf("/usr/bin/rustc", ["--print", "sysroot"]);
  if (sysroot === undefined || !existsSync(join(sysroot, "lib", "rustlib", "src", "rust", "library", "std")))
    return undefined;
  const linker = ["wasm-ld", "wasm-ld-19"].find(
    (program) => firstLineOf(program, ["--version"]) !== undefined,
  );
  const wasmBindgen = firstLineOf("wasm-bindgen", ["--version"]);
  if (linker === undefined) throw new UserError("wasm-ld is missing: run `apt-get install lld-19`");
  const wantedBindgen = wasmBindgenVersion();
  if (wasmBindgen !== `wasm-bindgen ${wantedBindgen}`) {
    throw new UserError(
      `wasm-bindgen ${wantedBindgen} is missing (found: ${wasmBindgen ?? "none"}): ` +
        `run \`cargo install wasm-bindgen-cli --version ${wantedBindgen}\``,
    );
  }
  return {
    environment: {
      ...process.env,
      // Before rustup's own programs, so that cargo and rustc are the system's.
      PATH: ["/usr/bin", process.env["PATH"]].join(delimiter),
      // Building the standard library is not stable yet.
      RUSTC_BOOTSTRAP: "1",
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: linker,
    },
    // wasm-pack would look for the built standard library; "force" skips that check alone.
    wasmPackArguments: ["--mode", "force"],
    cargoArguments: ["-Zbuild-std=std,panic_abort"],
    sysroot,
  };
}

/** The version that the crate is pinned to: the command must be the same one, exactly. */
function wasmBindgenVersion(): string {
  const manifest = readFileSync(join(CRATE_FOLDER, "Cargo.toml"), "utf8");
  const version = /^wasm-bindgen\s*=.*?"=(\d+\.\d+\.\d+)"/m.exec(manifest)?.[1];
  if (version === undefined)
    throw new UserError('embedder-wasm/Cargo.toml: wasm-bindgen must be pinned, as in "=0.2.130"');
  return version;
}

/** What a program prints first, or undefined where it cannot be run. */
function firstLineOf(program: string, args: string[]): string | undefined {
  const result = spawnSync(program, args, {
    encoding: "utf8",
    cwd: CRATE_FOLDER,
    shell: process.platform === "win32",
  });
  return result.status === 0 ? result.stdout.trim().split("\n")[0] : undefined;
}

function runVisibly(program: string, args: string[], environment: NodeJS.ProcessEnv): void {
  const result = spawnSync(program, args, {
    stdio: "inherit",
    env: environment,
    shell: process.platform === "win32",
  });
  if (result.error !== undefined) throw new UserError(`${program} did not start: ${result.error.message}`);
  if (result.status !== 0)
    throw new UserError(
      `${program} ended with status ${result.status ?? result.signal}: its output above says why`,
    );
}
