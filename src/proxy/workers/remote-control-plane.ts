/**
 * The control plane as a worker sees it: every call of the port becomes words on the channel, and what the control process
 * pushes is done to the worker's own data plane. Of a container's limit, and of what an app may have waiting, the worker
 * sees its own part only.
 */
import type {
  Activation,
  ControlPlane,
  DataPlane,
  GuestRights,
  LoadReport,
  ReportBatch,
  Route,
} from '../control-plane.ts';
import type { CertificateChange } from '../doors/certificates.ts';
import type { ProxySnapshot } from '../snapshot.ts';
import type { Channel, Hearing } from './channel.ts';
import { partOf } from './parts.ts';
import type { ControlSpeech, WorkerSpeech } from './protocol.ts';
import { SlotPurse } from './slot-purse.ts';

/** Cold starts that wait to be reported; further ones are forgotten, which loses a figure and no request. */
const MAX_REPORTS = 1_000;

export interface RemoteControlPlaneOptions {
  /** How many share what the machine may hold. */
  readonly workers: number;
  readonly channel: (hearing: Hearing<ControlSpeech>) => Channel<WorkerSpeech, ControlSpeech>;
  readonly snapshot: () => Promise<ProxySnapshot>;
  readonly changeCertificates: (change: CertificateChange) => void;
}

export class RemoteControlPlane implements ControlPlane {
  readonly channel: Channel<WorkerSpeech, ControlSpeech>;
  /** This worker's slots at containers; the dispatcher shares them by it. */
  readonly shares: SlotPurse;
  readonly #options: RemoteControlPlaneOptions;
  #dataPlane: DataPlane | undefined;

  constructor(options: RemoteControlPlaneOptions) {
    this.#options = options;
    this.channel = options.channel(this.#hearing());
    this.shares = new SlotPurse({
      give: (containerId, tokens) =>
        this.channel.tellMerged('give', containerId, { containerId, tokens }, (before) => ({
          containerId,
          tokens: before.tokens + tokens,
        })),
      want: (appId, tokens) => this.channel.tellMerged('want', appId, { appId, tokens }),
    });
  }

  async resolve(host: string): Promise<Route | undefined> {
    const route = await this.channel.ask('resolve', host);
    if (route === null) return undefined;
    const { workers } = this.#options;
    return {
      ...route,
      holdRequests: partOf(route.holdRequests, workers),
      holdBytes: partOf(route.holdBytes, workers),
    };
  }

  async guest(address: string): Promise<GuestRights | undefined> {
    return (await this.channel.ask('guest', address)) ?? undefined;
  }

  async activate(appId: string): Promise<Activation> {
    const activation = await this.channel.ask('activate', appId);
    return { ...activation, endpoints: activation.endpoints.map((one) => this.shares.shareOf(one)) };
  }

  suspect(containerId: string): void {
    this.channel.tellMerged('suspect', containerId, containerId);
  }

  observe(load: LoadReport): void {
    this.channel.tellMerged('observe', load.appId, load);
  }

  report({ coldStarts }: ReportBatch): void {
    this.channel.tellMerged('report', '', coldStarts, (before) =>
      [...before, ...coldStarts].slice(0, MAX_REPORTS),
    );
  }

  attach(dataPlane: DataPlane): () => void {
    this.#dataPlane = dataPlane;
    return () => {
      if (this.#dataPlane === dataPlane) this.#dataPlane = undefined;
    };
  }

  #hearing(): Hearing<ControlSpeech> {
    return {
      tells: {
        endpoints: ({ appId, endpoints }) => {
          this.shares.name(appId, endpoints);
          this.#dataPlane?.endpoints(
            appId,
            endpoints.map((one) => this.shares.shareOf(one)),
          );
          this.shares.watch(appId);
        },
        invalidate: (change) => this.#dataPlane?.invalidate(change),
        certificates: (change) => this.#options.changeCertificates(change),
        abort: (containerId) => this.#dataPlane?.abort(containerId),
        grant: ({ appId, containerId, tokens }) => this.shares.grant(appId, containerId, tokens),
        recall: ({ containerId, tokens, floor }) => this.shares.recall(containerId, tokens, floor),
      },
      asks: {
        drain: ({ containerId, options }) =>
          // Before the data plane is attached, and after it has left, nothing is in flight.
          this.#dataPlane?.drain(containerId, options) ?? Promise.resolve({ drained: true }),
        snapshot: () => this.#options.snapshot(),
      },
    };
  }
}
