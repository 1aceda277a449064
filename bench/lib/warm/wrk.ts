/**
 * The load: wrk, with a generated script. The script sets what is fixed before the run (so that wrk sends prepared bytes),
 * or, where hosts take turns, hands out prepared requests; in the end it tells its figures as JSON.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface LoadRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What wrk saw in one run. */
export interface LoadResult {
  /** Answers of any status. */
  readonly requests: number;
  readonly seconds: number;
  /** Heads and bodies of answers. */
  readonly bytes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers with a status of 400 or more. */
  readonly refused: number;
  /** Connections that failed or broke, and answers that took over two seconds. */
  readonly broken: number;
}

/** Whom the requests are for: one host, or those of a file (one a line) in turn. */
export type LoadTarget = { readonly host: string } | { readonly hostsPath: string };

export function wrkScript(request: LoadRequest, target: LoadTarget): string {
  const { method, headers, body } = request;
  const table = Object.entries({ ...('host' in target && { Host: target.host }), ...headers }).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  const fixed = [
    `wrk.method = ${JSON.stringify(method)}`,
    ...table,
    ...(body === undefined ? [] : [`wrk.body = ${JSON.stringify(body)}`]),
  ];
  const rotation = (hostsPath: string) => `
local requests, index = {}, 0
init = function()
  for host in io.lines(${JSON.stringify(hostsPath)}) do
    wrk.headers["Host"] = host
    requests[#requests + 1] = wrk.format()
  end
end
request = function()
  index = index % #requests + 1
  return requests[index]
end`;
  return `${fixed.join('\n')}${'hostsPath' in target ? rotation(target.hostsPath) : ''}
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests":%d,"us":%d,"bytes":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
`;
}

export interface LoadOptions {
  readonly url: string;
  readonly scriptPath: string;
  readonly connections: number;
  /** May be a fraction. */
  readonly seconds: number;
  readonly core: number;
  readonly signal: AbortSignal;
}

/** One run. Errors: wrk could not run, or `signal` was aborted. */
export async function runWrk(options: LoadOptions): Promise<LoadResult> {
  const { url, scriptPath, connections, seconds, core, signal } = options;
  signal.throwIfAborted();
  // wrk counts whole seconds; an interrupt ends it earlier, and it measures the time that it had.
  const duration = `${Math.ceil(seconds) + 5}s`;
  const args = ['-t1', `-c${connections}`, `-d${duration}`, '--latency', '-s', scriptPath, url];
  const wrk = spawn('taskset', ['-c', String(core), 'wrk', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  let output = '';
  for (const stream of [wrk.stdout, wrk.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const timer = setTimeout(() => wrk.kill('SIGINT'), seconds * 1_000);
  try {
    await once(wrk, 'close');
  } finally {
    clearTimeout(timer);
  }
  const result = /^RESULT (.*)$/m.exec(output)?.[1];
  if (result === undefined) throw new Error(`wrk ${url} failed:\n${output}`);
  const { requests, us, bytes, p50, p99, refused, broken } = JSON.parse(result) as Record<
    'requests' | 'us' | 'bytes' | 'p50' | 'p99' | 'refused' | 'broken',
    number
  >;
  return {
    requests,
    seconds: us / 1e6,
    bytes,
    p50Ms: p50 / 1e3,
    p99Ms: p99 / 1e3,
    refused,
    broken,
  };
}
