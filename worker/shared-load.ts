/** Something that an isolate loads once, for all requests that come meanwhile. */
import { modelUnavailable } from "./errors";

/** A load that makes no progress for so long is given up: the request that it belonged to was killed. */
export const LOAD_IDLE_MILLISECONDS = 5_000;
/** A request that has waited for so long is answered 503; the load goes on. */
const LOAD_WAIT_MILLISECONDS = 20_000;

/** What keeps a load going when the client that began it leaves. */
export type LoadContext = Pick<ExecutionContext, "waitUntil">;

/** One run of a load. */
interface Load<T> {
  /** Undefined when the load was given up for another one. */
  result: Promise<T | undefined>;
  /** Grows as long as the load is alive. */
  progress: number;
}

/**
 * Something that an isolate loads once. Requests that come while it loads share one load; a failed load is
 * not kept, so the next request tries again. A load whose request was killed never settles and makes no
 * progress. A waiter that sees none for 5 s starts a new load. If the old one wakes up, it writes nothing.
 */
export class SharedLoad<T, Env> {
  value: T | undefined;
  private current: Load<T> | undefined;

  constructor(private readonly load: (env: Env, proceed: () => boolean) => Promise<T | undefined>) {}

  async get(env: Env, ctx: LoadContext): Promise<T> {
    for (let waited = 0; waited < LOAD_WAIT_MILLISECONDS; waited += LOAD_IDLE_MILLISECONDS) {
      if (this.value !== undefined) return this.value;
      const load = (this.current ??= this.start(env, ctx));
      const { progress } = load;
      const value = await settledWithin(LOAD_IDLE_MILLISECONDS, load.result);
      if (value !== undefined) return value;
      if (load.progress === progress && this.current === load) this.current = undefined;
    }
    throw modelUnavailable(`Loading takes longer than ${LOAD_WAIT_MILLISECONDS} milliseconds.`);
  }

  /** What was loaded is gone, and a load that is under way has lost the place that it writes to. */
  forget(): void {
    this.value = undefined;
    this.current = undefined;
  }

  private start(env: Env, ctx: LoadContext): Load<T> {
    const load: Load<T> = { result: Promise.resolve(undefined), progress: 0 };
    const proceed = (): boolean => {
      // Given up because it was slow to begin, and yet the first of all to do so: nothing is written so far.
      if (this.value === undefined && load.progress === 0 && !this.current?.progress) this.current = load;
      load.progress++;
      return this.current === load;
    };
    load.result = (async () => {
      // Not before `current` is this load.
      await undefined;
      try {
        const value = await this.load(env, proceed);
        if (proceed()) this.value = value;
        return value;
      } finally {
        if (this.current === load) this.current = undefined;
      }
    })();
    // Its first client may leave; the others go on waiting.
    ctx.waitUntil(load.result.catch(() => {}));
    return load;
  }
}

export async function settledWithin<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeUp = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([promise, timeUp]);
  } finally {
    if (timer !== undefined) clearTimeout(timer);
  }
}
