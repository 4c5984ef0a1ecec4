// A model on Hugging Face, downloaded file by file into the cache that its Python libraries use: what they have
// downloaded is found here, and what is downloaded here is found by them. The layout of the cache and the headers are
// those of huggingface_hub (docs: "Understand caching"; file_download.py). Its npm package neither resumes a
// download nor checks one, and reads no HF_ENDPOINT.
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { copyFile, mkdir, open, rename, rm, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative } from "node:path";
import { pipeline } from "node:stream/promises";
import { UserError } from "../project.js";
import type { ProgressBar } from "./progress.js";
import type { ModelSource } from "./source.js";

export interface HubSettings {
  endpoint: string;
  token: string | undefined;
  cacheFolder: string;
  /** Nothing is asked of the network. */
  isOffline: boolean;
  /** How long to wait before the first further try; each next one waits twice as long. */
  retryMilliseconds: number;
}

export interface HubOptions {
  revision: string | undefined;
  settings: HubSettings;
  note: (text: string) => void;
  progressBar: (title: string, total: number, start: number) => ProgressBar;
}

const DEFAULT_ENDPOINT = "https://huggingface.co";
const DEFAULT_REVISION = "main";
const COMMIT = /^[0-9a-f]{40}$/;
const MAX_TRIES = 5;
/** A download without a byte for so long is taken up again. */
const STALL_MILLISECONDS = 30_000;

/** What the environment says, in the order in which huggingface_hub reads it. */
export function hubSettings(environment: NodeJS.ProcessEnv): HubSettings {
  const value = (name: string) => environment[name]?.trim() || undefined;
  const home = value("HF_HOME") ?? join(value("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface");
  const tokenFile = value("HF_TOKEN_PATH") ?? join(home, "token");
  const fileToken = () => (existsSync(tokenFile) ? readFileSync(tokenFile, "utf8").trim() : "");
  return {
    endpoint: (value("HF_ENDPOINT") ?? DEFAULT_ENDPOINT).replace(/\/+$/, ""),
    token: value("HF_TOKEN") ?? value("HUGGING_FACE_HUB_TOKEN") ?? (fileToken() || undefined),
    cacheFolder: value("HF_HUB_CACHE") ?? value("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"),
    isOffline: /^(1|true|yes|on)$/i.test(value("HF_HUB_OFFLINE") ?? ""),
    retryMilliseconds: 500,
  };
}

/** `name` is owner/name. */
export function hubSource(name: string, options: HubOptions): ModelSource {
  const repository = new Repository(name, options);
  const files = new Map<string, Promise<string | undefined>>();
  return {
    name: name.slice(name.indexOf("/") + 1),
    get origin() {
      return `${name} at ${repository.commit ?? options.revision ?? DEFAULT_REVISION}`;
    },
    file: (path) => {
      const file = files.get(path) ?? repository.file(path);
      files.set(path, file);
      return file;
    },
  };
}

/** What a HEAD request says of a file. */
interface RemoteFile {
  etag: string;
  bytes: number;
}

class Repository {
  /** Known after the first answer; all files are of the same one. */
  commit: string | undefined;
  private readonly folder: string;
  private readonly revision: string;
  private isOffline: boolean;

  constructor(
    private readonly name: string,
    private readonly options: HubOptions,
  ) {
    this.folder = join(options.settings.cacheFolder, `models--${name.replaceAll("/", "--")}`);
    this.revision = options.revision ?? DEFAULT_REVISION;
    this.isOffline = options.settings.isOffline;
    if (COMMIT.test(this.revision)) this.commit = this.revision;
    else if (this.isOffline) this.commit = this.cachedCommit();
  }

  async file(path: string): Promise<string | undefined> {
    const cached = this.cachedFile(path);
    if (cached !== undefined || this.isOffline) return cached ?? this.absentOffline();
    let remote: RemoteFile | undefined;
    try {
      remote = await this.withRetries(() => this.ask(path));
    } catch (error) {
      // As huggingface_hub: what was downloaded before still serves.
      if (!(error instanceof Unreachable) || (this.commit ?? this.cachedCommit()) === undefined) throw error;
      this.options.note(`${error.message}; the copy in the cache is used`);
      this.commit ??= this.cachedCommit();
      this.isOffline = true;
      return this.cachedFile(path);
    }
    return remote && (this.cachedFile(path) ?? (await this.download(path, remote)));
  }

  private cachedCommit(): string | undefined {
    const reference = join(this.folder, "refs", this.revision);
    return existsSync(reference) ? readFileSync(reference, "utf8").trim() : undefined;
  }

  private cachedFile(path: string): string | undefined {
    if (this.commit === undefined) return undefined;
    const file = this.snapshotFile(path);
    return existsSync(file) ? file : undefined;
  }

  private snapshotFile(path: string): string {
    return join(this.folder, "snapshots", this.commit!, ...path.split("/"));
  }

  private absentOffline(): undefined {
    if (this.commit !== undefined && existsSync(join(this.folder, "snapshots", this.commit)))
      return undefined;
    throw new UserError(
      `${this.name} is not in the cache (${this.options.settings.cacheFolder}), and HF_HUB_OFFLINE is set`,
    );
  }

  private url(path: string): string {
    const revision = encodeURIComponent(this.commit ?? this.revision);
    return `${this.options.settings.endpoint}/${this.name}/resolve/${revision}/${path}`;
  }

  private headers(): Record<string, string> {
    const { token } = this.options.settings;
    return {
      "user-agent": "embeddings-worker",
      // A length and a place in a compressed answer would be others.
      "accept-encoding": "identity",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
  }

  /** undefined: the model has no such file. */
  private async ask(path: string): Promise<RemoteFile | undefined> {
    let response = await this.fetch(this.url(path), { method: "HEAD", redirect: "manual" });
    // A repository that was renamed. A redirect to elsewhere leads to the bytes, and what is asked here it does not say.
    for (let hops = 0; hops < 5 && response.headers.get("location")?.startsWith("/"); hops++) {
      const { origin } = new URL(this.options.settings.endpoint);
      response = await this.fetch(origin + response.headers.get("location")!, {
        method: "HEAD",
        redirect: "manual",
      });
    }
    await this.takeCommit(response);
    if (response.status >= 400) {
      this.refuseUnlessAbsent(response, path);
      return undefined;
    }
    const etag = (response.headers.get("x-linked-etag") ?? response.headers.get("etag") ?? "").replace(
      /^(W\/)?"?|"$/g,
      "",
    );
    const bytes = Number(
      response.headers.get("x-linked-size") ?? response.headers.get("content-length") ?? NaN,
    );
    if (this.commit === undefined || !/^[\w.-]+$/.test(etag) || !Number.isSafeInteger(bytes)) {
      throw new UserError(
        `${this.options.settings.endpoint} does not answer as Hugging Face does: expected the headers x-repo-commit, etag ` +
          `and content-length for ${path}`,
      );
    }
    return { etag, bytes };
  }

  private async takeCommit(response: Response): Promise<void> {
    const commit = response.headers.get("x-repo-commit") ?? "";
    if (this.commit !== undefined || !COMMIT.test(commit)) return;
    this.commit = commit;
    const reference = join(this.folder, "refs", this.revision);
    await mkdir(dirname(reference), { recursive: true });
    await writeFile(reference, commit);
  }

  private refuseUnlessAbsent(response: Response, path: string): void {
    const { endpoint, token } = this.options.settings;
    const reason = response.headers.get("x-error-code");
    if (reason === "GatedRepo") {
      throw new UserError(
        `${this.name} is gated: accept its terms at ${endpoint}/${this.name}, and set HF_TOKEN to a token of that account`,
      );
    }
    if (reason === "RevisionNotFound") {
      throw new UserError(`${this.name} has no revision "${this.revision}"`);
    }
    if (response.status === 401 || response.status === 403 || reason === "RepoNotFound") {
      const hint =
        token === undefined ? "for a private one set HF_TOKEN" : "or the token of HF_TOKEN may not read it";
      throw new UserError(`${endpoint} has no model ${this.name} (status ${response.status}); ${hint}`);
    }
    if (response.status !== 404) {
      throw new UserError(`${endpoint} answered ${response.status} for ${path} of ${this.name}`);
    }
  }

  private async download(path: string, remote: RemoteFile): Promise<string> {
    const blob = join(this.folder, "blobs", remote.etag);
    const incomplete = `${blob}.incomplete`;
    await mkdir(dirname(blob), { recursive: true });
    if (!existsSync(blob)) {
      const hadBytes = existsSync(incomplete);
      await this.fill(incomplete, path, remote);
      let found = await contentHash(incomplete, remote);
      if (found !== remote.etag && hadBytes) {
        // What lay there may have been of another download.
        await rm(incomplete);
        await this.fill(incomplete, path, remote);
        found = await contentHash(incomplete, remote);
      }
      if (found !== remote.etag) {
        await rm(incomplete);
        throw new UserError(
          `${path}: the download is damaged: expected the hash ${remote.etag}, got ${found}. Run the command again`,
        );
      }
      await rename(incomplete, blob);
    }
    const file = this.snapshotFile(path);
    await mkdir(dirname(file), { recursive: true });
    try {
      await symlink(relative(dirname(file), blob), file);
    } catch (error) {
      // Windows lets few make links.
      if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
      await copyFile(blob, file);
    }
    return file;
  }

  /** Until the file has all its bytes; goes on where an earlier try or an earlier run ended. */
  private async fill(incomplete: string, path: string, { bytes }: RemoteFile): Promise<void> {
    const present = () => statSync(incomplete, { throwIfNoEntry: false })?.size ?? 0;
    if (present() > bytes) await rm(incomplete);
    const bar = this.options.progressBar(path, bytes, present());
    const file = await open(incomplete, "a");
    try {
      await this.withRetries(async () => {
        const start = present();
        if (start === bytes) return;
        const stall = new AbortController();
        let timer = setTimeout(() => stall.abort(), STALL_MILLISECONDS);
        try {
          const response = await this.fetch(this.url(path), {
            headers: start > 0 ? { range: `bytes=${start}-` } : {},
            signal: stall.signal,
          });
          if (!response.ok) throw new UserError(`the download of ${path} was answered ${response.status}`);
          if (response.status !== 206 && start > 0) {
            await file.truncate(0);
            bar.set(0);
          }
          for await (const chunk of response.body ?? []) {
            clearTimeout(timer);
            timer = setTimeout(() => stall.abort(), STALL_MILLISECONDS);
            await file.write(chunk as Uint8Array);
            bar.set(present());
          }
        } catch (error) {
          if (error instanceof UserError && !(error instanceof Unreachable)) throw error;
          throw new Unreachable(
            `the download of ${path} broke off at ${present()} of ${bytes} bytes; the same command goes on from there`,
          );
        } finally {
          clearTimeout(timer);
        }
        if (present() !== bytes) {
          throw new Unreachable(`the download of ${path} has ${present()} bytes, expected ${bytes}`);
        }
      });
    } finally {
      await file.close();
      bar.end();
    }
  }

  /** Throws `Unreachable` where a further try may help. */
  private async fetch(url: string, options: RequestInit): Promise<Response> {
    const { endpoint } = this.options.settings;
    const headers = { ...this.headers(), ...(options.headers as Record<string, string>) };
    let response: Response;
    try {
      response = await fetch(url, { ...options, headers });
    } catch (error) {
      const { cause, message } = error as Error & { cause?: Error };
      throw new Unreachable(`${endpoint} cannot be reached: ${cause?.message || message}`);
    }
    if (response.status === 429 || response.status >= 500) {
      throw new Unreachable(`${endpoint} answered ${response.status}`);
    }
    return response;
  }

  private async withRetries<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Unreachable) || tries === MAX_TRIES) throw error;
        const wait = this.options.settings.retryMilliseconds * 2 ** (tries - 1);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }
}

/** Worth another try. */
class Unreachable extends UserError {}

/** The hash that an etag is: SHA-256 for a large file, git's for another. Any other etag says nothing of the content. */
async function contentHash(path: string, { etag, bytes }: RemoteFile): Promise<string> {
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) return etag;
  const hash = etag.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
