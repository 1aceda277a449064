/**
 * Pausing and resuming. Whoever is refused a pause goes on using the container, so one that the engine pauses late, or that
 * somebody pauses by hand, is resumed: it would answer nobody, and while it is asked it is not idle, so nothing would wake it.
 */
import { PlatformError, isPlatformError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { EngineContainer } from '../engine.ts';
import { isFailure } from './api.ts';
import type { DockerApi } from './api.ts';
import { hasProcess } from './describe.ts';
import { failed, unknown } from './failed.ts';
import type { Lives } from './lives.ts';

export interface PausesOptions {
  readonly api: DockerApi;
  readonly log: Log;
  readonly lives: Lives;
  /** What the engine calls a container. Errors: `not_found`. */
  readonly engineIdOf: (containerId: string) => Promise<string>;
  readonly inspect: (containerId: string) => Promise<EngineContainer | undefined>;
}

export class Pauses {
  readonly #options: PausesOptions;

  constructor(options: PausesOptions) {
    this.#options = options;
  }

  /** See `Engine.pause`. */
  async pause(containerId: string): Promise<void> {
    const { api, lives } = this.#options;
    const life = lives.get(containerId);
    if (life) life.isToBePaused = true;
    try {
      await this.#become('paused', containerId, (engineId) => api.pause(engineId));
    } catch (thrown) {
      if (life) life.isToBePaused = false;
      // The caller goes on using it, and the engine may have paused it, or may do so yet, of which its events tell.
      if (isPlatformError(thrown, 'engine_unavailable')) this.thaw(containerId);
      throw thrown;
    }
  }

  /** See `Engine.unpause`. */
  async unpause(containerId: string): Promise<void> {
    const life = this.#options.lives.get(containerId);
    if (life) life.isToBePaused = false;
    await this.#resume(containerId);
  }

  /** It takes requests, and is paused, or may be. That it cannot be resumed is logged. */
  thaw(containerId: string): void {
    this.#resume(containerId).catch((error: unknown) =>
      this.#options.log.warn(
        { containerId, error: String(error) },
        'a paused container that is in use stays so',
      ),
    );
  }

  #resume(containerId: string): Promise<void> {
    return this.#become('running', containerId, (engineId) => this.#options.api.unpause(engineId));
  }

  /** Asks what is the case only when the engine refuses, most often because it is so already. */
  async #become(
    wanted: 'paused' | 'running',
    containerId: string,
    act: (engineId: string) => Promise<void>,
  ): Promise<void> {
    const { engineIdOf, inspect } = this.#options;
    try {
      await act(await engineIdOf(containerId));
    } catch (thrown) {
      if (!isFailure(thrown)) throw thrown;
      const found = await inspect(containerId);
      if (!found) throw unknown(containerId);
      if (found.status === wanted) return;
      if (hasProcess(found.status))
        throw failed(wanted === 'paused' ? 'pause' : 'unpause', containerId, thrown);
      throw new PlatformError('invalid_transition', `${containerId} does not run: it is ${found.status}`, {
        cause: thrown,
      });
    }
  }
}
