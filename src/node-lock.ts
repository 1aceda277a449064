/**
 * A node is one program. A copy of a data folder is the same node, and would take over the containers of the program that runs
 * from the original, and end them with itself: so a node holds a name that the kernel gives once on a machine (in one network
 * namespace), and takes back when the program ends, however it does.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { PlatformError } from './errors.ts';

/** The returned function lets go of it. Errors: `invalid_config` (another program is this node). */
export async function holdNode(nodeId: string): Promise<() => void> {
  const server = createServer((socket) => socket.destroy());
  try {
    await once(server.listen(`\0mayfly-node-${nodeId}`).unref(), 'listening');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    throw new PlatformError(
      'invalid_config',
      `another program is node ${nodeId}, from another data directory: this one is a copy of that`,
      { cause, hint: 'Stop that one first, or write another name into the file node-id of the copy.' },
    );
  }
  return () => void server.close();
}
