import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { CertificateFiles } from '../../src/proxy/doors/certificate-files.ts';
import type { CertificateChange } from '../../src/proxy/doors/certificates.ts';
import { makePair } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { FakeClock } from '../support/fake-clock.ts';

let one: Pair;
let two: Pair;
beforeAll(async () => {
  [one, two] = await Promise.all([makePair(['one.test']), makePair(['two.test'])]);
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-files-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
});

let stamp = 1_000;
function put(name: string, pair: Pair): { certPath: string; keyPath: string } {
  const paths = { certPath: join(folder, `${name}.crt`), keyPath: join(folder, `${name}.key`) };
  writeFileSync(paths.certPath, pair.certPem);
  writeFileSync(paths.keyPath, pair.keyPem);
  // Files of one size that are written within one tick of the file system's clock are told apart by people, not by it.
  for (const path of Object.values(paths)) utimesSync(path, ++stamp, stamp);
  return paths;
}

function open(pairs: readonly { certPath: string; keyPath: string }[], dir?: string) {
  const clock = new FakeClock();
  const errors: string[] = [];
  const changes: CertificateChange[] = [];
  const log = {
    warn: () => undefined,
    error: (fields: object) => void errors.push((fields as { err: Error }).err.message),
  };
  const files = new CertificateFiles({ pairs, folder: dir, clock, log });
  onTestFinished(() => files.close());
  files.watch((change) => changes.push(change));
  return { clock, errors, changes, files, names: () => files.certificates.flatMap(({ names }) => names) };
}

describe('certificates from files', () => {
  it('are those of the pairs, the first of them the default, and those of the folder in both layouts', () => {
    const first = put('one', one);
    const dir = join(folder, 'live');
    mkdirSync(join(dir, 'two.test'), { recursive: true });
    mkdirSync(join(dir, 'README'));
    writeFileSync(join(dir, 'two.test', 'fullchain.pem'), two.certPem);
    writeFileSync(join(dir, 'two.test', 'privkey.pem'), two.keyPem);
    const { files } = open([first], dir);
    expect(files.certificates).toMatchObject([
      { names: ['one.test'], isDefault: true },
      { names: ['two.test'], isDefault: false },
    ]);
    const flat = open([], folder);
    expect(flat.names()).toEqual(['one.test']);
  });

  it('are read again when told, and every few seconds: what has changed, has come and has gone', async () => {
    put('a', one);
    const { files, changes, clock, names } = open([], folder);
    files.reload();
    expect(changes).toEqual([]);

    put('a', two);
    put('b', one);
    files.reload();
    expect(names().sort()).toEqual(['one.test', 'two.test']);
    expect(changes).toMatchObject([{ remove: [], put: [{ names: ['two.test'] }, { names: ['one.test'] }] }]);

    unlinkSync(join(folder, 'b.crt'));
    await clock.advance(10_000);
    expect(names()).toEqual(['two.test']);
    expect(changes[1]).toEqual({ remove: [`file:${join(folder, 'b.crt')}`], put: [] });
    await clock.advance(60_000);
    expect(changes).toHaveLength(2);
  });

  it('are followed through links, as those who renew them leave them', () => {
    const old = put('old', one);
    const link = join(folder, 'link.pem');
    const key = join(folder, 'link.key');
    symlinkSync(old.certPath, link);
    symlinkSync(old.keyPath, key);
    const { files, names } = open([{ certPath: link, keyPath: key }]);
    const fresh = put('new', two);
    for (const path of [link, key]) unlinkSync(path);
    symlinkSync(fresh.certPath, link);
    symlinkSync(fresh.keyPath, key);
    files.reload();
    expect(names()).toEqual(['two.test']);
  });

  it('stay as they were when the new ones are no good, which is said once', async () => {
    const paths = put('a', one);
    const { files, changes, errors, clock, names } = open([paths]);
    writeFileSync(paths.keyPath, two.keyPem);
    files.reload();
    await clock.advance(60_000);
    expect(names()).toEqual(['one.test']);
    expect(changes).toEqual([]);
    expect(errors).toEqual([`${paths.keyPath} is not the key of the certificate`]);

    put('a', two);
    files.reload();
    expect(names()).toEqual(['two.test']);
  });

  it('end the start, by the name of the file, when they are no good from the beginning', () => {
    const paths = put('a', one);
    const failure = (pairs: Parameters<typeof open>[0], dir?: string) => {
      try {
        open(pairs, dir);
      } catch (thrown) {
        return PlatformError.from(thrown);
      }
      throw new Error('they were taken');
    };
    expect(failure([{ ...paths, keyPath: join(folder, 'none') }])).toMatchObject({
      code: 'invalid_config',
      message: `${join(folder, 'none')} cannot be read (ENOENT)`,
    });
    expect(failure([], join(folder, 'none')).message).toContain('cannot be read (ENOENT)');
    writeFileSync(paths.certPath, 'hello');
    expect(failure([paths]).message).toBe(`${paths.certPath} holds no certificate in PEM`);
  });
});
