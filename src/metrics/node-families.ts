/** What is told of containers, the machine, and what has happened. */
import type { Container, ContainerState, Node } from '../cmdb/records.ts';
import { DURATION_BOUNDS_SECONDS } from './proxy-families.ts';
import type { EventCounts } from './event-tally.ts';
import type { Exposition, Sample } from './exposition.ts';

const STATES: readonly ContainerState[] = [
  'planned',
  'starting',
  'ready',
  'paused',
  'draining',
  'stopped',
  'failed',
];

export interface NodeFacts {
  readonly containers: readonly Pick<Container, 'state'>[];
  readonly nodes: readonly Pick<Node, 'name' | 'capacity' | 'reserved'>[];
  readonly events: EventCounts;
}

export function addNodeFamilies(to: Exposition, { containers, nodes, events }: NodeFacts): void {
  to.gauge(
    'mayfly_containers',
    'Containers by state; an app that sleeps may have none.',
    STATES.map((state) => [{ state }, containers.filter((container) => container.state === state).length]),
  );
  for (const [kind, help] of [
    ['capacity', 'What containers may be given in all'],
    ['reserved', 'What containers have been given'],
  ] as const) {
    to.gauge(
      `mayfly_node_${kind}_cpu_cores`,
      `${help}: CPU.`,
      nodes.map((node): Sample => [{ node: node.name }, node[kind].cpu]),
    );
    to.gauge(
      `mayfly_node_${kind}_memory_bytes`,
      `${help}: memory.`,
      nodes.map((node): Sample => [{ node: node.name }, node[kind].memoryBytes]),
    );
  }
  to.counter(
    'mayfly_events_total',
    'Events by type, since the start of this process: container.starting, container.failed, app.cold_start, …',
    [...events.byType].map(([type, count]): Sample => [{ type }, count]),
  );
  to.counter(
    'mayfly_decisions_held_back_total',
    'Decisions that were not made, or only in part, each time they were asked for: of a size (scale) or a place (place).',
    events.heldBack.map(({ decision, because, count }): Sample => [{ decision, reason: because }, count]),
  );
  to.histogram(
    'mayfly_cold_start_duration_seconds',
    'How long the first visitor waited for the first byte, by whether a container was started or resumed.',
    DURATION_BOUNDS_SECONDS,
    [...events.coldStarts].map(([kind, seen]) => [{ kind }, seen]),
  );
}
