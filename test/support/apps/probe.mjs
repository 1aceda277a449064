// An app that shows a test what becomes of it: who answers, what is in flight, how it was started. It is one file without
// imports of its own, so that an image that holds nothing but Node can run its text.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, get } from 'node:http';

const port = Number(process.env.PORT);
const host = process.env.HOST ?? '0.0.0.0';
const me = { id: randomUUID(), greeting: process.env.GREETING ?? '' };
/** Requests that are answered only when somebody releases them. */
const held = new Set();

/** Where the machine is that runs this: itself, or the gateway of the container's default route. */
function machine() {
  if (host === '127.0.0.1') return host;
  const route = /^\S+\s+00000000\s+([0-9A-F]{8})/m.exec(readFileSync('/proc/net/route', 'utf8'))?.[1] ?? '';
  return (route.match(/../g) ?? [])
    .reverse()
    .map((byte) => parseInt(byte, 16))
    .join('.');
}

/** Asks the test whether this start succeeds, as an app asks a database that may be away. */
function permission(gatePort) {
  return new Promise((resolve, reject) => {
    get({ host: machine(), port: gatePort, path: `/${process.env.GATE_NAME ?? ''}` }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk) => (text += chunk));
      answer.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

function stream(response) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  let ticks = 0;
  const timer = setInterval(() => response.write(`data: tick ${(ticks += 1)}.\n\n`), 250);
  response.on('close', () => clearInterval(timer));
}

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? '/', 'http://probe');
  const answer = (body) => response.end(`${JSON.stringify(body)}\n`);
  if (pathname === '/ticks') stream(response);
  else if (pathname === '/hold') held.add(() => answer(me));
  else if (pathname === '/held') answer({ held: held.size });
  else if (pathname === '/release') {
    for (const release of held) release();
    held.clear();
    answer(me);
  } else answer(me);
});

/** Memory that is in use, not only reserved. */
const filled = Buffer.alloc(Number(process.env.FILL_BYTES ?? 0), 1);

if (process.env.SECRET) console.log('the secret is known');
if (process.env.GATE_PORT !== undefined && (await permission(Number(process.env.GATE_PORT))) !== 'go') {
  console.error('the database is away');
  process.exit(7);
}
server.listen(port, host, () => console.log(`probe listens, ${filled.length} bytes filled`));
if (process.env.BURN !== undefined) {
  setInterval(() => {
    const untilMs = performance.now() + 10;
    while (performance.now() < untilMs);
  }, 20);
}

process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
