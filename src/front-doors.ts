/** What `mayfly up` tells its data plane of the doors: certificates, and whose word is taken. The files are looked after here. */
import { randomBytes } from 'node:crypto';
import type { Clock } from './clock.ts';
import type { UpConfig } from './config.ts';
import type { Log } from './log.ts';
import { CertificateFiles } from './proxy/doors/certificate-files.ts';
import type { Certificate, CertificateChange } from './proxy/doors/certificates.ts';
import type { DataPlaneSettings, DoorsAt } from './proxy/workers/settings.ts';
import type { Address } from './proxy/workers/sockets.ts';

export interface FrontDoors {
  readonly listen: DoorsAt<Address>;
  /** As they are now: certificates may have changed since. `others`: those that do not come from files. */
  settings(
    others: readonly Certificate[],
  ): Pick<DataPlaneSettings, 'tls' | 'trustedProxies' | 'proxyProtocolFrom'>;
  /** From now on changes of the files are told: on SIGHUP, and every few seconds. The returned function ends that. */
  watch(publish: (change: CertificateChange) => void): () => void;
}

/** Errors: `invalid_config` (a file that cannot be used). */
export function prepareDoors(config: UpConfig, clock: Clock, log: Log): FrontDoors {
  const { proxyHost: host, tlsPort: port, tlsCert, tlsKey, tlsDir: folder } = config;
  const { trustedProxy: trustedProxies, proxyProtocolFrom } = config;
  const http = { host, port: config.proxyPort };
  if (port === undefined)
    return {
      listen: { http },
      settings: () => ({ trustedProxies, proxyProtocolFrom }),
      watch: () => () => undefined,
    };
  const pairs = tlsCert.map((certPath, i) => ({ certPath, keyPath: tlsKey[i] ?? '' }));
  const files = new CertificateFiles({ pairs, folder, clock, log });
  // The same in all processes that serve the port: each takes up a session that another has begun.
  const ticketKeys = randomBytes(48).toString('hex');
  return {
    listen: { http, tls: { host, port } },
    settings: (others) => ({
      ...{ trustedProxies, proxyProtocolFrom },
      tls: { certificates: [...files.certificates, ...others], ticketKeys },
    }),
    watch(publish) {
      files.watch(publish);
      const reload = () => files.reload();
      process.on('SIGHUP', reload);
      return () => {
        process.off('SIGHUP', reload);
        files.close();
      };
    },
  };
}
