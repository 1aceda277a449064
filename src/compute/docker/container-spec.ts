/**
 * What a tenant's container may do, in Docker's words; everything about its confinement is decided here.
 */
import type { Resources, Workload } from '../../cmdb/records.ts';
import { PlatformError } from '../../errors.ts';
import { cpuShares } from '../cpu-weight.ts';
import type { StartSpec } from '../engine.ts';
import type { ContainerDetails, CreateBody } from './api.ts';
import { LABEL, containerName, joining } from './labels.ts';
import type { Way } from './way-to-needs.ts';

/**
 * What ordinary web images need while they start as root, and no more. Not among them: NET_RAW (forged packets, ARP
 * spoofing), MKNOD, SETFCAP, SETPCAP, SYS_CHROOT, AUDIT_WRITE, FSETID, which Docker would give by default.
 */
const CAPABILITIES = [
  'CHOWN', //            an entrypoint hands its data folder to the user it will run as
  'DAC_OVERRIDE', //     a root master opens logs and sockets that belong to that user
  'FOWNER', //           … and sets their modes after it gave them away (tar, install)
  'SETUID', //           it becomes that user
  'SETGID',
  'KILL', //             a root master signals its workers that have become that user
  'NET_BIND_SERVICE', // it listens on port 80
];

/** Kept of a container's output: two files, the older one goes when the newer is full. */
const LOG_CONFIG = { Type: 'json-file', Config: { 'max-size': '8m', 'max-file': '2' } };

/** Confines every container alike, sandboxes included. */
export const CONFINED = {
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges:true'],
  // Whether an app runs is Mayfly's decision, also after the machine was restarted.
  RestartPolicy: { Name: 'no' },
} as const;

/** `cores`: what the engine has. It refuses a limit above that, which would limit nobody. */
export function limitsOf({ cpu, memoryBytes, pidsMax }: Resources, cores: number) {
  return {
    NanoCpus: Math.round(Math.min(cpu, cores) * 1e9),
    CpuShares: cpuShares(cpu),
    Memory: memoryBytes,
    // Memory and swap together: the same, so no swap.
    MemorySwap: memoryBytes,
    PidsLimit: pidsMax,
  };
}

/** What `limitsOf` has told the engine, read back. */
export function resourcesOf(details: ContainerDetails): Resources {
  const { NanoCpus, Memory, PidsLimit } = details.HostConfig;
  return { cpu: (NanoCpus ?? 0) / 1e9, memoryBytes: Memory ?? 0, pidsMax: PidsLimit ?? 0 };
}

/** The image to run. Errors: `unsupported`. */
export function imageOf(workload: Workload): Extract<Workload, { type: 'image' }> {
  if (workload.type === 'image') return workload;
  throw new PlatformError('unsupported', 'the docker engine runs images, not a command in a folder', {
    hint: 'Deploy the app with an image, or run Mayfly with --engine process.',
  });
}

/**
 * The request that creates an app's container in the network of a sandbox. There is no init process in front of the
 * app: it would cost no time (measured), but the engine could then no longer tell a command that does not exist from
 * one that exits. Docker's own default is the same, so an image behaves as it does there.
 * Errors: `unsupported`.
 */
export function createBody(
  nodeId: string,
  spec: StartSpec,
  sandboxId: string,
  way: Way | undefined,
  cores: number,
): CreateBody {
  const { digest, command } = imageOf(spec.workload);
  const env = { ...way?.env, ...spec.env, PORT: String(spec.port) };
  return {
    name: containerName(nodeId, spec.containerId),
    Image: digest,
    ...(command && { Cmd: [...command] }),
    // Nothing polls an app: whether it serves is seen from its requests.
    Healthcheck: { Test: ['NONE'] },
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    Labels: {
      [LABEL.node]: nodeId,
      [LABEL.role]: 'app',
      [LABEL.container]: spec.containerId,
      [LABEL.app]: spec.appId,
      [LABEL.revision]: spec.revisionId,
      [LABEL.port]: String(spec.port),
    },
    HostConfig: {
      ...CONFINED,
      SecurityOpt: [...CONFINED.SecurityOpt],
      ...limitsOf(spec.resources, cores),
      CapAdd: CAPABILITIES,
      NetworkMode: joining(sandboxId),
      ...(way && {
        Mounts: [{ Type: 'bind', Source: way.hostsPath, Target: '/etc/hosts', ReadOnly: true }],
      }),
      LogConfig: LOG_CONFIG,
      ReadonlyRootfs: spec.readOnly,
      // What is written to /tmp counts as the container's memory, so its memory limit is the bound. The image's own volumes
      // are not in the root file system: they can be written, and go with the container.
      ...(spec.readOnly && { Tmpfs: { '/tmp': 'rw,nosuid,nodev,mode=1777' } }),
    },
  };
}
