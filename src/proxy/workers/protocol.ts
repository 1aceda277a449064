/**
 * What the control process and a worker say to each other: the ports `ControlPlane` and `DataPlane` as plain JSON, the tokens
 * of slot-ledger.ts, and how a worker begins and ends. The batches of channel.ts carry the ports; the messages below frame
 * them.
 */
import type {
  LoadReport,
  Activation,
  ColdStartReport,
  DataPlane,
  DrainOptions,
  DrainResult,
  Endpoint,
  GuestRights,
  Route,
} from '../control-plane.ts';
import type { CertificateChange } from '../doors/certificates.ts';
import type { ProxySnapshot } from '../snapshot.ts';
import type { Batch } from './channel.ts';
import type { DataPlaneSettings, DoorsAt } from './settings.ts';
import type { WireError } from './wire-error.ts';

/** One more with every change of what is said here: a worker of another version than its control process does not serve. */
export const PROTOCOL = 2;

export type Invalidation = Parameters<DataPlane['invalidate']>[0];

/** What the control process says. */
export interface ControlSpeech {
  readonly tells: {
    readonly endpoints: { readonly appId: string; readonly endpoints: readonly Endpoint[] };
    readonly invalidate: Invalidation;
    readonly certificates: CertificateChange;
    readonly abort: string;
    readonly grant: { readonly appId: string; readonly containerId: string; readonly tokens: number };
    readonly recall: { readonly containerId: string; readonly tokens: number; readonly floor: number };
  };
  readonly asks: {
    readonly drain: {
      readonly what: { readonly containerId: string; readonly options: DrainOptions };
      readonly answer: DrainResult;
    };
    readonly snapshot: { readonly what: null; readonly answer: ProxySnapshot };
  };
}

/** What a worker says. */
export interface WorkerSpeech {
  readonly tells: {
    readonly suspect: string;
    readonly observe: LoadReport;
    readonly report: readonly ColdStartReport[];
    readonly give: { readonly containerId: string; readonly tokens: number };
    readonly want: { readonly appId: string; readonly tokens: number };
  };
  readonly asks: {
    readonly resolve: { readonly what: string; readonly answer: Route | null };
    readonly guest: { readonly what: string; readonly answer: GuestRights | null };
    readonly activate: { readonly what: string; readonly answer: Activation };
  };
}

export interface CloseRequest {
  /** What is in flight may take so long; then it is broken. */
  readonly graceMs: number;
  /** Idle connections are not closed at once: each may ask once more, and is told then that it closes. */
  readonly patient: boolean;
}

export interface Start {
  /** Its place, from 1. */
  readonly worker: number;
  readonly workers: number;
  readonly listen: DoorsAt;
  readonly settings: DataPlaneSettings;
}

export type ToWorker =
  | ({ readonly type: 'start' } & Start)
  | { readonly type: 'batch'; readonly batch: Batch }
  | ({ readonly type: 'close' } & CloseRequest);

export type FromWorker =
  /** Loaded, and waiting for `start`. */
  | { readonly type: 'loaded'; readonly protocol: number }
  | { readonly type: 'listening'; readonly port: number }
  /** It could not start, and ends. `errno`: the system's word for it, e.g. EADDRINUSE. */
  | { readonly type: 'failed'; readonly error: WireError; readonly errno?: string | undefined }
  | { readonly type: 'batch'; readonly batch: Batch }
  /** It has closed everything, and ends. What it has counted since its start. */
  | { readonly type: 'closed'; readonly snapshot: ProxySnapshot };
