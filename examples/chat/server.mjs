// A chat room over WebSocket (/ws), server-sent events (/events) and plain POST (/messages). Its open connections are
// activity: Mayfly does not put it to sleep while somebody listens.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { acceptWebSocket } from './websocket.mjs';

const port = Number(process.env.PORT ?? 8080);
const host = process.env.HOST ?? '0.0.0.0';
const page = readFileSync(new URL('page.html', import.meta.url));
const MAX_TEXT_CHARACTERS = 2000;
const MAX_BODY_BYTES = 16 * 1024;
const MAX_LISTENERS = 1000;
const HISTORY = 20;

/** What has been said last, for those who come later. */
const history = [];
/** Everybody who listens: a function that takes a line of JSON. */
const listeners = new Set();

function say(from, text) {
  const line = JSON.stringify({
    from: String(from || 'someone').slice(0, 40),
    text: String(text).slice(0, MAX_TEXT_CHARACTERS),
    atMs: Date.now(),
  });
  history.push(line);
  if (history.length > HISTORY) history.shift();
  for (const listener of listeners) listener(line);
}

/** Takes a message as a client sends it; false where it is none. */
function takeMessage(json) {
  try {
    const { from, text } = JSON.parse(json);
    if (typeof text !== 'string' || text === '') return false;
    say(from, text);
    return true;
  } catch {
    return false;
  }
}

function streamEvents(response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const listener = (line) => {
    response.write(`data: ${line}\n\n`);
    if (response.writableLength > 1024 * 1024) response.destroy(); // a reader that does not read
  };
  response.write(': welcome\n\n');
  for (const line of history) listener(line);
  listeners.add(listener);
  response.on('close', () => listeners.delete(listener));
}

function receiveMessage(request, response) {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (chunk) => {
    body += chunk;
    if (body.length > MAX_BODY_BYTES) request.destroy();
  });
  request.on('end', () => {
    response.statusCode = takeMessage(body) ? 204 : 400;
    response.end();
  });
}

const server = createServer((request, response) => {
  const route = `${request.method} ${new URL(request.url ?? '/', 'http://chat').pathname}`;
  if (route === 'GET /') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(page);
  } else if (route === 'GET /healthz') {
    response.end('ok\n');
  } else if (route === 'GET /events' && listeners.size < MAX_LISTENERS) {
    streamEvents(response);
  } else if (route === 'POST /messages') {
    receiveMessage(request, response);
  } else {
    response.statusCode = route === 'GET /events' ? 503 : 404;
    response.end();
  }
});

const sockets = new Set();
server.on('upgrade', (request, socket, head) => {
  if (!request.url?.startsWith('/ws') || listeners.size >= MAX_LISTENERS) {
    socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    return;
  }
  const connection = acceptWebSocket(request, socket, head);
  if (!connection) return;
  const listener = (line) => connection.send(line);
  for (const line of history) listener(line);
  listeners.add(listener);
  sockets.add(connection);
  connection.on('message', takeMessage);
  connection.on('close', () => {
    listeners.delete(listener);
    sockets.delete(connection);
  });
});

server.listen(port, host, () => console.log(`chat listens on ${host}:${port}`));

process.on('SIGTERM', () => {
  for (const connection of sockets) connection.close(1001);
  server.close(() => process.exit(0));
  server.closeAllConnections();
  setTimeout(() => process.exit(0), 1000); // for those that do not say goodbye
});
