/** An app that takes large bodies and gives them: what it received it answers with a hash. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { bodyBlocks } from './body.ts';

const server = createServer((request, response) => {
  if (request.method === 'GET') {
    const sizeBytes = Number(new URL(request.url ?? '/', 'http://transfer').searchParams.get('bytes'));
    Readable.from(bodyBlocks(sizeBytes)).pipe(response);
    return;
  }
  const hash = createHash('sha256');
  let sizeBytes = 0;
  request.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    hash.update(chunk);
  });
  request.on('end', () => response.end(JSON.stringify({ sizeBytes, hash: hash.digest('hex') })));
});

server.listen(Number(process.env['PORT']), process.env['HOST']);
process.on('SIGTERM', () => process.exit(0));
