/**
 * Whether the nodes have room for a size, before it is decided: who asks for more than there is learns it at once, with the
 * figures, instead of from a start that fails later. Only a commit reserves room; this is a look.
 */
import type { Container, Node, Resources } from '../../cmdb/records.ts';
import { isLiving } from './lifecycle.ts';
import { growsWithin, reserve } from './placement.ts';
import { chooseReclaim, sleepersFor } from './reclaim.ts';
import { formatBytes } from '../../units.ts';
import { sizeText } from './words.ts';

export interface RoomInput {
  readonly appId: string;
  readonly nodes: readonly Node[];
  /** Every container of those nodes. */
  readonly containers: readonly Container[];
  /** What each container of the app is to have. */
  readonly resources: Resources;
  /** How many containers the app is to have beyond those that live. */
  readonly more: number;
}

/** What is lacking, in words; undefined where there is room. */
export function lackOfRoom({ appId, nodes, containers, resources, more }: RoomInput): string | undefined {
  const living = containers.filter(isLiving);
  const up = nodes.filter(({ state }) => state === 'up');
  if (up.length === 0) return 'no node is up';
  const grown: { node: Node; others: readonly Container[] }[] = [];
  for (const node of up) {
    const here = living.filter(({ nodeId }) => nodeId === node.id);
    let after = node;
    for (const { resources: has } of here.filter((one) => one.appId === appId && one.slot !== null)) {
      const growth = { cpu: resources.cpu - has.cpu, memoryBytes: resources.memoryBytes - has.memoryBytes };
      if (!growsWithin(after, growth))
        return `node ${node.name} has no room for ${sizeText(resources)} in place of ${sizeText(has)} (${reservedText(after)})`;
      after = { ...after, reserved: reserve(after, growth, 1) };
    }
    grown.push({ node: after, others: here });
  }
  let left = more;
  for (const { node, others } of grown) {
    let sleepers = sleepersFor(appId, others);
    let after = node;
    while (left > 0) {
      const chosen = chooseReclaim(after, resources, sleepers);
      if (!chosen) break;
      for (const sleeper of chosen) after = { ...after, reserved: reserve(after, sleeper.resources, -1) };
      sleepers = sleepers.filter((sleeper) => !chosen.includes(sleeper));
      after = { ...after, reserved: reserve(after, resources, 1) };
      left--;
    }
  }
  if (left === 0) return undefined;
  const each = `${sizeText(resources)} each`;
  return `there is room for ${more - left} of ${more} more containers with ${each} (${grown.map(({ node }) => reservedText(node)).join('; ')})`;
}

/** `node1: 0.5 of 8 CPU, 256 MiB of 23.54 GiB of memory reserved`. */
export function reservedText({ name, reserved, capacity }: Node): string {
  return `${name}: ${reserved.cpu} of ${capacity.cpu} CPU, ${formatBytes(reserved.memoryBytes)} of ${formatBytes(capacity.memoryBytes)} of memory reserved`;
}
