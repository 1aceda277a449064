// An app that asks others on behalf of a test, from where it runs: GET /ask?url=URL[&host=NAME]. Like the probe it is one file
// that an image of nothing but Node can run as text.
import { Agent, createServer, get } from 'node:http';

/** One connection, so that a test sees what becomes of it. */
const kept = new Agent({ keepAlive: true, maxSockets: 1 });

function ask(url, host) {
  return new Promise((resolve) => {
    const headers = host === null ? {} : { host };
    const asked = get(url, { agent: kept, headers, timeout: 5_000 }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text) => (body += text));
      answer.on('end', () =>
        resolve({
          status: answer.statusCode,
          code: answer.headers['mayfly-error'],
          body,
          reused: asked.reusedSocket,
        }),
      );
    });
    asked.on('timeout', () => asked.destroy(new Error('timeout')));
    asked.on('error', (error) => resolve({ error: error.code ?? error.message }));
  });
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://asker');
  const answer = (body) => response.end(`${JSON.stringify(body)}\n`);
  if (pathname === '/environment') answer(process.env);
  else if (pathname === '/headers') answer(request.headers);
  else if (pathname === '/ask') answer(await ask(searchParams.get('url'), searchParams.get('host')));
  else answer({});
});
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(process.env.PORT), process.env.HOST ?? '0.0.0.0');
