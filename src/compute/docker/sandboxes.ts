/**
 * The ground containers stand on, as Docker sees it: one network for the node, and sandboxes on it.
 *
 * The network is a bridge that keeps all containers apart from each other, so that one per node is enough however many
 * apps there are. A sandbox is known from the moment it is made until it is discarded; one with the node's label that is
 * not known and serves nobody is what an earlier process left behind.
 */
import { randomBytes } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { sleep } from '../../clock.ts';
import type { Clock } from '../../clock.ts';
import { PlatformError } from '../../errors.ts';
import { isFailure } from './api.ts';
import type { ContainerRow, CreateBody, DockerApi, NetworkRow } from './api.ts';
import { CONFINED } from './container-spec.ts';
import { LABEL, ofNode } from './labels.ts';
import { SANDBOX_ARCHITECTURES, sandboxImage } from './sandbox-image.ts';
import type { SandboxImage } from './sandbox-image.ts';
import type { Sandbox } from './sandbox-pool.ts';

/** Room for the runtime's own start; the program itself needs a page. */
const MEMORY_BYTES = 32 * 1024 * 1024;
const PIDS_MAX = 32;
/** A container that has just gone may be on its network still. */
const NETWORK_TRIES = 20;
const NETWORK_RETRY_MS = 100;

/** Where the node's containers are. */
export interface ContainerNetwork {
  /** Their address ranges (CIDR). */
  readonly subnets: readonly string[];
  /** The host's own address there. Undefined: the network has none. */
  readonly gateway: string | undefined;
}

export interface SandboxesOptions {
  readonly api: DockerApi;
  readonly nodeId: string;
  readonly clock: Clock;
  /** A sandbox that is not known any more may be there, or may yet come. */
  readonly onLeft: () => void;
}

export class Sandboxes {
  readonly #api: DockerApi;
  readonly #nodeId: string;
  readonly #clock: Clock;
  readonly #onLeft: () => void;
  readonly #byId = new Map<string, Sandbox>();
  /** Names of those being made, which the engine lists before we know their ids. */
  readonly #making = new Set<string>();
  #image: SandboxImage | undefined;
  /** The network's addresses, once they are known. */
  #ranges: NonNullable<NonNullable<NetworkRow['IPAM']>['Config']> = [];
  #grounding: Promise<void> | undefined;

  constructor({ api, nodeId, clock, onLeft }: SandboxesOptions) {
    this.#api = api;
    this.#nodeId = nodeId;
    this.#clock = clock;
    this.#onLeft = onLeft;
  }

  get #networkName(): string {
    return `mayfly-${this.#nodeId}`;
  }

  /** Makes sure that the network and the sandbox image are there. Errors: `unsupported`, `engine_unavailable`. */
  prepare(): Promise<void> {
    this.#grounding ??= Promise.all([this.#ensureNetwork(), this.#ensureImage()])
      .then(() => {})
      .finally(() => (this.#grounding = undefined));
    return this.#grounding;
  }

  /** Known after `prepare`, and the same from then on. */
  get network(): ContainerNetwork {
    const [gateway] = this.#ranges.flatMap(({ Gateway }) =>
      Gateway !== undefined && isIPv4(Gateway) ? Gateway : [],
    );
    return { subnets: this.#ranges.flatMap(({ Subnet }) => Subnet ?? []), gateway };
  }

  /** Removes the network unless a container still uses it. Errors: `internal`, should the engine not let go of it. */
  async removeNetwork(): Promise<void> {
    for (const { Id } of await this.#api.listNetworks(ofNode(this.#nodeId))) {
      for (let tries = 1; !(await this.#removedNetwork(Id)); tries++) {
        if (tries === NETWORK_TRIES)
          throw new PlatformError('internal', 'it is in use by nobody who is there');
        await sleep(this.#clock, NETWORK_RETRY_MS);
      }
    }
  }

  /** False: the engine still takes it to be in use, although no container is left that uses it. */
  async #removedNetwork(id: string): Promise<boolean> {
    try {
      await this.#api.removeNetwork(id);
      return true;
    } catch (thrown) {
      if (!isFailure(thrown)) throw thrown;
      return isFailure(thrown, 404) || (await this.#api.list(ofNode(this.#nodeId))).length > 0;
    }
  }

  ids(): string[] {
    return [...this.#byId.keys()];
  }

  get(id: string): Sandbox | undefined {
    return this.#byId.get(id);
  }

  /** Whether this process made or adopted it, and has not discarded it. */
  knows(id: string, names: readonly string[]): boolean {
    return this.#byId.has(id) || names.some((name) => this.#making.has(name));
  }

  /** Takes over a running sandbox of an earlier process; undefined when it has no address. */
  adopt(row: ContainerRow): Sandbox | undefined {
    const host = row.NetworkSettings.Networks[this.#networkName]?.IPAddress;
    if (!host) return undefined;
    const sandbox: Sandbox = { id: row.Id, host, bornAtMs: row.Created * 1000 };
    this.#byId.set(row.Id, sandbox);
    return sandbox;
  }

  async make(): Promise<Sandbox> {
    try {
      return await this.#make();
    } catch (thrown) {
      // Someone has pruned the network or the image since; make them anew, once.
      if (!isFailure(thrown, 404)) throw failedToMake(thrown);
      await this.prepare();
      return await this.#make().catch((again: unknown) => {
        throw failedToMake(again);
      });
    }
  }

  /** It is not known from here on: whoever calls sees to it that it goes. */
  disown(sandbox: Sandbox): void {
    this.#byId.delete(sandbox.id);
  }

  async discard(sandbox: Sandbox): Promise<void> {
    this.disown(sandbox);
    try {
      await this.removeContainer(sandbox.id);
    } catch (thrown) {
      this.#onLeft();
      throw thrown;
    }
  }

  /** Removes any container, by the engine's id; what is gone already, or going, is no error. Returns when it is gone. */
  async removeContainer(id: string): Promise<void> {
    try {
      await this.#api.remove(id);
    } catch (thrown) {
      if (isFailure(thrown, 409)) await this.#api.waitRemoved(id).catch(ignoreMissing);
      else ignoreMissing(thrown);
    }
  }

  /** Whether it still runs, so that a container can join it. */
  async runs(sandbox: Sandbox): Promise<boolean> {
    try {
      return (await this.#api.inspect(sandbox.id)).State.Running;
    } catch (thrown) {
      ignoreMissing(thrown);
      return false;
    }
  }

  async #make(): Promise<Sandbox> {
    if (!this.#image) await this.#ensureImage();
    const name = `mayfly-${this.#nodeId}-sandbox-${randomBytes(6).toString('hex')}`;
    this.#making.add(name);
    try {
      return await this.#makeAs(name);
    } catch (thrown) {
      this.#onLeft(); // the engine may not have removed it, or may make it yet
      throw thrown;
    } finally {
      this.#making.delete(name);
    }
  }

  async #makeAs(name: string): Promise<Sandbox> {
    const id = await this.#api.create(this.#body(name));
    try {
      await this.#api.start(id);
      const host = (await this.#api.inspect(id)).NetworkSettings.Networks[this.#networkName]?.IPAddress;
      if (!host) throw new Error(`the sandbox ${name} was given no address on ${this.#networkName}`);
      const sandbox: Sandbox = { id, host, bornAtMs: this.#clock.nowMs() };
      this.#byId.set(id, sandbox);
      return sandbox;
    } catch (thrown) {
      await this.removeContainer(id).catch(() => {}); // it is what made this fail that matters
      throw thrown;
    }
  }

  #body(name: string): CreateBody {
    const image = this.#image;
    return {
      name,
      Image: image ? `${image.repo}:${image.tag}` : '',
      User: '65534:65534',
      Labels: { [LABEL.node]: this.#nodeId, [LABEL.role]: 'sandbox' },
      HostConfig: {
        ...CONFINED,
        SecurityOpt: [...CONFINED.SecurityOpt],
        Memory: MEMORY_BYTES,
        MemorySwap: MEMORY_BYTES,
        PidsLimit: PIDS_MAX,
        ReadonlyRootfs: true,
        NetworkMode: this.#networkName,
        IpcMode: 'none',
        LogConfig: { Type: 'none', Config: {} },
      },
    };
  }

  async #ensureNetwork(): Promise<void> {
    const name = this.#networkName;
    if (await this.#findNetwork()) return;
    try {
      await this.#api.createNetwork({
        Name: name,
        CheckDuplicate: true,
        Driver: 'bridge',
        Labels: { [LABEL.node]: this.#nodeId },
        Options: { 'com.docker.network.bridge.enable_icc': 'false' },
        // Made anew where it was before: the proxy's doors know its addresses.
        ...(this.#ranges.length > 0 && { IPAM: { Config: this.#ranges } }),
      });
      await this.#findNetwork();
    } catch (thrown) {
      if (!isFailure(thrown)) throw thrown;
      if (isFailure(thrown, 409) && (await this.#findNetwork())) return;
      throw new PlatformError(
        'engine_unavailable',
        `Docker cannot make the network ${name}: ${thrown.message}`,
        {
          cause: thrown,
          hint: 'Remove networks that are not needed ("docker network prune"), or widen default-address-pools.',
        },
      );
    }
  }

  /** Whether it is there; its addresses are known then. */
  async #findNetwork(): Promise<boolean> {
    const networks = await this.#api.listNetworks(ofNode(this.#nodeId));
    const found = networks.find(({ Name }) => Name === this.#networkName);
    if (found) this.#ranges = found.IPAM?.Config ?? [];
    return found !== undefined;
  }

  async #ensureImage(): Promise<void> {
    const { arch } = await this.#api.version();
    const image = sandboxImage(arch);
    if (!image)
      throw new PlatformError(
        'unsupported',
        `the Docker Engine runs on ${arch}, for which there is no sandbox`,
        {
          hint: `Use an engine on ${SANDBOX_ARCHITECTURES.join(' or ')}, or --engine process.`,
        },
      );
    try {
      await this.#api.inspectImage(`${image.repo}:${image.tag}`);
    } catch (thrown) {
      ignoreMissing(thrown);
      const changes = [`CMD ["${image.command}"]`];
      await this.#api.importImage(image.tar, { repo: image.repo, tag: image.tag, changes });
    }
    this.#image = image;
  }
}

function ignoreMissing(thrown: unknown): void {
  if (!isFailure(thrown, 404)) throw thrown;
}

function failedToMake(thrown: unknown): unknown {
  if (!isFailure(thrown)) return thrown;
  return new PlatformError('start_failed', `Docker cannot make a sandbox: ${thrown.message}`, {
    cause: thrown,
  });
}
