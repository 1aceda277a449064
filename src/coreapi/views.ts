/** From records to what the API shows. Pure; the schemas are in schema-views.ts. */
import type { App, Container, Event, Grade, Node, Revision } from '../cmdb/records.ts';
import type { AppSpec } from './core-api.ts';
import type { AppView, ContainerView, EventView, GradeView, NodeView, RevisionView } from './schema-views.ts';

export function viewRevision({
  id,
  number,
  workload,
  env,
  port,
  protocol,
  probe,
  readOnly,
  createdAtMs,
}: Revision): RevisionView {
  const image = workload.type === 'image' ? workload : null;
  return {
    id,
    number,
    image: image?.image ?? null,
    digest: image?.digest ?? null,
    command: workload.command ? [...workload.command] : null,
    cwd: workload.type === 'command' ? workload.cwd : null,
    env: { ...env },
    port,
    protocol,
    probe,
    readOnly,
    createdAtMs,
  };
}

export function viewApp({ app, revision }: AppSpec): AppView {
  const { id, name, hosts, policy, needs, neededBy, generation, createdAtMs } = app;
  return {
    id,
    name,
    hosts: [...hosts],
    revision: viewRevision(revision),
    policy,
    needs: (needs ?? []).map((other) => other.name),
    neededBy: (neededBy ?? []).map((other) => other.name),
    generation,
    createdAtMs,
  };
}

export function viewContainer(container: Container, app: App | undefined): ContainerView {
  const { id, appId, revisionId, nodeId, state, reason, address, resources } = container;
  const { createdAtMs, expiresAtMs, phasesMs, enteredAtMs } = container;
  return {
    id,
    appId,
    appName: app?.name ?? null,
    revisionId,
    nodeId,
    state,
    reason,
    address,
    resources,
    createdAtMs,
    expiresAtMs,
    phasesMs,
    enteredAtMs,
  };
}

export function viewEvent(event: Event, app: App | undefined): EventView {
  const { sequence, atMs, type, appId, containerId, nodeId, reason, figures } = event;
  return { sequence, atMs, type, appId, appName: app?.name ?? null, containerId, nodeId, reason, figures };
}

export function viewNode(node: Node): NodeView {
  const { id, name, engine, state, capacity, reserved, lastSeenAtMs, createdAtMs } = node;
  return { id, name, engine, state, capacity, reserved, lastSeenAtMs, createdAtMs };
}

export function viewGrade({ name, cpu, memoryBytes }: Grade): GradeView {
  return { name, cpu, memoryBytes };
}
