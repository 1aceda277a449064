/** Connections that a proxy has to keep while it works for others: each has had one answer and says nothing more. */
import { Agent, request } from 'node:http';

export interface IdleConnections {
  /** How many the proxy has closed. */
  lost(): number;
  close(): void;
}

const AT_ONCE = 100;

/** Errors: a request that is not answered with 200. */
export async function openIdle(port: number, host: string, count: number): Promise<IdleConnections> {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: count });
  try {
    // One wave after the other would take the connections of the wave before: each of this one is kept busy until the end.
    const releases: (() => void)[] = [];
    for (let opened = 0; opened < count; opened += AT_ONCE) {
      const wave = Array.from({ length: Math.min(AT_ONCE, count - opened) }, () => hold(agent, port, host));
      releases.push(...(await Promise.all(wave)));
    }
    for (const release of releases) release();
    // The sockets return to the agent in the next turns.
    await new Promise((resolve) => setTimeout(resolve, 20));
  } catch (thrown) {
    agent.destroy();
    throw thrown;
  }
  return {
    lost: () =>
      count - Object.values(agent.freeSockets).reduce((sum, sockets) => sum + (sockets?.length ?? 0), 0),
    close: () => agent.destroy(),
  };
}

/** Resolves when the answer's head is there; its connection is busy until the returned function reads the rest. */
function hold(agent: Agent, port: number, host: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ agent, host: '127.0.0.1', port, headers: { host } }, (response) => {
      response.once('error', reject);
      if (response.statusCode === 200) resolve(() => response.resume());
      else reject(new Error(`port ${port} answered ${response.statusCode ?? 0}`));
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}
