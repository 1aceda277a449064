import { describe } from 'vitest';
import { whyNoDocker } from '../support/docker.ts';
import { dockerHarness } from '../support/docker-harness.ts';
import { engineContract } from './engine.ts';

const missing = await whyNoDocker();

describe.skipIf(missing !== undefined)(`on Docker${missing === undefined ? '' : `: ${missing}`}`, () => {
  engineContract('docker', dockerHarness);
});
