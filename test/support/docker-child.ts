/**
 * A process that runs the docker driver and can be killed: opens the node named by its argument, starts two containers of
 * the given image, prints their ids and addresses as JSON, and stays.
 */
import { openDockerEngine } from '../../src/compute/docker/engine.ts';
import { imageSpec } from './docker-harness.ts';
import { DOCKER_SOCKET } from './docker.ts';

const [nodeId = '', name = '', digest = ''] = process.argv.slice(2);
const engine = openDockerEngine({ nodeId, socketPath: DOCKER_SOCKET });
await engine.prepare();
const signal = new AbortController().signal;
const image = { name, digest, remove: () => Promise.resolve() };
const containers = await Promise.all(
  [1, 2].map(async () => {
    const spec = imageSpec(image);
    const { address } = await engine.start(spec, signal);
    return { id: spec.containerId, address };
  }),
);
console.log(JSON.stringify(containers));
setInterval(() => {}, 60_000);
