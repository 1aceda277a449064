/** `mayfly up`: everything on one machine. Its flags are rows of src/config.ts, which says what is allowed. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { ENGINE_CHOICES, readConfig, unknownVariables } from '../../config.ts';
import { collect, examples } from '../client-options.ts';
import type { Context } from '../context.ts';
import { LOG_LEVELS } from '../../log.ts';

export function addUpCommand(program: Command, context: Context, done: (exitCode: number) => void): void {
  const command = program
    .command('up')
    .summary('run Mayfly on this machine')
    .description(
      'Runs Mayfly on this machine: the proxy, the Core API and the containers, until Ctrl-C. The first start with a new ' +
        'data folder prints an operator token, once; MAYFLY_OPERATOR_TOKEN sets it instead.',
    )
    .option(
      '--data <dir>',
      'everything that must last (default: $XDG_DATA_HOME/mayfly, else ~/.local/share/mayfly)',
    )
    .option('--proxy-port <port>', 'where apps are reached, 0: any free one (default: 8080)')
    .option('--proxy-host <address>', 'the address the proxy listens on (default: 127.0.0.1)')
    .option('--tls-port <port>', 'where apps are reached over TLS, HTTP/1.1 and HTTP/2 (default: nowhere)')
    .option(
      '--tls-cert <file>',
      'a certificate and its chain, PEM; may be repeated, the first is the default',
      collect,
    )
    .option('--tls-key <file>', 'the key of the certificate at the same place; may be repeated', collect)
    .option(
      '--tls-dir <dir>',
      'a folder of NAME.crt and NAME.key, or of NAME/fullchain.pem and NAME/privkey.pem',
    )
    .option(
      '--trusted-proxy <network>',
      'whose X-Forwarded-* is believed, 192.0.2.0/24; may be repeated',
      collect,
    )
    .option(
      '--proxy-protocol-from <network>',
      'load balancers that begin connections with a PROXY header; may be repeated',
      collect,
    )
    .option('--inside-port <port>', 'where containers on Docker reach what their apps need (default: 7080)')
    .option('--api-port <port>', 'where the Core API is reached, 0: any free one (default: 9080)')
    .option('--api-host <address>', 'the address the Core API listens on (default: 127.0.0.1)')
    .addOption(
      // Which choice is right is checked with the other settings; here it is for help and completion.
      open(
        new Option(
          '--engine <engine>',
          'what runs containers: auto is Docker where it answers (default: auto)',
        ),
        ENGINE_CHOICES,
      ),
    )
    .option('--docker-socket <path>', 'where the Docker engine listens (default: /var/run/docker.sock)')
    .option(
      '--local-registry <host:port>',
      'a registry on this machine or its link that images may be pulled from; may be repeated (default: none)',
      collect,
    )
    .option(
      '--workers <count>',
      'proxy processes, 1 to 64; with 1 the proxy is part of the program itself (default: 1)',
    )
    .option(
      '--worker-drain-ms <ms>',
      'how long a worker that SIGHUP replaces may finish what it has in flight (default: 90000)',
    )
    .option(
      '--cpu-overcommit <factor>',
      'CPU promised to containers, per CPU of the machine, 0.1 to 100 (default: 4)',
    )
    .option(
      '--access-log <file>',
      'a line of JSON for each request, appended to this file; - is standard output',
    )
    .option('--access-log-sample <share>', 'of how many: full, or 0.01 for one in a hundred (default: full)')
    .option(
      '--metrics-port <port>',
      'where /metrics is read without a token, 0: any free one (default: nowhere)',
    )
    .option('--metrics-host <address>', 'the address it is read on (default: 127.0.0.1)')
    .option('--leave-running', 'leave containers running at the end; the next start adopts them')
    .option('--config <file>', 'a JSON file with these settings in camelCase (default: MAYFLY_CONFIG)')
    .addOption(open(new Option('--log-level <level>', 'how much the log says (default: info)'), LOG_LEVELS))
    .addHelpText(
      'after',
      '\nEvery setting can also be a variable (MAYFLY_PROXY_PORT) or a key of the file (proxyPort): flags win over variables, variables over the file.',
    )
    .action(async ({ config: file, ...flags }: Record<string, string | string[] | boolean | undefined>) => {
      const config = readConfig({
        flags,
        env: context.io.env,
        file: typeof file === 'string' ? file : undefined,
      });
      for (const { name, meant } of unknownVariables(context.io.env)) {
        context.note(
          `warning: ${name} is no setting${meant === undefined ? '' : `; did you mean ${meant}?`}`,
        );
      }
      done(await context.io.up(config));
    });
  examples(command, [
    ['', 'mayfly up'],
    ['without Docker, elsewhere', 'mayfly up --engine process --data ./data --proxy-port 8000'],
    ['reachable from outside', 'mayfly up --proxy-host 0.0.0.0 --proxy-port 80'],
    ['with TLS', 'mayfly up --tls-port 8443 --tls-cert site.crt --tls-key site.key'],
  ]);
}

/** Names the choices without holding anybody to them. */
function open(option: Option, choices: readonly string[]): Option {
  option.argChoices = [...choices];
  return option;
}
