import { processHarness } from '../support/process-harness.ts';
import { engineContract } from './engine.ts';

engineContract('process', () => processHarness());
engineContract('process, where no cgroup may be written', () => processHarness('none'));
