/** What Docker says about a container, in the platform's words. */
import type { EngineContainer, EngineStatus } from '../engine.ts';
import type { ContainerDetails } from './api.ts';
import { resourcesOf } from './container-spec.ts';
import { LABEL } from './labels.ts';

const STATUS: Readonly<Record<string, EngineStatus>> = {
  created: 'created',
  running: 'running',
  restarting: 'running',
  paused: 'paused',
};

export const statusOf = (state: string): EngineStatus => STATUS[state] ?? 'exited';

/** Whether its process is there, be it frozen. */
export const hasProcess = (status: EngineStatus): boolean => status === 'running' || status === 'paused';

/** `host` is where its sandbox is reached, if it has one. */
export function describe(details: ContainerDetails, host: string | undefined): EngineContainer {
  const { Labels } = details.Config;
  const status = statusOf(details.State.Status);
  const startedAtMs = Date.parse(details.State.StartedAt);
  return {
    containerId: Labels[LABEL.container] ?? '',
    appId: Labels[LABEL.app] ?? '',
    revisionId: Labels[LABEL.revision] ?? '',
    status,
    address: hasProcess(status) && host ? { host, port: Number(Labels[LABEL.port]) } : null,
    resources: resourcesOf(details),
    exitCode: status === 'exited' ? details.State.ExitCode : null,
    outOfMemory: details.State.OOMKilled,
    // What was never started has a time before the epoch.
    startedAtMs: startedAtMs > 0 ? startedAtMs : null,
  };
}
