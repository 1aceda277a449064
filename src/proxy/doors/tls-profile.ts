/**
 * What is spoken over TLS: the «intermediate» profile of Mozilla's Server Side TLS guidelines (version 5.7,
 * wiki.mozilla.org/Security/Server_Side_TLS), less its three DHE suites, which need parameters of their own and serve no
 * client that speaks TLS 1.2 with elliptic curves. HTTP/2 forbids none of these suites (RFC 9113 appendix A).
 */
import type { SecureContextOptions } from 'node:tls';

export const TLS_PROFILE = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
  // All are strong: the client knows which of them its machine is fast at.
  honorCipherOrder: false,
  // Names the sessions that may be taken up again, whatever certificate they were begun with.
  sessionIdContext: 'mayfly',
} as const satisfies SecureContextOptions;

/** In the order of our preference (RFC 7301). Whoever names neither is refused; who names none at all speaks HTTP/1.1. */
export const ALPN_PROTOCOLS = ['h2', 'http/1.1'];
