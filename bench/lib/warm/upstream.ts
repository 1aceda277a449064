/**
 * The upstream of every row: nginx with fixed answers and no log. Mayfly's process engine starts it as an app, and the
 * peers are pointed at the very same process: whatever differs between two rows is the proxy's doing.
 *
 * `/check` tells what arrived, and at which port: so a proxy that drops a body or picks the wrong upstream is found out.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LARGE_BODY_BYTES, SMALL_BODY } from './scenarios.ts';
import type { Workshop } from './workshop.ts';

/** What `/check` tells. */
export interface Arrived {
  readonly method: string;
  /** The Content-Length, or `chunked`. */
  readonly framing: string;
  /** The field `X-Bench`. */
  readonly mark: string;
  readonly port: number;
}

export const LARGE_BODY = SMALL_BODY.repeat(LARGE_BODY_BYTES / SMALL_BODY.length);

/** The command of the app. Errors: nginx is not installed. */
export async function prepareUpstream(workshop: Workshop): Promise<string[]> {
  const { folder, cores } = workshop;
  const template = join(folder, 'upstream.conf');
  const script = join(folder, 'upstream.sh');
  await writeFile(join(folder, 'large'), LARGE_BODY);
  await writeFile(template, config(folder));
  await writeFile(
    script,
    `set -eu
sed "s/@PORT@/$PORT/" "$1" >"$TMPDIR/nginx.conf"
exec taskset -c "$2" "$3" -e stderr -p "$TMPDIR" -c "$TMPDIR/nginx.conf"
`,
  );
  return ['sh', script, template, String(cores.load), await workshop.need('nginx')];
}

export function readArrived(text: string): Arrived {
  const [method = '', framing = '', mark = '', port = ''] = text.split('|');
  return { method, framing, mark, port: Number(port) };
}

function config(folder: string): string {
  return `daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  default_type text/plain;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  sendfile on;
  open_file_cache max=16;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {
    listen 127.0.0.1:@PORT@ backlog=4096;
    location / { return 200 "${SMALL_BODY}"; }
    location = /large { root ${folder}; }
    location = /check { return 200 "$request_method|$content_length$http_transfer_encoding|$http_x_bench|$server_port"; }
  }
}
`;
}
