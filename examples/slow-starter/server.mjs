// An app that takes its time to start, as a big framework does: it listens only after START_DELAY_MS. Requests that come
// before that are held by Mayfly, not refused.
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 8080);
const host = process.env.HOST ?? '0.0.0.0';
const startDelayMs = Number(process.env.START_DELAY_MS ?? 3000);

const server = createServer((request, response) => {
  if (request.url === '/healthz') {
    response.end('ok\n');
    return;
  }
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(
    `It took me ${startDelayMs} ms to start; I have been alive for ${process.uptime().toFixed(1)} s.\n`,
  );
});

console.log(`slow-starter will listen on ${host}:${port} in ${startDelayMs} ms`);
const starting = setTimeout(() => {
  server.listen(port, host, () => console.log(`slow-starter listens on ${host}:${port}`));
}, startDelayMs);

process.on('SIGTERM', () => {
  clearTimeout(starting);
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  if (!server.listening) process.exit(0);
});
