import { request } from 'node:http';

export interface Timed {
  readonly status: number;
  readonly firstByteMs: number;
}

/** A GET on a connection of its own; the time runs from before the connection to the answer's first byte. */
export function timeFirstByte(port: number, hostname: string, host = '127.0.0.1'): Promise<Timed> {
  return new Promise((resolve, reject) => {
    const beganMs = performance.now();
    const outgoing = request(
      { host, port, path: '/', headers: { host: hostname }, agent: false },
      (response) => {
        const firstByteMs = performance.now() - beganMs;
        response.resume();
        response.once('error', reject);
        response.once('end', () => resolve({ status: response.statusCode ?? 0, firstByteMs }));
      },
    );
    outgoing.once('error', reject);
    outgoing.end();
  });
}
