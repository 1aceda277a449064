/** The container as an app of Mayfly: registered, woken by its first request, scaled by an instruction to the API. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { engineIdOf, leftovers, sweep } from '../../../test/support/docker.ts';
import { startProgram } from '../../../test/support/program.ts';
import { pin } from '../warm/cores.ts';
import { CPU_AFTER, PATH, PORT, REPLICAS_AFTER, SIZE, type Subject } from './subject.ts';

const NAME = 'phpinfo';

/** The platform gets a core to itself; its containers may run on any. */
export async function startMayfly(image: string, core: number): Promise<Subject> {
  const program = await startProgram({ engine: 'docker', detached: true });
  const nodeId = readFileSync(join(program.data, 'node-id'), 'utf8').trim();
  const { client } = program;
  const close = async () => {
    const exitCode = await program.stop();
    const left = await leftovers(nodeId);
    await sweep(nodeId);
    if (left.length > 0)
      throw new Error(`mayfly up ended with ${String(exitCode)} and left ${left.join(', ')}`);
  };
  try {
    await pin(program.pid, core);
    await client.createApp({
      name: NAME,
      hosts: [`${NAME}.localhost`],
      image,
      port: PORT,
      probe: { type: 'http', path: PATH },
      policy: {
        ...SIZE,
        maxReplicas: REPLICAS_AFTER,
        scaling: { mode: 'off' },
        idlePauseMs: null,
        idleStopMs: null,
        lifetimeMs: null,
      },
    });
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return {
    name: 'mayfly',
    port: program.proxyPort,
    host: `${NAME}.localhost`,
    async container() {
      // In the order of their creation, so that the first one stays the first.
      const [first] = await client.listAppContainers(NAME);
      if (!first) throw new Error('mayfly has no container yet');
      return engineIdOf(first.id);
    },
    scaleOut: () => client.scaleApp(NAME, { replicas: REPLICAS_AFTER }).then(() => undefined),
    scaleUp: () => client.scaleApp(NAME, { cpu: CPU_AFTER }).then(() => undefined),
    close,
  };
}
