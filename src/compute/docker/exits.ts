/**
 * Tells the platform of containers that end by themselves, each exactly once: at once by the engine's events, and after
 * the event stream was broken by comparing who should live with who does.
 */
import type { ExitEvent } from '../engine.ts';
import { isFailure } from './api.ts';
import type { DockerApi, DockerEvent } from './api.ts';
import { LABEL } from './labels.ts';
import { Lives } from './lives.ts';
import type { Life } from './lives.ts';

export interface ExitsOptions {
  readonly api: DockerApi;
  /** It is sure that nothing of the container runs any more. */
  readonly onGone: (containerId: string) => void;
  readonly onError: (error: unknown) => void;
}

export class Exits {
  readonly lives = new Lives();
  readonly #options: ExitsOptions;
  readonly #listeners = new Set<(event: ExitEvent) => void>();

  constructor(options: ExitsOptions) {
    this.#options = options;
  }

  /** The returned function unsubscribes. */
  on(listener: (event: ExitEvent) => void): () => void {
    const entry = (event: ExitEvent) => listener(event); // its own, should the same function subscribe twice
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  /** A `die` or `oom` event of an app's container. */
  event({ Action, Actor }: DockerEvent): void {
    const containerId = Actor.Attributes[LABEL.container];
    if (containerId === undefined) return;
    if (Action === 'oom') {
      this.lives.ranOutOfMemory(containerId, Actor.ID);
      return;
    }
    const code = Number(Actor.Attributes.exitCode ?? NaN);
    const life = this.lives.ended(containerId, Actor.ID, Number.isInteger(code) ? code : null);
    if (life) this.tell(life);
  }

  /** Those of `believed` that are not among the containers found running, by the engine's ids, have ended. */
  compare(believed: readonly Life[], running: ReadonlySet<string>): void {
    for (const { containerId, engineId } of believed) {
      const life = running.has(engineId) ? undefined : this.lives.ended(containerId, engineId, null);
      if (life) this.tell(life);
    }
  }

  /** Tells of an end that is news. */
  tell(life: Life): void {
    const { onGone, onError } = this.#options;
    onGone(life.containerId);
    void this.#describe(life).then((event) => {
      for (const listener of [...this.#listeners]) {
        try {
          listener(event);
        } catch (error) {
          onError(error);
        }
      }
    });
  }

  /** The engine notes the exit code and what became of the memory more surely than its events carry them. */
  async #describe({ containerId, engineId, exitCode, outOfMemory }: Life): Promise<ExitEvent> {
    try {
      const { State } = await this.#options.api.inspect(engineId);
      return { containerId, exitCode: State.ExitCode, outOfMemory: outOfMemory || State.OOMKilled };
    } catch (thrown) {
      if (!isFailure(thrown, 404)) this.#options.onError(thrown);
      return { containerId, exitCode, outOfMemory };
    }
  }
}
