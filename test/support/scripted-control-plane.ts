/**
 * A control plane that does what a test tells it to and remembers what it was asked: the other side of the data plane's
 * only port, in memory.
 */
import type {
  Activation,
  ColdStartReport,
  ControlPlane,
  DataPlane,
  Endpoint,
  GuestRights,
  LoadReport,
  ReportBatch,
  Route,
} from '../../src/proxy/control-plane.ts';

export interface ScriptedApp {
  readonly appId: string;
  readonly hosts: readonly string[];
  /** What `activate` does. */
  activate: () => Promise<Activation>;
  route: Route;
}

export class ScriptedControlPlane implements ControlPlane {
  readonly hosts = new Map<string, string>();
  readonly apps = new Map<string, ScriptedApp>();
  readonly resolved: string[] = [];
  /** Containers that may ask, by address. */
  readonly guests = new Map<string, GuestRights>();
  readonly activated: string[] = [];
  readonly suspected: string[] = [];
  readonly observed: LoadReport[] = [];
  readonly coldStarts: ColdStartReport[] = [];
  #dataPlane: DataPlane | undefined;
  /** What `resolve` does before it answers. */
  beforeResolve: (host: string) => Promise<void> = async () => undefined;
  /** Called when a container is suspected. */
  onSuspect: (containerId: string) => void = () => undefined;

  get dataPlane(): DataPlane {
    if (this.#dataPlane === undefined) throw new Error('no data plane is attached');
    return this.#dataPlane;
  }

  get attached(): boolean {
    return this.#dataPlane !== undefined;
  }

  /** Makes an app known. Its activation fails until it is given another. */
  app(
    appId: string,
    options: { hosts?: string[]; route?: Partial<Route>; activate?: () => Promise<Activation> } = {},
  ): ScriptedApp {
    const app: ScriptedApp = {
      appId,
      hosts: options.hosts ?? [`${appId}.test`],
      route: {
        appId,
        appName: appId,
        holdRequests: 1_000,
        holdBytes: 64 * 1024 * 1024,
        requestTimeoutMs: 10_000,
        ...options.route,
      },
      activate: options.activate ?? (() => Promise.reject(new Error(`nobody said how to activate ${appId}`))),
    };
    this.apps.set(appId, app);
    for (const host of app.hosts) this.hosts.set(host, appId);
    return app;
  }

  async resolve(host: string): Promise<Route | undefined> {
    this.resolved.push(host);
    const byName = this.hosts.has(host);
    const route = this.apps.get(this.hosts.get(host) ?? this.#wildcard(host) ?? '')?.route;
    await this.beforeResolve(host);
    return route && { ...route, byName };
  }

  #wildcard(host: string): string | undefined {
    for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
      const appId = this.hosts.get(`*${host.slice(dot)}`);
      if (appId !== undefined) return appId;
    }
    return undefined;
  }

  guest(address: string): Promise<GuestRights | undefined> {
    return Promise.resolve(this.guests.get(address));
  }

  activate(appId: string): Promise<Activation> {
    this.activated.push(appId);
    const app = this.apps.get(appId);
    return app === undefined ? Promise.reject(new Error(`${appId} is not known`)) : app.activate();
  }

  suspect(containerId: string): void {
    this.suspected.push(containerId);
    this.onSuspect(containerId);
  }

  observe(load: LoadReport): void {
    this.observed.push(load);
  }

  report(batch: ReportBatch): void {
    this.coldStarts.push(...batch.coldStarts);
  }

  attach(dataPlane: DataPlane): () => void {
    this.#dataPlane = dataPlane;
    return () => {
      this.#dataPlane = undefined;
    };
  }
}

export function endpoint(containerId: string, port = 1, concurrencyLimit = 100): Endpoint {
  return { containerId, host: '127.0.0.1', port, concurrencyLimit };
}

/** An activation that made these containers ready. */
export function activation(
  endpoints: readonly Endpoint[],
  kind: Activation['kind'] = 'started',
  phasesMs: Readonly<Record<string, number>> = { place: 1, create: 2, start: 3, listen: 4 },
): Activation {
  return { endpoints, kind, containerId: endpoints[0]?.containerId ?? 'none', phasesMs };
}

/** A promise and how to settle it. */
export function deferred<T>() {
  return Promise.withResolvers<T>();
}
