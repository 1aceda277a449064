/** A reverse proxy on the package http-proxy, with keep-alive and its own forwarding fields. */
import { Agent, createServer } from 'node:http';
import httpProxy from 'http-proxy';
import { readRouter } from './route.ts';

const { port, upstreamPort } = readRouter(process.argv[2]);
const proxy = httpProxy.createProxyServer({
  agent: new Agent({ keepAlive: true, maxFreeSockets: 1_024 }),
  xfwd: true,
});
const targets = new Map<number, URL>();

const server = createServer((request, response) => {
  const upstream = upstreamPort(request.headers.host);
  if (upstream === undefined) {
    response.writeHead(404).end();
    return;
  }
  let target = targets.get(upstream);
  if (target === undefined) targets.set(upstream, (target = new URL(`http://127.0.0.1:${upstream}`)));
  proxy.web(request, response, { target }, () => {
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
});
server.keepAliveTimeout = 3_600_000;
server.listen({ port, host: '127.0.0.1', backlog: 4_096 });
