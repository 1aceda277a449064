import {
  openSimulatedEngine,
  SimulatedMachine,
  type Fault,
} from '../../src/compute/simulated/simulated-engine.ts';
import { newId } from '../../src/ids.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { engineContract, type Behaviour, type EngineHarness } from './engine.ts';

/** How a simulated container behaves like the workload that a real engine would run. */
function faultFor(behaviour: Behaviour, env: Readonly<Record<string, string>>): Fault {
  switch (behaviour.kind) {
    case 'listens':
      return {};
    case 'exits':
      return { exitAfterMs: 1, exitCode: behaviour.code };
    case 'ignoresSigterm':
      return { termMs: null, prints: [{ stream: 'stdout', text: 'ready' }] };
    case 'prints': {
      const prints = [
        ...behaviour.stdout.map((text) => ({ stream: 'stdout' as const, text })),
        ...behaviour.stderr.map((text) => ({ stream: 'stderr' as const, text })),
      ];
      return behaviour.then === 'exits' ? { prints, exitAfterMs: 1, exitCode: 0 } : { prints };
    }
    case 'greets':
      return { prints: [{ stream: 'stdout', text: env['GREETING'] ?? '' }] };
    case 'burns':
      return { cpuLoad: 1 };
    case 'escapes':
      return { prints: [{ stream: 'stdout', text: 'escaped' }] };
    case 'missing':
      return { startError: 'the command no-such-command was not found' };
  }
}

/** Its clock runs by itself, as fast as the test's own work lets it. */
async function simulatedHarness(): Promise<EngineHarness> {
  const clock = new FakeClock();
  const machine = new SimulatedMachine(clock);
  const behaviours = new Map<string, Behaviour>();
  const time = { runs: true };
  const running = (async () => {
    while (time.runs) await clock.advance(5);
  })();

  return {
    async open(nodeId = 'node_sim') {
      return openSimulatedEngine({
        clock,
        machine,
        nodeId,
        faults: (_startNumber, { containerId, env }) =>
          faultFor(behaviours.get(containerId) ?? { kind: 'listens' }, env),
      });
    },
    spec(behaviour) {
      const containerId = newId('ctr');
      behaviours.set(containerId, behaviour);
      return {
        containerId,
        appId: newId('app'),
        revisionId: newId('rev'),
        workload: { type: 'command', command: ['simulated'], cwd: '/' },
        env: {},
        port: 8080,
        readOnly: false,
        resources: { cpu: 0.5, memoryBytes: 128 * 1024 * 1024, pidsMax: 64 },
      };
    },
    async until(what, condition) {
      for (let round = 0; round < 10_000; round++) {
        const value = await condition();
        if (value) return value;
        await settle();
      }
      throw new Error(`waited in vain for ${what}`);
    },
    async reachable({ port }) {
      return machine.list().some(({ address, isListening }) => isListening && address.port === port);
    },
    async kill(containerId) {
      machine.find(containerId)?.crash(137);
    },
    async limits(containerId) {
      const container = machine.find(containerId);
      if (!container) throw new Error(`there is no ${containerId}`);
      return container.resources;
    },
    cpuWeight: async (containerId) => machine.find(containerId)?.resources.cpu ?? Number.NaN,
    yields: async (containerId) => machine.find(containerId)?.yields === true,
    async left() {
      const containers = machine.list().map(({ spec }) => `container ${spec.containerId}`);
      return clock.pending > 0 ? [...containers, `${clock.pending} timers`] : containers;
    },
    async close() {
      time.runs = false;
      await running;
    },
  };
}

engineContract('simulated', simulatedHarness);
