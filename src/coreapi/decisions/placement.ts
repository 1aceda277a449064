/**
 * Where a container goes. Capacity is what the operator lets a node give away: CPU limits may be overcommitted (most
 * containers sleep), memory limits are summed as they are unless told otherwise.
 */
import type { Node, Resources } from '../../cmdb/records.ts';
import { withoutDrift } from './size.ts';

type Share = Pick<Resources, 'cpu' | 'memoryBytes'>;

/** Sums of fractions such as 0.1 drift; a millionth of a core is nobody's. */
const CPU_TOLERANCE = 1e-6;

/** Whether it may be placed there now. */
export function fits(node: Node, wanted: Share): boolean {
  return (
    node.state === 'up' &&
    node.reserved.cpu + wanted.cpu <= node.capacity.cpu + CPU_TOLERANCE &&
    node.reserved.memoryBytes + wanted.memoryBytes <= node.capacity.memoryBytes
  );
}

/** Whether what is reserved may change by so much: what shrinks always may. */
export function growsWithin(node: Node, growth: Share): boolean {
  const { reserved, capacity } = node;
  return (
    (growth.cpu <= 0 || reserved.cpu + growth.cpu <= capacity.cpu + CPU_TOLERANCE) &&
    (growth.memoryBytes <= 0 || reserved.memoryBytes + growth.memoryBytes <= capacity.memoryBytes)
  );
}

/** CPU of the node that nobody has reserved. */
export function spareCpu({ reserved, capacity }: Pick<Node, 'reserved' | 'capacity'>): number {
  return Math.max(0, capacity.cpu - reserved.cpu);
}

/** The node that would be left with the largest free share of its scarcer resource; undefined where none has room. */
export function place(nodes: readonly Node[], wanted: Share): Node | undefined {
  let best: { node: Node; free: number } | undefined;
  for (const node of nodes) {
    if (!fits(node, wanted)) continue;
    const free = Math.min(
      1 - (node.reserved.cpu + wanted.cpu) / node.capacity.cpu,
      1 - (node.reserved.memoryBytes + wanted.memoryBytes) / node.capacity.memoryBytes,
    );
    if (!best || free > best.free) best = { node, free };
  }
  return best?.node;
}

/** The node's reservations after a container came (`sign` 1) or went (`sign` -1). */
export function reserve(node: Node, share: Share, sign: 1 | -1): Node['reserved'] {
  return {
    cpu: Math.max(0, withoutDrift(node.reserved.cpu + sign * share.cpu)),
    memoryBytes: Math.max(0, node.reserved.memoryBytes + sign * share.memoryBytes),
  };
}
