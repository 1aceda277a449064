/**
 * A worker as the control plane sees it: a data plane like any other, whose words cross a channel. When the worker has gone,
 * so has what was in flight there: every drain that waited for it is done, and its tokens are free.
 */
import { isPlatformError } from '../../errors.ts';
import type { Clock } from '../../clock.ts';
import type {
  Activation,
  ColdStartReport,
  ControlPlane,
  DataPlane,
  DrainOptions,
  DrainResult,
  Endpoint,
} from '../control-plane.ts';
import type { CertificateChange } from '../doors/certificates.ts';
import { LruMap } from '../lru.ts';
import type { ProxySnapshot } from '../snapshot.ts';
import type { Channel, Hearing } from './channel.ts';
import type { ControlSpeech, Invalidation, WorkerSpeech } from './protocol.ts';
import type { Holder, SlotLedger } from './slot-ledger.ts';

/** Containers of which is known how this worker came to use them last. */
const MAX_ACTIVATIONS = 1_000;

export interface RemoteDataPlaneOptions {
  readonly control: ControlPlane;
  readonly clock: Clock;
  readonly ledger: SlotLedger;
  /** Activations whose cold start has been reported; shared by all workers. */
  readonly reported: WeakSet<Activation>;
  readonly channel: (hearing: Hearing<WorkerSpeech>) => Channel<ControlSpeech, WorkerSpeech>;
}

export class RemoteDataPlane implements DataPlane, Holder {
  readonly channel: Channel<ControlSpeech, WorkerSpeech>;
  readonly #options: RemoteDataPlaneOptions;
  readonly #activations = new LruMap<string, Activation>(MAX_ACTIVATIONS);
  readonly #detach: () => void;
  #gone = false;

  /** Attached to the control plane from here on. */
  constructor(options: RemoteDataPlaneOptions) {
    this.#options = options;
    this.channel = options.channel(this.#hearing());
    options.ledger.join(this);
    this.#detach = options.control.attach(this);
  }

  /** The worker has gone. Calling it again does nothing. */
  gone(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.channel.close();
    this.#detach();
    this.#options.ledger.leave(this);
  }

  /** Errors: `shutting_down` if it goes before it answers. */
  snapshot(): Promise<ProxySnapshot> {
    return this.channel.ask('snapshot', null);
  }

  changeCertificates(change: CertificateChange): void {
    this.channel.tell('certificates', change);
  }

  // ---- what the control plane asks

  endpoints(appId: string, endpoints: readonly Endpoint[]): void {
    this.#options.ledger.name(this, appId, endpoints);
    this.channel.tellMerged('endpoints', appId, { appId, endpoints });
  }

  async drain(containerId: string, options: DrainOptions = {}): Promise<DrainResult> {
    try {
      return await this.channel.ask('drain', { containerId, options });
    } catch (thrown) {
      // Gone: nothing is in flight there any more. Anything else leaves that unknown, so the container counts as busy.
      if (isPlatformError(thrown, 'shutting_down') && this.#gone) return { drained: true };
      return { drained: false, lastActiveAtMs: this.#options.clock.nowMs() };
    }
  }

  abort(containerId: string): void {
    this.channel.tellMerged('abort', containerId, containerId);
  }

  invalidate(change: Invalidation): void {
    // The hosts that it has in the end. What led to it by one that it had for a moment is forgotten with it.
    this.channel.tellMerged('invalidate', change.appId, change);
  }

  // ---- what the ledger asks

  grant(appId: string, containerId: string, tokens: number): void {
    this.channel.tell('grant', { appId, containerId, tokens });
  }

  recall(containerId: string, tokens: number, floor: number): void {
    this.channel.tellMerged('recall', containerId, { containerId, tokens, floor });
  }

  // ---- what the worker says

  #hearing(): Hearing<WorkerSpeech> {
    const { control, ledger } = this.#options;
    return {
      tells: {
        suspect: (containerId) => control.suspect(containerId),
        observe: (load) => control.observe(load, this),
        report: (coldStarts) => {
          const first = coldStarts.filter((one) => this.#isFirst(one));
          if (first.length > 0) control.report({ coldStarts: first });
        },
        give: ({ containerId, tokens }) => ledger.given(this, containerId, tokens),
        want: ({ appId, tokens }) => ledger.want(this, appId, tokens),
      },
      asks: {
        resolve: async (host) => (await control.resolve(host)) ?? null,
        guest: async (address) => (await control.guest(address)) ?? null,
        activate: async (appId) => {
          const activation = await control.activate(appId);
          if (activation.kind !== 'warm') this.#activations.set(activation.containerId, activation);
          return activation;
        },
      },
    };
  }

  /** Each worker that waited for a start reports it; it was one, and whoever was answered first tells of it. */
  #isFirst({ containerId }: ColdStartReport): boolean {
    const activation = this.#activations.get(containerId);
    if (activation === undefined) return true;
    const { reported } = this.#options;
    if (reported.has(activation)) return false;
    reported.add(activation);
    return true;
  }
}
