import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { PlatformError } from '../../src/errors.ts';
import { CertificateFiles } from '../../src/proxy/doors/certificate-files.ts';
import type { CertificateChange } from '../../src/proxy/doors/certificates.ts';
import { makePair } from '../support/certificates.ts';
import type { Pair } from '../support/certificates.ts';
import { FakeClock } from '../support/fake-clock.ts';

let one: Pair;
let two: Pair;
/** Good for ninety days, where the others are for thirty. */
let later: Pair;
let nameless: Pair;
beforeAll(async () => {
  [one, two, later, nameless] = await Promise.all([
    makePair(['one.test']),
    makePair(['two.test']),
    makePair(['later.test'], { days: 90 }),
    makePair([]),
  ]);
});

const DAY_MS = 86_400_000;

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

/** A link that leads to itself (ELOOP): what is there, and cannot be looked at. */
function loop(path: string): void {
  unlinkSync(path);
  symlinkSync(path, path);
}

function open(
  pairs: readonly { certPath: string; keyPath: string }[],
  dir?: string,
  clock = new FakeClock(Date.now()),
) {
  const errors: string[] = [];
  /** Of certificates that are shown: which, by the name of its file, and what about it. */
  const warnings: string[] = [];
  const changes: CertificateChange[] = [];
  const news: string[] = [];
  const log = {
    info: (fields: object, message: string) => {
      news.push(`${basename((fields as { certificate: string }).certificate)}: ${message}`);
    },
    warn: (fields: object, message: string) => {
      warnings.push(`${basename((fields as { certificate: string }).certificate)}: ${message}`);
    },
    error: (fields: object) => void errors.push((fields as { err: Error }).err.message),
  };
  const files = new CertificateFiles({ pairs, folder: dir, clock, log });
  onTestFinished(() => files.close());
  files.watch((change) => changes.push(change));
  return {
    ...{ clock, errors, warnings, news, changes, files },
    names: () => files.certificates.flatMap(({ names }) => names),
    /** The names of the one that is shown where no name fits. */
    fallback: () => files.certificates.filter(({ isDefault }) => isDefault).flatMap(({ names }) => names),
  };
}

/** Why the start ends. */
function failure(...given: Parameters<typeof open>): PlatformError {
  try {
    open(...given);
  } catch (thrown) {
    return PlatformError.from(thrown);
  }
  throw new Error('they were taken');
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
    const { files, changes, news, clock, names } = open([], folder);
    files.reload();
    expect([changes, news]).toEqual([[], []]);

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
    expect(news).toEqual([
      'a.crt: a certificate is shown from now on',
      'b.crt: a certificate is shown from now on',
      'b.crt: a certificate is shown no longer',
    ]);
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
    expect(failure([{ ...paths, keyPath: join(folder, 'none') }])).toMatchObject({
      code: 'invalid_config',
      message: `${join(folder, 'none')} cannot be read (ENOENT)`,
    });
    expect(failure([], join(folder, 'none')).message).toContain('cannot be read (ENOENT)');
    writeFileSync(paths.certPath, 'hello');
    expect(failure([paths]).message).toBe(`${paths.certPath} holds no certificate in PEM`);
  });

  it.each(['certPath', 'keyPath'] as const)(
    'stay as they were when %s cannot be looked at, which is said once, until it can',
    async (which) => {
      const paths = put('a', one);
      const { files, changes, errors, clock, names } = open([paths]);
      loop(paths[which]);
      files.reload();
      await clock.advance(60_000);
      expect(names()).toEqual(['one.test']);
      expect(changes).toEqual([]);
      expect(errors).toEqual([`${paths[which]} cannot be read (ELOOP)`]);

      unlinkSync(paths[which]);
      put('a', two);
      await clock.advance(10_000);
      expect(names()).toEqual(['two.test']);
      expect(errors).toHaveLength(1);
    },
  );

  it('that cannot be looked at end the start by their names, in a folder as well', () => {
    const paths = put('a', one);
    loop(paths.certPath);
    for (const error of [failure([paths]), failure([], folder)])
      expect(error).toMatchObject({
        code: 'invalid_config',
        message: `${paths.certPath} cannot be read (ELOOP)`,
        hint: expect.stringContaining('--tls-dir') as string,
      });
  });

  it('that are no good take the default away from no other, whatever they are called', () => {
    put('b', one);
    put('c', two);
    const { files, errors, changes, names, fallback } = open([], folder);
    expect(fallback()).toEqual(['one.test']);

    const first = put('a', { ...later, keyPem: two.keyPem });
    files.reload();
    expect(errors).toEqual([`${first.keyPath} is not the key of the certificate`]);
    expect(names()).toEqual(['one.test', 'two.test']);
    expect(fallback()).toEqual(['one.test']);
    expect(changes).toEqual([]);

    // Once it is good, it is the first, and the one that was is told of as what it is now.
    put('a', later);
    files.reload();
    expect(fallback()).toEqual(['later.test']);
    expect(changes).toMatchObject([
      {
        remove: [],
        put: [
          { names: ['later.test'], isDefault: true },
          { names: ['one.test'], isDefault: false },
        ],
      },
    ]);

    for (const name of ['a.crt', 'a.key']) unlinkSync(join(folder, name));
    files.reload();
    expect(fallback()).toEqual(['one.test']);
    expect(changes[1]).toMatchObject({
      remove: [`file:${first.certPath}`],
      put: [{ names: ['one.test'], isDefault: true }],
    });
  });

  it('that have expired do not take the place of one that has not, which is said once', async () => {
    const paths = put('a', later);
    const { files, changes, errors, warnings, clock, names } = open(
      [paths],
      undefined,
      new FakeClock(Date.now() + 60 * DAY_MS),
    );
    put('a', one);
    files.reload();
    await clock.advance(60_000);
    expect(names()).toEqual(['later.test']);
    expect(changes).toEqual([]);
    expect(errors).toEqual([expect.stringContaining(`${paths.certPath} has expired (`)]);
    expect(warnings).toEqual([]);
  });

  it('that have expired are taken where there is none that is better, with a warning', async () => {
    const [a, b] = [put('a', one), put('b', two)];
    const clock = new FakeClock(Date.now() + 60 * DAY_MS);
    const { files, errors, warnings, names } = open([a, b], undefined, clock);
    const warning = 'a certificate has expired';
    expect(warnings).toEqual([`a.crt: ${warning}`, `b.crt: ${warning}`]);

    put('a', two);
    files.reload();
    await clock.advance(60_000);
    expect(names()).toEqual(['two.test', 'two.test']);
    expect(errors).toEqual([]);
    expect(warnings.slice(2)).toEqual([`a.crt: ${warning}`]);

    put('a', later);
    files.reload();
    expect(names()).toEqual(['later.test', 'two.test']);
    expect(warnings).toHaveLength(3);
  });

  it('of a folder that has gone stay, which is said once each time, and are read again when it is back', async () => {
    const dir = join(folder, 'live');
    mkdirSync(dir);
    const own = put('own', two);
    put('live/a', one);
    const { clock, changes, errors, names } = open([own], dir);
    const said = () => errors.filter((error) => error === `${dir} cannot be read (ENOENT)`).length;
    for (let absences = 1; absences <= 2; absences++) {
      changes.length = 0;
      renameSync(dir, `${dir}.away`);
      await clock.advance(60_000);
      expect(names()).toEqual(['two.test', 'one.test']);
      expect(changes).toEqual([]);
      expect(said()).toBe(absences);
      renameSync(`${dir}.away`, dir);
      await clock.advance(10_000);
      expect(names()).toEqual(['two.test', 'one.test']);
    }

    // Others are looked at meanwhile all the same; and what it holds then is new.
    renameSync(dir, `${dir}.away`);
    put('own', later);
    await clock.advance(10_000);
    expect(names()).toEqual(['later.test', 'one.test']);
    mkdirSync(dir);
    put('live/b', two);
    await clock.advance(10_000);
    expect(names()).toEqual(['later.test', 'two.test']);
  });

  it('without a name are warned of, unless they are what is shown where no name fits', () => {
    put('a', nameless);
    put('b', nameless);
    const { warnings, fallback } = open([], folder);
    expect(warnings).toEqual(['b.crt: a certificate is never shown: it names no host (subjectAltName)']);
    expect(fallback()).toEqual([]);
  });

  it('of certbot’s layout stay when what their name leads to cannot be looked at, which is said once', async () => {
    const paths = {
      certPath: join(folder, 'one.test/fullchain.pem'),
      keyPath: join(folder, 'one.test/privkey.pem'),
    };
    mkdirSync(join(folder, 'one.test'));
    writeFileSync(paths.certPath, one.certPem);
    writeFileSync(paths.keyPath, one.keyPem);
    const { clock, changes, errors, names } = open([], folder);
    loop(paths.certPath);
    await clock.advance(60_000);
    expect(names()).toEqual(['one.test']);
    expect(changes).toEqual([]);
    expect(errors).toEqual([`${paths.certPath} cannot be read (ELOOP)`]);
  });

  it('that have expired do not become the default before one that has not', () => {
    put('b', later);
    const { files, warnings, names, fallback } = open([], folder, new FakeClock(Date.now() + 60 * DAY_MS));
    put('a', one);
    files.reload();
    expect(names().sort()).toEqual(['later.test', 'one.test']);
    expect(fallback()).toEqual(['later.test']);
    expect(warnings).toEqual(['a.crt: a certificate has expired']);
  });

  it('of a folder that has gone are not said to be missing one by one', async () => {
    const dir = join(folder, 'live');
    mkdirSync(dir);
    for (const name of ['live/a', 'live/b']) put(name, one);
    const { clock, errors } = open([], dir);
    renameSync(dir, `${dir}.away`);
    await clock.advance(60_000);
    expect(errors).toEqual([`${dir} cannot be read (ENOENT)`]);
  });
});
