import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = join(import.meta.dirname, '../../src');

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.replaceAll('\\', '/'));

const imports: Import[] = files.flatMap((from) => {
  const text = readFileSync(join(SRC, from), 'utf8');
  const statements = text.matchAll(/^(?:import|export) (type )?(?:[^;'"]*? from )?['"]([^'"]+)['"];/gms);
  return [...statements].map(([, type, to = '']) => ({
    from,
    to: to.startsWith('.') ? relative(SRC, join(SRC, dirname(from), to)) : to,
    typeOnly: type !== undefined,
  }));
});

const room = (path: string) => (path.includes('/') ? (path.split('/')[0] ?? '') : 'root');
const show = ({ from, to }: Import) => `${from} imports ${to}`;
const forbidden = (rule: (one: Import) => boolean) => imports.filter(rule).map(show);

describe('the house rules: cmdb knows, coreapi decides, compute does, proxy serves', () => {
  it('finds the imports it is about', () => {
    expect(files.length).toBeGreaterThan(30);
    expect(imports.length).toBeGreaterThan(100);
  });

  it('proxy imports nothing of the other three', () => {
    expect(
      forbidden(
        ({ from, to }) => room(from) === 'proxy' && ['cmdb', 'coreapi', 'compute'].includes(room(to)),
      ),
    ).toEqual([]);
  });

  it('only coreapi touches the store; others know its records as types', () => {
    expect(
      forbidden(
        ({ from, to, typeOnly }) =>
          room(to) === 'cmdb' && !typeOnly && !['cmdb', 'coreapi'].includes(room(from)) && from !== 'up.ts',
      ),
    ).toEqual([]);
  });

  it('cmdb imports nothing of those above it', () => {
    expect(
      forbidden(
        ({ from, to }) => room(from) === 'cmdb' && ['proxy', 'coreapi', 'compute', 'cli'].includes(room(to)),
      ),
    ).toEqual([]);
  });

  it('compute reaches the Core API by its port and its pure decisions', () => {
    expect(
      forbidden(
        ({ from, to, typeOnly }) =>
          room(from) === 'compute' &&
          room(to) === 'coreapi' &&
          !to.startsWith('coreapi/decisions/') &&
          !(typeOnly && to === 'coreapi/core-api.ts'),
      ),
    ).toEqual([]);
  });

  it('decisions are pure: they import records, errors, how figures are written, and each other', () => {
    expect(
      forbidden(
        ({ from, to }) =>
          from.startsWith('coreapi/decisions/') &&
          !to.startsWith('coreapi/decisions/') &&
          to !== 'cmdb/records.ts' &&
          to !== 'errors.ts' &&
          to !== 'units.ts',
      ),
    ).toEqual([]);
  });

  it('coreapi knows nothing of engines, sockets of the proxy, or the command line', () => {
    expect(
      forbidden(({ from, to }) => room(from) === 'coreapi' && ['compute', 'proxy', 'cli'].includes(room(to))),
    ).toEqual([]);
  });

  it('the command line is a client: it reaches the platform by the typed client alone', () => {
    expect(
      forbidden(
        ({ from, to, typeOnly }) =>
          room(from) === 'cli' &&
          ['cmdb', 'compute', 'proxy', 'coreapi'].includes(room(to)) &&
          !typeOnly &&
          !/^coreapi\/(client|schema)/.test(to),
      ),
    ).toEqual([]);
  });

  it.each(['dockerode', 'ioredis', 'better-sqlite3'])('%s is imported in one file at most', (library) => {
    const importers = new Set(imports.filter(({ to }) => to === library).map(({ from }) => from));
    expect([...importers].length).toBeLessThanOrEqual(1);
  });

  it('parts meet in one place', () => {
    const wiring = forbidden(
      ({ from, to, typeOnly }) =>
        from !== 'up.ts' && !typeOnly && to === 'proxy/server.ts' && room(from) !== 'proxy',
    );
    expect(wiring).toEqual([]);
  });

  it('no file grows into a heap', () => {
    const heaps = files.filter((name) => readFileSync(join(SRC, name), 'utf8').split('\n').length > 500);
    expect(heaps).toEqual([]);
  });
});
