/**
 * Compares what is believed with what the engine has, whenever either may have changed behind the other's back: when the
 * process starts, and when the engine was away. In between the engine's events tell.
 */
import type { Log } from '../../log.ts';
import { isFailure } from './api.ts';
import type { ContainerRow, DockerApi, DockerEvent } from './api.ts';
import { hasProcess, statusOf } from './describe.ts';
import type { Exits } from './exits.ts';
import { LABEL, joined, ofNode } from './labels.ts';
import type { Occupancy } from './occupancy.ts';
import type { SandboxPool } from './sandbox-pool.ts';
import type { Sandboxes } from './sandboxes.ts';
import type { Sweep } from './sweep.ts';

export interface RecoveryOptions {
  readonly api: DockerApi;
  readonly nodeId: string;
  readonly log: Log;
  readonly sandboxes: Sandboxes;
  readonly pool: SandboxPool;
  readonly occupancy: Occupancy;
  readonly exits: Exits;
  readonly sweep: Sweep;
  /** A container is paused that nobody has told to, or not for sure: it is in use. */
  readonly onPausedInVain: (containerId: string) => void;
}

export class Recovery {
  readonly #options: RecoveryOptions;
  #adopted = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  event(event: DockerEvent): void {
    if (event.Action === 'create') this.#options.sweep.created(event);
    else if (event.Action === 'pause') this.#paused(event.Actor.Attributes[LABEL.container], event.Actor.ID);
    else if (event.Actor.Attributes[LABEL.role] === 'app') this.#options.exits.event(event);
    else if (event.Action === 'die') this.#sandboxDied(event.Actor.ID);
  }

  /** Errors: `engine_unavailable`; it can be run again. */
  async run(): Promise<void> {
    const { api, nodeId, sandboxes, pool, exits, sweep } = this.#options;
    await sandboxes.prepare();
    // Noted before the engine is asked: what is started meanwhile may not be in its list.
    const believedLives = exits.lives.live();
    const believedSandboxes = sandboxes.ids();
    const rows = await api.list(ofNode(nodeId));
    const running = new Map(
      rows.filter((row) => hasProcess(statusOf(row.State))).map((row) => [row.Id, row]),
    );

    if (!this.#adopted) await this.#adopt(running);
    exits.compare(believedLives, new Set(running.keys()));
    for (const { Id, Labels, State } of rows)
      if (statusOf(State) === 'paused') this.#paused(Labels[LABEL.container], Id);
    for (const id of believedSandboxes) if (!running.has(id)) this.#sandboxDied(id);
    sweep.doubt(); // what cannot be removed at this moment keeps nobody waiting
    await pool.fill();
  }

  /**
   * Takes over what an earlier process left running, once: from then on this process knows the use of every sandbox, and
   * a list that is a moment old must not tell it otherwise.
   */
  async #adopt(running: ReadonlyMap<string, ContainerRow>): Promise<void> {
    const { exits, sandboxes, occupancy, sweep } = this.#options;
    this.#adopted = true;
    for (const row of running.values()) {
      const containerId = row.Labels[LABEL.container];
      if (containerId === undefined) continue;
      exits.lives.adopt(containerId, row.Id, statusOf(row.State) === 'paused');
      const sandboxRow = running.get(joined(row.HostConfig.NetworkMode) ?? '');
      const sandbox = sandboxRow && sandboxes.adopt(sandboxRow);
      if (sandbox) occupancy.hold(containerId, sandbox);
      else await this.#kill(containerId, row.Id);
    }
    sweep.begin();
  }

  #paused(containerId: string | undefined, engineId: string): void {
    const { exits, onPausedInVain } = this.#options;
    if (containerId !== undefined && exits.lives.isPausedInVain(containerId, engineId))
      onPausedInVain(containerId);
  }

  #sandboxDied(sandboxId: string): void {
    const { exits, occupancy } = this.#options;
    const containerId = occupancy.died(sandboxId);
    const life = containerId === undefined ? undefined : exits.lives.get(containerId);
    // One that is still starting fails by itself, and is started again.
    if (life?.state === 'live') void this.#kill(life.containerId, life.engineId);
  }

  /** An app without its sandbox has no network. Its end is reported, and its successor gets a new one. */
  async #kill(containerId: string, engineId: string): Promise<void> {
    const { api, log } = this.#options;
    log.warn({ containerId }, 'the network of a container has died: the container is killed');
    try {
      await api.kill(engineId);
    } catch (thrown) {
      if (!isFailure(thrown)) log.warn({ containerId, error: String(thrown) }, 'it could not be killed');
    }
  }
}
