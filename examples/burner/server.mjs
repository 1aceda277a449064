// Burns CPU on request and reports what it got: /?ms=500 uses 500 ms of CPU time and says how long that took by the
// clock on the wall. Under a limit of 0.3 CPU, the two differ by a factor of about three.
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 8080);
const host = process.env.HOST ?? '0.0.0.0';
const MAX_BURN_MS = 10_000;
const SLICE_MS = 5; // between slices other requests (and health checks) get their turn

/** Uses `budgetMs` of CPU time and resolves to what was really used. */
async function burn(budgetMs) {
  let usedMs = 0;
  while (usedMs < budgetMs) {
    const before = process.cpuUsage();
    const sliceEnd = performance.now() + Math.min(SLICE_MS, budgetMs - usedMs);
    let x = 0;
    while (performance.now() < sliceEnd) x = Math.sqrt(x + 1);
    const { user, system } = process.cpuUsage(before);
    usedMs += Math.max((user + system) / 1000, 0.01);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return usedMs;
}

async function answer(request, response) {
  const url = new URL(request.url ?? '/', 'http://burner');
  if (url.pathname === '/healthz') {
    response.end('ok\n');
    return;
  }
  const askedMs = Number(url.searchParams.get('ms') ?? 100);
  if (!(askedMs >= 0 && askedMs <= MAX_BURN_MS)) {
    response.writeHead(400, { 'content-type': 'text/plain' });
    response.end(`ms must be a number from 0 to ${MAX_BURN_MS}\n`);
    return;
  }
  const start = performance.now();
  const cpuMs = await burn(askedMs);
  const wallMs = Math.max(performance.now() - start, cpuMs, 0.01);
  response.setHeader('content-type', 'application/json');
  response.end(
    `${JSON.stringify({
      askedMs,
      cpuMs: Math.round(cpuMs),
      wallMs: Math.round(wallMs),
      cpuShare: Number((cpuMs / wallMs).toFixed(2)),
    })}\n`,
  );
}

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
});

server.listen(port, host, () => console.log(`burner listens on ${host}:${port}`));

process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
