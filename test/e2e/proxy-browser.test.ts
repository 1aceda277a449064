/** A page in a real browser that listens to an event stream, through each door; the page itself tells what it has seen. */
import type { RequestListener } from 'node:http';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Browser } from '../support/browser.ts';
import { makePair, shown } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { whyNoProgram } from '../support/programs.ts';
import { activation } from '../support/scripted-control-plane.ts';
import { testProxy } from '../support/upstreams-proxy.ts';
import { httpUpstream, readBody } from '../support/upstreams.ts';
import { until } from '../support/until.ts';

let pair: Pair;
beforeAll(async () => {
  pair = await makePair(['page.test']);
});

interface Report {
  readonly events: string[];
  readonly protocol: string;
}

const PAGE = `<!doctype html><title>events</title><script>
  const tell = (path, body) =>
    fetch(path, { method: 'POST', body }).catch(() => setTimeout(tell, 50, path, body));
  const events = [];
  const source = new EventSource('/events');
  source.onmessage = ({ data, lastEventId }) => {
    events.push(data);
    if (events.length < 3) return tell('/heard', lastEventId);
    source.close();
    const [{ nextHopProtocol: protocol }] = performance.getEntriesByType('navigation');
    tell('/report', JSON.stringify({ events, protocol }));
  };
</script>`;

/**
 * The app: each event is sent when the page has said that it heard the one before. Chromium gives all connections up when the
 * machine's networks change, as they do while containers come and go: the page asks for what it has not heard yet, and says
 * again what may not have been heard of it.
 */
function app(report: (told: Report) => void): RequestListener {
  let send: (number: number) => void = () => undefined;
  return (req, res) => {
    if (req.url === '/events') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      let sent = Number(req.headers['last-event-id'] ?? 0);
      send = (number) => {
        if (number !== sent + 1) return;
        res.write(`id: ${number}\ndata: event ${number}\n\n`);
        sent = number;
      };
      send(sent + 1);
    } else if (req.method === 'POST') {
      void readBody(req).then((body) => {
        res.end('ok');
        if (req.url === '/report') report(JSON.parse(body.toString()) as Report);
        else send(Number(body.toString()) + 1);
      });
    } else res.setHeader('Content-Type', 'text/html').end(PAGE);
  };
}

describe('a page in Chromium', () => {
  beforeEach((context) => {
    const reason = whyNoProgram('chromium', 'chromium');
    context.skip(reason !== undefined, reason);
  });

  it.each([
    ['http', 'http/1.1'],
    ['https', 'h2'],
  ])(
    'hears each event of a stream as it is sent, over %s (%s)',
    { timeout: 60_000 },
    async (scheme, protocol) => {
      let report: Report | undefined;
      await using upstream = await httpUpstream(app((told) => (report = told)));
      const tls = {
        listen: { host: '127.0.0.1', port: 0 },
        certificates: [shown('page', pair, { isDefault: true })],
      };
      await using proxy = await testProxy({ tls });
      proxy.control.app('page', { activate: async () => activation([upstream.endpoint]) });
      const port = scheme === 'https' ? proxy.tlsPort : proxy.port;
      await using browser = await Browser.open(`${scheme}://page.test:${port ?? 0}/`);
      expect(await browser.until('the report of the page', () => report)).toEqual({
        events: ['event 1', 'event 2', 'event 3'],
        protocol,
      });
      await until('the slots to be free', () => proxy.snapshot().inFlight === 0);
    },
  );
});
