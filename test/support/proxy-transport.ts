/** Which of the proxy's transports a test file runs on; both keep the same promises. */
export type ProxyTransport = 'fast' | 'http';

const VARIABLE = 'MAYFLY_TEST_PROXY_TRANSPORT';

/** For all that this file starts from here on, processes included. */
export function useTransport(transport: ProxyTransport): void {
  process.env[VARIABLE] = transport;
}

export function transportUnderTest(): ProxyTransport {
  return process.env[VARIABLE] === 'http' ? 'http' : 'fast';
}
