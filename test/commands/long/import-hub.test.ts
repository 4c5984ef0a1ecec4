// Downloads, from a server that plays Hugging Face: it redirects large files to another origin, breaks off, is
// damaged, refuses, and goes away.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { hubSettings, hubSource } from "../../../scripts/lib/import/hub.js";
import { progressBar } from "../../../scripts/lib/import/progress.js";
import type { ModelSource } from "../../../scripts/lib/import/source.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const NAME = "some-owner/tiny-bert";
const LARGE = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
const SMALL = Buffer.from('{"model_type":"bert"}');
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
/** What git calls a file with this content. */
const gitHash = (bytes: Buffer) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

interface Request {
  method: string;
  url: string;
  authorization: string | undefined;
  range: string | undefined;
}

let hub: Server;
let storage: Server;
let endpoint: string;
let cacheFolder: string;
let requests: Request[];
let storageRequests: Request[];
/** What the hub answers in place of a file, where a test wants that. */
let hubAnswer: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
/** How the storage answers. */
let storageAnswer: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  requests = [];
  storageRequests = [];
  hubAnswer = undefined;
  storageAnswer = (request, response) => sendWithRange(request, response, LARGE);
  cacheFolder = mkdtempSync(join(tmpdir(), "embeddings-worker-hub-"));
  storage = createServer((request, response) => {
    storageRequests.push(recorded(request));
    storageAnswer(request, response);
  });
  hub = createServer((request, response) => {
    requests.push(recorded(request));
    if (hubAnswer?.(request, response) !== true) answerAsHub(request, response);
  });
  endpoint = await listening(hub);
  await listening(storage);
});
afterEach(() => {
  for (const server of [hub, storage]) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(cacheFolder, { recursive: true });
});

function answerAsHub(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("x-repo-commit", COMMIT);
  const [, revision, path] = new RegExp(`^/${NAME}/resolve/([^/]+)/(.+)$`).exec(request.url!) ?? [];
  if (revision === undefined) {
    response.writeHead(401, { "x-error-code": "RepoNotFound" }).end();
  } else if (!["main", COMMIT].includes(revision)) {
    response.writeHead(404, { "x-error-code": "RevisionNotFound" }).end();
  } else if (path === "config.json") {
    response.writeHead(200, { etag: `"${gitHash(SMALL)}"`, "content-length": SMALL.length }).end(SMALL);
  } else if (path === "model.safetensors") {
    response
      .writeHead(302, {
        location: `http://localhost:${(storage.address() as AddressInfo).port}/large?signature=x`,
        "x-linked-etag": `"${sha256(LARGE)}"`,
        "x-linked-size": LARGE.length,
      })
      .end();
  } else {
    response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
  }
}

function sendWithRange(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const [, start] = /^bytes=(\d+)-$/.exec(request.headers.range ?? "") ?? [];
  if (start === undefined) {
    response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    return;
  }
  const rest = bytes.subarray(Number(start));
  response
    .writeHead(206, {
      "content-length": rest.length,
      "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    })
    .end(rest);
}

/** Announces all bytes, sends some, and hangs up. */
function breakOff(response: ServerResponse, bytes: Buffer, length: number): void {
  response.writeHead(200, { "content-length": bytes.length });
  response.write(bytes.subarray(0, length), () => setTimeout(() => response.destroy(), 50));
}

function recorded({ method, url, headers }: IncomingMessage): Request {
  return { method: method!, url: url!, authorization: headers.authorization, range: headers.range };
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return `http://localhost:${(server.address() as AddressInfo).port}`;
}

let notes: string[];
function source(environment: NodeJS.ProcessEnv = {}, name = NAME, revision?: string): ModelSource {
  notes = [];
  const settings = hubSettings({
    HF_ENDPOINT: endpoint,
    HF_HUB_CACHE: cacheFolder,
    HOME: cacheFolder,
    HF_HOME: join(cacheFolder, "home"),
    ...environment,
  });
  return hubSource(name, {
    revision,
    settings: { ...settings, retryMilliseconds: 1 },
    note: (text) => notes.push(text),
    progressBar: () => ({ set: () => {}, end: () => {} }),
  });
}

describe("a model on Hugging Face", () => {
  it("is downloaded into the cache as its Python library lays it out", async () => {
    const model = source();
    const file = await model.file("model.safetensors");
    assert.deepEqual([model.name, model.origin], ["tiny-bert", `${NAME} at ${COMMIT}`]);
    const folder = join(cacheFolder, "models--some-owner--tiny-bert");
    assert.equal(file, join(folder, "snapshots", COMMIT, "model.safetensors"));
    assert.deepEqual(readFileSync(file!), LARGE);
    assert.equal(readlinkSync(file!), join("..", "..", "blobs", sha256(LARGE)));
    assert.equal(readFileSync(join(folder, "refs", "main"), "utf8"), COMMIT);
    assert.equal(existsSync(join(folder, "blobs", `${sha256(LARGE)}.incomplete`)), false);
    assert.deepEqual(readFileSync((await model.file("config.json"))!), SMALL);
    assert.deepEqual(readFileSync(join(folder, "blobs", gitHash(SMALL))), SMALL);
    assert.equal(await model.file("vocab.txt"), undefined, "a file that the model does not have");
  });

  it("is asked for by the commit of the first answer, so that all files belong together", async () => {
    const model = source();
    await model.file("config.json");
    await model.file("model.safetensors");
    assert.deepEqual(
      requests.map(({ method, url }) => `${method} ${url.replace(`/${NAME}/resolve/`, "")}`),
      [
        "HEAD main/config.json",
        `GET ${COMMIT}/config.json`,
        `HEAD ${COMMIT}/model.safetensors`,
        `GET ${COMMIT}/model.safetensors`,
      ],
    );
  });

  it("is not downloaded twice, and a commit that is in the cache is not even asked for", async () => {
    await source().file("model.safetensors");
    requests = [];
    await source().file("model.safetensors");
    assert.deepEqual(
      requests.map(({ method }) => method),
      ["HEAD"],
    );
    requests = [];
    assert.ok(await source({}, NAME, COMMIT).file("model.safetensors"));
    assert.deepEqual(requests, []);
    assert.equal(storageRequests.length, 1);
  });

  it("is asked for with the token of HF_TOKEN, else of the token file; the storage never gets it", async () => {
    await source({ HF_TOKEN: "hf_secret" }).file("model.safetensors");
    assert.deepEqual(
      requests.map(({ authorization }) => authorization),
      ["Bearer hf_secret", "Bearer hf_secret"],
    );
    assert.deepEqual(
      storageRequests.map(({ authorization }) => authorization),
      [undefined],
    );
    requests = [];
    mkdirSync(join(cacheFolder, "home"));
    writeFileSync(join(cacheFolder, "home", "token"), "hf_file\n");
    await source().file("config.json");
    assert.equal(requests[0]!.authorization, "Bearer hf_file");
  });

  it("that was renamed is found at its new place", async () => {
    hubAnswer = (request, response) => {
      if (!request.url!.startsWith("/old/name/")) return false;
      response.writeHead(307, { location: request.url!.replace("old/name", NAME) }).end();
      return true;
    };
    assert.deepEqual(readFileSync((await source({}, "old/name").file("config.json"))!), SMALL);
  });
});

describe("a download that breaks off", () => {
  it("is taken up where it ended", async () => {
    let tries = 0;
    storageAnswer = (request, response) =>
      ++tries === 1 ? breakOff(response, LARGE, 40_000) : sendWithRange(request, response, LARGE);
    assert.deepEqual(readFileSync((await source().file("model.safetensors"))!), LARGE);
    assert.deepEqual(
      storageRequests.map(({ range }) => range),
      [undefined, "bytes=40000-"],
    );
  });

  it("begins anew where the server cannot send a part", async () => {
    let tries = 0;
    storageAnswer = (_, response) =>
      ++tries === 1
        ? breakOff(response, LARGE, 40_000)
        : response.writeHead(200, { "content-length": LARGE.length }).end(LARGE);
    assert.deepEqual(readFileSync((await source().file("model.safetensors"))!), LARGE);
  });

  it("each time, ends with how far it came, and the next run goes on from there", async () => {
    storageAnswer = (request, response) =>
      request.headers.range === undefined ? breakOff(response, LARGE, 40_000) : void response.destroy();
    await assert.rejects(source().file("model.safetensors"), {
      message:
        "the download of model.safetensors broke off at 40000 of 100000 bytes; the same command goes on from there",
    });
    assert.equal(storageRequests.length, 5, "tries");
    storageRequests = [];
    storageAnswer = (request, response) => sendWithRange(request, response, LARGE);
    assert.deepEqual(readFileSync((await source().file("model.safetensors"))!), LARGE);
    assert.deepEqual(
      storageRequests.map(({ range }) => range),
      ["bytes=40000-"],
    );
  });

  it("begins anew where what lay in the cache was of something else", async () => {
    const blobs = join(cacheFolder, "models--some-owner--tiny-bert", "blobs");
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${sha256(LARGE)}.incomplete`), Buffer.alloc(5000, 7));
    assert.deepEqual(readFileSync((await source().file("model.safetensors"))!), LARGE);
  });
});

describe("a download is refused", () => {
  it("when its bytes are not those of the announced hash, and nothing of it stays", async () => {
    const damaged = Buffer.from(LARGE);
    damaged[5] = 99;
    storageAnswer = (request, response) => sendWithRange(request, response, damaged);
    await assert.rejects(source().file("model.safetensors"), {
      message: `model.safetensors: the download is damaged: expected the hash ${sha256(LARGE)}, got ${sha256(damaged)}. Run the command again`,
    });
    const blob = join(cacheFolder, "models--some-owner--tiny-bert", "blobs", sha256(LARGE));
    assert.deepEqual([existsSync(blob), existsSync(`${blob}.incomplete`)], [false, false]);
  });

  it("when there is no such model, with what to do if it is private", async () => {
    await assert.rejects(source({}, "some-owner/nothing").file("config.json"), {
      message: `${endpoint} has no model some-owner/nothing (status 401); for a private one set HF_TOKEN`,
    });
    await assert.rejects(source({ HF_TOKEN: "hf_x" }, "some-owner/nothing").file("config.json"), {
      message: `${endpoint} has no model some-owner/nothing (status 401); or the token of HF_TOKEN may not read it`,
    });
  });

  it("when the model is gated", async () => {
    hubAnswer = (_, response) => {
      response.writeHead(403, { "x-error-code": "GatedRepo" }).end();
      return true;
    };
    await assert.rejects(source().file("config.json"), {
      message: `${NAME} is gated: accept its terms at ${endpoint}/${NAME}, and set HF_TOKEN to a token of that account`,
    });
  });

  it("when there is no such revision", async () => {
    await assert.rejects(source({}, NAME, "v9").file("config.json"), {
      message: `${NAME} has no revision "v9"`,
    });
  });

  it("when the server is none of Hugging Face's kind", async () => {
    hubAnswer = (_, response) => {
      response.writeHead(200, { "content-length": 2 }).end("{}");
      return true;
    };
    await assert.rejects(source().file("config.json"), {
      message: `${endpoint} does not answer as Hugging Face does: expected the headers x-repo-commit, etag and content-length for config.json`,
    });
  });

  it("when the storage says no", async () => {
    storageAnswer = (_, response) => void response.writeHead(403).end();
    await assert.rejects(source().file("model.safetensors"), {
      message: "the download of model.safetensors was answered 403",
    });
  });

  it("when the server fails five times; before that it is asked again", async () => {
    let failures = 2;
    hubAnswer = (_, response) => {
      if (failures-- <= 0) return false;
      response.writeHead(503).end();
      return true;
    };
    assert.ok(await source().file("config.json"));
    failures = 5;
    rmSync(join(cacheFolder, "models--some-owner--tiny-bert"), { recursive: true });
    await assert.rejects(source().file("config.json"), { message: `${endpoint} answered 503` });
  });
});

describe("without a network", () => {
  it("the copy in the cache is used, and a note says so", async () => {
    await source().file("config.json");
    const gone = endpoint.replace(/\d+$/, "1");
    const model = source({ HF_ENDPOINT: gone });
    assert.deepEqual(readFileSync((await model.file("config.json"))!), SMALL);
    assert.match(notes[0]!, /^http:\/\/localhost:1 cannot be reached: .+; the copy in the cache is used$/);
    assert.equal(await model.file("vocab.txt"), undefined);
    await assert.rejects(source({ HF_ENDPOINT: gone }, "some-owner/other").file("config.json"), {
      message: /^http:\/\/localhost:1 cannot be reached: /,
    });
  });

  it("HF_HUB_OFFLINE asks nobody", async () => {
    await source().file("config.json");
    requests = [];
    const model = source({ HF_HUB_OFFLINE: "1" });
    assert.deepEqual(readFileSync((await model.file("config.json"))!), SMALL);
    assert.equal(await model.file("model.safetensors"), undefined);
    await assert.rejects(source({ HF_HUB_OFFLINE: "1" }, "some-owner/other").file("config.json"), {
      message: `some-owner/other is not in the cache (${cacheFolder}), and HF_HUB_OFFLINE is set`,
    });
    assert.deepEqual(requests, []);
  });
});

describe("the settings of the Hugging Face libraries", () => {
  it("say where the cache is, in their order", () => {
    const folders = (environment: NodeJS.ProcessEnv) => hubSettings(environment).cacheFolder;
    assert.equal(folders({ HF_HUB_CACHE: "/a", HF_HOME: "/b" }), "/a");
    assert.equal(folders({ HUGGINGFACE_HUB_CACHE: "/c", HF_HOME: "/b" }), "/c");
    assert.equal(folders({ HF_HOME: "/b", XDG_CACHE_HOME: "/d" }), join("/b", "hub"));
    assert.equal(folders({ XDG_CACHE_HOME: "/d" }), join("/d", "huggingface", "hub"));
  });

  it("say where the hub is", () => {
    assert.equal(hubSettings({}).endpoint, "https://huggingface.co");
    assert.equal(hubSettings({ HF_ENDPOINT: "https://mirror.example/" }).endpoint, "https://mirror.example");
  });
});

describe("the progress bar", () => {
  const output = (isTTY: boolean) => {
    const lines: string[] = [];
    return { isTTY, lines, write: (text: string) => lines.push(text) };
  };

  it("is written on a terminal, in one line", () => {
    const terminal = output(true);
    const bar = progressBar("model.safetensors", 4_000_000, 1_000_000, terminal);
    bar.set(2_000_000);
    bar.end();
    const line = terminal.lines.at(-2)!;
    assert.match(
      line,
      /^\rmodel\.safetensors \[#{15}\.{15}\] 50 % of 4\.0 MB, 2\.0 MB, [\d.]+ MB\/s\x1b\[K$/,
    );
    assert.equal(terminal.lines.at(-1), "\n");
  });

  it("is not written elsewhere, nor for a small file", () => {
    for (const [isTTY, total] of [
      [false, 4_000_000],
      [true, 1000],
    ] as const) {
      const out = output(isTTY);
      const bar = progressBar("x", total, 0, out);
      bar.set(total);
      bar.end();
      assert.deepEqual(out.lines, []);
    }
  });
});
