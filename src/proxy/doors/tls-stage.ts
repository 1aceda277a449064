/**
 * The TLS part of a door: it takes connections that are accepted already (a load balancer may have spoken on them first),
 * chooses a certificate by the name the client asks for, and an HTTP version by ALPN.
 */
import { createServer } from 'node:tls';
import type { Server, SecureContext, TLSSocket } from 'node:tls';
import type { Socket } from 'node:net';
import { normalizeHost } from '../../hostname.ts';
import type { ProxyCounters } from '../counters.ts';
import type { ProxyLog } from '../transport.ts';
import type { CertificateChange, Certificates } from './certificates.ts';
import { ALPN_PROTOCOLS, TLS_PROFILE } from './tls-profile.ts';

export interface TlsStageOptions {
  readonly certificates: Certificates;
  readonly log: ProxyLog;
  readonly counters: ProxyCounters;
  /** 48 bytes that session tickets are sealed with; the same in all processes that serve one port. */
  readonly ticketKeys: Buffer;
  readonly handshakeTimeoutMs: number;
}

type Established = (socket: TLSSocket) => void;

export class TlsStage {
  readonly #options: TlsStageOptions;
  readonly #server: Server;
  /** Whoever waits for a handshake, by the connection's two ends. */
  readonly #waiting = new Map<string, Established>();

  constructor(options: TlsStageOptions) {
    const { handshakeTimeoutMs, ticketKeys, counters } = options;
    this.#options = options;
    this.#server = createServer({
      ...TLS_PROFILE,
      ticketKeys,
      handshakeTimeout: handshakeTimeoutMs,
      ALPNProtocols: ALPN_PROTOCOLS,
      SNICallback: (name, answer) => this.#choose(name, answer),
    });
    // Tells of a handshake that failed, whose socket is closed; without a listener nothing differs but for the record here.
    this.#server.on('tlsClientError', (_error, socket) => {
      counters.refusedConnections.tls_handshake++;
      socket.destroy();
    });
    this.#server.on('secureConnection', (socket) => {
      const established = this.#waiting.get(endsOf(socket));
      if (established === undefined) socket.destroy();
      else established(socket);
    });
    this.#showDefault();
  }

  /** Calls back when the connection stands; it may close before. `socket` is nobody else's from here on. */
  handshake(socket: Socket, established: Established): void {
    const ends = endsOf(socket);
    this.#waiting.set(ends, established);
    socket.once('close', () => {
      if (this.#waiting.get(ends) === established) this.#waiting.delete(ends);
    });
    this.#server.emit('connection', socket);
  }

  /** For connections that come from now on. */
  apply(change: CertificateChange): void {
    this.#options.certificates.apply(change);
    this.#showDefault();
  }

  #showDefault(): void {
    const { certificates, ticketKeys, log } = this.#options;
    const found = certificates.default;
    const options = { ...TLS_PROFILE, ticketKeys };
    try {
      this.#server.setSecureContext(
        found ? { ...options, cert: found.chainPem, key: found.keyPem } : options,
      );
    } catch (error) {
      log.error({ err: error, certificate: found?.id }, 'the default certificate cannot be used');
    }
  }

  #choose(name: string, answer: (error: Error | null, context?: SecureContext) => void): void {
    const { certificates, log } = this.#options;
    const found = certificates.find(normalizeHost(name) ?? '');
    if (found === undefined) {
      answer(null); // the default one, or a handshake that fails for want of any
      return;
    }
    try {
      answer(null, certificates.prepare(found));
    } catch (error) {
      log.error({ err: error, certificate: found.id }, 'a certificate cannot be used');
      answer(error instanceof Error ? error : new Error('the certificate cannot be used'));
    }
  }
}

function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return [remoteAddress, remotePort, localAddress, localPort].join(' ');
}
