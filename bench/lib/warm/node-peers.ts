/** The two peers that are Node programs (peers/): what people write first, and the library that most take. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../test/support/program.ts';
import type { Peer, Setup } from './peer.ts';
import { processTree } from './process-tree.ts';
import type { Workshop } from './workshop.ts';

const SCRIPTS = {
  'http-proxy': 'http-proxy.ts',
  'node:http pipe': 'node-http-pipe.ts',
} as const;

/** What a script reads from the file that its argument names. */
export interface NodePeerConfig {
  readonly port: number;
  /** Ports on 127.0.0.1, by app. */
  readonly upstreamPorts: readonly number[];
  /** Absent: every request is for the first app. */
  readonly hostsByApp?: readonly (readonly string[])[];
}

export async function startNodePeer(
  { folder, children, cores }: Workshop,
  name: keyof typeof SCRIPTS,
  { upstreamPorts, hostsByApp }: Setup,
): Promise<Peer> {
  const port = await freePort();
  const config: NodePeerConfig = { port, upstreamPorts, ...(hostsByApp && { hostsByApp }) };
  const configPath = join(folder, `node-${port}.json`);
  await writeFile(configPath, JSON.stringify(config));
  const child = await children.start({
    name,
    command: process.execPath,
    args: [join(import.meta.dirname, 'peers', SCRIPTS[name]), configPath],
    core: cores.proxy,
    port,
  });
  return { name, port, pids: () => processTree(child.pid), isJit: true };
}
