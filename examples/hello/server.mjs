// The smallest app worth starting: says who answered, so that you can watch containers come and go.
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const port = Number(process.env.PORT ?? 8080);
const host = process.env.HOST ?? '0.0.0.0';
const greeting = process.env.GREETING ?? 'Hello';
let requests = 0;

const server = createServer((request, response) => {
  if (request.url === '/healthz') {
    response.end('ok\n');
    return;
  }
  requests += 1;
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(
    `${greeting} from Mayfly!\n` +
      `container ${hostname()}, pid ${process.pid}, alive for ${process.uptime().toFixed(1)} s, ` +
      `request ${requests} of its life\n`,
  );
});

server.listen(port, host, () => console.log(`hello listens on ${host}:${port}`));

// The first process of a container gets no default signal handling: say what SIGTERM means.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
