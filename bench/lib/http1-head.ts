/**
 * What reading and rewriting heads costs, in nanoseconds each, with the code warm: `node bench/lib/http1-head.ts`. A typical
 * browser's request (16 fields, about 500 bytes) and a typical answer.
 */
import { GET } from '../../src/proxy/http1/methods.ts';
import { Origin } from '../../src/proxy/http1/origin.ts';
import { RequestHead } from '../../src/proxy/http1/request-head.ts';
import { ResponseHead } from '../../src/proxy/http1/response-head.ts';
import { writeRequest } from '../../src/proxy/http1/write-request.ts';
import { writeResponse } from '../../src/proxy/http1/write-response.ts';

const REQUEST = Buffer.from(
  [
    'GET /assets/app.js?v=3 HTTP/1.1',
    'Host: shop.example.com',
    'Connection: keep-alive',
    'sec-ch-ua-platform: "Linux"',
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36',
    'sec-ch-ua-mobile: ?0',
    'Accept: */*',
    'Sec-Fetch-Site: same-origin',
    'Sec-Fetch-Mode: no-cors',
    'Sec-Fetch-Dest: script',
    'Referer: https://shop.example.com/',
    'Accept-Encoding: gzip, deflate, br',
    'Accept-Language: en-US,en;q=0.9',
    'Cookie: session=8f14e45fceea167a5a36; t=1',
    'If-None-Match: "3-5d41402a"',
    'Cache-Control: max-age=0',
    'Priority: u=1',
    '',
    '',
  ].join('\r\n'),
);
const RESPONSE = Buffer.from(
  [
    'HTTP/1.1 200 OK',
    'Date: Mon, 01 Jun 2026 10:00:00 GMT',
    'Content-Type: text/html; charset=utf-8',
    'Content-Length: 1024',
    'Connection: keep-alive',
    'Keep-Alive: timeout=5',
    'ETag: "3-5d41402a"',
    'Cache-Control: public, max-age=60',
    '',
    '',
  ].join('\r\n'),
);

/** Many short rounds: on a busy machine, the best of them were not interrupted. */
const ROUNDS = 300;
const TIMES = 2_000;

function measure(name: string, bytes: number, work: () => number): void {
  const roundsNs: number[] = [];
  let sum = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const startNs = process.hrtime.bigint();
    for (let i = 0; i < TIMES; i++) sum += work();
    roundsNs.push(Number(process.hrtime.bigint() - startNs) / TIMES);
  }
  if (sum === 0) throw new Error('nothing was done');
  roundsNs.sort((a, b) => a - b);
  const [best = 0] = roundsNs;
  const quarter = roundsNs[ROUNDS >> 2] ?? 0;
  const figures = `${best.toFixed(0)} ns at best, ${quarter.toFixed(0)} ns in the best quarter`;
  console.log(`${name} (${bytes} bytes)`.padEnd(40), figures);
}

const out = Buffer.alloc(4096);
const request = new RequestHead();
const response = new ResponseHead();
const origin = new Origin({ address: '192.0.2.7', protocol: 'http', trusted: false });

measure('request: read', REQUEST.length, () => request.parse(REQUEST, 0, REQUEST.length));
measure('request: read and write', REQUEST.length, () => {
  request.parse(REQUEST, 0, REQUEST.length);
  return writeRequest(request, REQUEST, 0, out, 0, origin);
});
measure('answer: read', RESPONSE.length, () => response.parse(RESPONSE, 0, RESPONSE.length, GET));
measure('answer: read and write', RESPONSE.length, () => {
  response.parse(RESPONSE, 0, RESPONSE.length, GET);
  return writeResponse(response, RESPONSE, 0, out, 0, 0);
});
