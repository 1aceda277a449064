/** The least that a reverse proxy on node:http can be: a request for a request, two pipes, keep-alive on both sides. */
import { Agent, createServer, request as ask } from 'node:http';
import { readRouter } from './route.ts';

const { port, upstreamPort } = readRouter(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxFreeSockets: 1_024 });

const server = createServer((request, response) => {
  const upstream = upstreamPort(request.headers.host);
  if (upstream === undefined) {
    response.writeHead(404).end();
    return;
  }
  const { connection: _ours, ...headers } = request.headers;
  const outgoing = ask(
    {
      host: '127.0.0.1',
      port: upstream,
      method: request.method,
      path: request.url,
      agent,
      headers: { ...headers, 'x-forwarded-for': request.socket.remoteAddress, 'x-forwarded-proto': 'http' },
    },
    (answer) => {
      const { connection: _theirs, 'keep-alive': _hint, ...fields } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, fields);
      answer.pipe(response);
    },
  );
  outgoing.once('error', () => {
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
  response.once('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  request.pipe(outgoing);
});
server.keepAliveTimeout = 3_600_000;
server.listen({ port, host: '127.0.0.1', backlog: 4_096 });
