/**
 * A TLS server that sends back what it is sent, beside a heap of some size; asked, it says how often V8 has collected everything
 * since it listened. Told `plain`, it does not tell V8 what the proxy does.
 */
import { constants, PerformanceObserver } from 'node:perf_hooks';
import type { PerformanceEntry } from 'node:perf_hooks';
import { createServer } from 'node:tls';
import { setV8Flags } from '../../src/proxy/v8-flags.ts';

const KEPT = 300_000;

const [, , certificate = '', key = '', plain] = process.argv;
if (plain === undefined) setV8Flags();
const kept = Array.from({ length: KEPT }, (_, number) => ({ number }));

let collections = 0;
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries() as (PerformanceEntry & { detail?: { kind?: number } })[])
    if (entry.detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections++;
});
const server = createServer({ cert: certificate, key }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});
server.listen(0, '127.0.0.1', () => {
  observer.observe({ entryTypes: ['gc'] });
  process.send?.(server.address());
});
process.on('message', () => process.send?.({ collections, kept: kept.length }));
process.once('disconnect', () => process.exit());
