/**
 * The page that a browser shows while an app starts. It holds nothing from anywhere else, asks for its own address with a
 * request that the platform holds until the app is ready, and then loads itself anew, which is the app. Where the start
 * fails it says so and stops: a page that was left open somewhere must not start an app again and again.
 */
import { createHash } from 'node:crypto';
import { ERROR_CODES } from '../errors.ts';
import { escaped, htmlPage, PAGE_STYLE } from './html.ts';
import { StandIn } from './stand-in.ts';

/** For robots, which come back, and for browsers without scripts. */
const RETRY_AFTER_S = 5;

/** A request with this field waits for the app, whatever its wake policy says of others. It is not passed on to apps. */
export const WAIT_FIELD = 'mayfly-wait';

/** What the page can say of a start that failed: the titles of all that may be answered then. */
const TITLES = Object.fromEntries(
  Object.entries(ERROR_CODES).flatMap(([code, { status, title }]) => (status >= 500 ? [[code, title]] : [])),
);

const SCRIPT = `
const titles = ${JSON.stringify(TITLES)};
const passing = new Set(['hold_full', 'shutting_down', 'upstream_timeout']);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
async function ask() {
  try {
    const answer = await fetch(location.href, {
      method: 'HEAD', cache: 'no-store', redirect: 'manual', headers: { '${WAIT_FIELD}': '1' },
    });
    return { code: answer.headers.get('mayfly-error'), again: Number(answer.headers.get('retry-after')) };
  } catch {
    return { code: 'lost', again: 1 };
  }
}
async function wait() {
  for (let left = 10; ; left--) {
    const { code, again } = await ask();
    if (code === null) return location.reload();
    if (left === 0 || (code !== 'lost' && !passing.has(code))) return tell(code, again);
    await pause(1000 * Math.min(Math.max(again, 1), 10));
  }
}
function tell(code, again) {
  document.title = 'Not started';
  document.body.dataset.code = code;
  document.querySelector('h1').textContent = titles[code] ?? 'The connection was lost';
  document.querySelector('[role=status]').textContent =
    again > 0 ? 'It may be tried again in ' + again + (again === 1 ? ' second.' : ' seconds.') : '';
  document.querySelector('button').hidden = false;
}
document.querySelector('button').addEventListener('click', () => location.reload());
wait();
`;

const STYLE = `${PAGE_STYLE}button { font: inherit; padding: .3rem 1rem; }
`;

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `script-src '${hashOf(SCRIPT)}'`,
  `style-src '${hashOf(STYLE)}'`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** 503, because the app has not answered: no robot takes this for its content. */
export function waitingPage(appName: string): StandIn {
  return new StandIn('waiting_page', {
    status: 503,
    contentType: 'text/html; charset=utf-8',
    body: page(escaped(appName)),
    headers: [
      'Content-Security-Policy',
      CONTENT_SECURITY_POLICY,
      'Retry-After',
      String(RETRY_AFTER_S),
      'Mayfly-State',
      'starting',
    ],
  });
}

function page(name: string): string {
  return htmlPage({
    title: `Starting ${name}`,
    style: STYLE,
    head: `    <noscript><meta http-equiv="refresh" content="${RETRY_AFTER_S}"></noscript>\n`,
    body: `    <h1>${name} is being started</h1>
    <p role="status">It slept, because nobody used it. This page continues by itself.</p>
    <button type="button" hidden>Try again</button>
    <script>${SCRIPT}</script>
`,
  });
}

/** https://www.w3.org/TR/CSP3/#grammardef-hash-source */
function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
