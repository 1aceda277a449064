/** Ctrl-C ends a bench as its own end does: whoever waits throws, and everything is put away in order. */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What a shell says of a program that was interrupted. */
const INTERRUPTED = 130;

/** Aborts the signal at the first Ctrl-C (SIGINT, SIGTERM, SIGHUP); what `work` then throws ends the bench, not the program. */
export async function interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const abort = new AbortController();
  const onSignal = (name: NodeJS.Signals) => abort.abort(new Error(`interrupted by ${name}`));
  for (const name of SIGNALS) process.on(name, onSignal);
  // The platform's timers and children keep no process alive, and a bench may wait for nothing else.
  const alive = setInterval(() => undefined, 2 ** 31 - 1);
  try {
    await work(abort.signal);
  } catch (thrown) {
    if (!abort.signal.aborted) throw thrown;
    progress('interrupted');
    process.exitCode = INTERRUPTED;
  } finally {
    clearInterval(alive);
    for (const name of SIGNALS) process.off(name, onSignal);
  }
}

/** For whoever waits before the screen; the report itself goes to standard output. */
export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}
