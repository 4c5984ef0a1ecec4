/**
 * The requests that take more than one slice of work, and wait between two of them. They hold their model, and
 * there may be only so many of them.
 *
 * workerd drops a request whose client has left at the place where it waits: nothing there runs on, no `finally`
 * either. So a task that was not seen for a while counts no longer.
 */
const GONE_MILLISECONDS = 10_000;

export interface Task {
  /** What it works with. */
  readonly model: object;
  /** In multiply-adds, what is left to do. */
  workLeft: number;
  /** When it last did something. */
  seenAt: number;
  /** What it keeps of a text that is begun. */
  begunBytes: number;
}

const tasks = new Set<Task>();

export function beginTask(model: object, work: number): Task {
  const task = { model, workLeft: work, seenAt: Date.now(), begunBytes: 0 };
  tasks.add(task);
  return task;
}

export function endTask(task: Task): void {
  tasks.delete(task);
}

export function waitingWork(): number {
  return living().reduce((sum, { workLeft }) => sum + Math.max(workLeft, 0), 0);
}

export function begunBytes(): number {
  return living().reduce((sum, { begunBytes }) => sum + begunBytes, 0);
}

export function isHeld(model: object): boolean {
  return living().some((task) => task.model === model);
}

function living(): Task[] {
  const oldest = Date.now() - GONE_MILLISECONDS;
  for (const task of tasks) if (task.seenAt < oldest) tasks.delete(task);
  return [...tasks];
}
