/** What `mayfly up` tells its data plane of the doors: certificates, and whose word is taken. The files are looked after here. */
import type { Clock } from './clock.ts';
import type { UpConfig } from './config.ts';
import type { Log } from './log.ts';
import { blockList } from './networks.ts';
import { CertificateFiles } from './proxy/doors/certificate-files.ts';
import type { CertificateChange } from './proxy/doors/certificates.ts';
import type { ProxyOptions } from './proxy/server.ts';

export interface FrontDoors {
  readonly options: Pick<ProxyOptions, 'tls' | 'trustedProxies' | 'proxyProtocolFrom'>;
  /** From now on changes of the files are told: on SIGHUP, and every few seconds. The returned function ends that. */
  watch(publish: (change: CertificateChange) => void): () => void;
}

/** Errors: `invalid_config` (a file that cannot be used). */
export function prepareDoors(config: UpConfig, clock: Clock, log: Log): FrontDoors {
  const { proxyHost: host, tlsPort: port, tlsCert, tlsKey, tlsDir: folder } = config;
  const trustedProxies = blockList(config.trustedProxy);
  const proxyProtocolFrom = blockList(config.proxyProtocolFrom);
  if (port === undefined)
    return { options: { trustedProxies, proxyProtocolFrom }, watch: () => () => undefined };
  const pairs = tlsCert.map((certPath, i) => ({ certPath, keyPath: tlsKey[i] ?? '' }));
  const files = new CertificateFiles({ pairs, folder, clock, log });
  const tls = { listen: { host, port }, certificates: files.certificates };
  return {
    options: { tls, trustedProxies, proxyProtocolFrom },
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
