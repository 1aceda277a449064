/**
 * The database's schema, as the steps that lead to it. A file carries the number of steps it has taken (`user_version`)
 * and takes the rest when it is opened, all in one transaction. Steps are only ever appended.
 */
import { PlatformError } from '../errors.ts';

/**
 * Step n takes a file from version n to n + 1. Records are JSON; what they are listed by is read out of the JSON by
 * SQLite itself, so an index cannot disagree with its record. Indexes leave out records without the field.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    appId TEXT AS (body ->> '$.appId') VIRTUAL,
    nodeId TEXT AS (body ->> '$.nodeId') VIRTUAL,
    tenantId TEXT AS (body ->> '$.tenantId') VIRTUAL,
    PRIMARY KEY (kind, id)
  );
  CREATE INDEX records_by_app ON records (kind, appId, id) WHERE appId IS NOT NULL;
  CREATE INDEX records_by_node ON records (kind, nodeId, id) WHERE nodeId IS NOT NULL;
  CREATE INDEX records_by_tenant ON records (kind, tenantId, id) WHERE tenantId IS NOT NULL;

  CREATE TABLE claims (
    claim TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX claims_by_holder ON claims (kind, id);

  -- Sequences and revisions have no gaps and are not used twice: the newest row is never deleted.
  CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    appId TEXT AS (body ->> '$.appId') VIRTUAL,
    containerId TEXT AS (body ->> '$.containerId') VIRTUAL
  );
  CREATE INDEX events_by_app ON events (appId) WHERE appId IS NOT NULL;
  CREATE INDEX events_by_container ON events (containerId) WHERE containerId IS NOT NULL;

  CREATE TABLE changes (
    revision INTEGER PRIMARY KEY,
    op TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL
  );
  `,
  // Scaling: what earlier apps and tenants do not say has the defaults of that time.
  `
  UPDATE records SET body = json_insert(body,
    '$.policy.scaling', json('{"mode":"out","cpuMax":null,"memoryMaxBytes":null}'),
    '$.policy.cooldownMs', json('{"out":3000,"in":60000,"up":3000,"down":60000}')
  ) WHERE kind = 'app';
  UPDATE records SET body = json_insert(body, '$.quota', json('null')) WHERE kind = 'tenant';
  `,
  // Apps may speak HTTP/2; those before spoke HTTP/1.1.
  `
  UPDATE records SET body = json_insert(body, '$.protocol', 'http1') WHERE kind IN ('revision', 'container');
  `,
  // The one container of an app and node becomes the first of the app's.
  `
  UPDATE claims SET claim = substr(claim, 1, instr(claim, '/') - 1) || iif(claim GLOB '*/current', '/0', '/next')
    WHERE claim GLOB 'slot:*/*/*';
  UPDATE records SET body = json_set(body, '$.slot', 0) WHERE kind = 'container' AND body ->> '$.slot' = 'current';
  `,
  // Between which waters load leaves an app as it is.
  `
  UPDATE records SET body = json_insert(body, '$.policy.scaling.highWater', 0.8, '$.policy.scaling.lowWater', 0.5)
    WHERE kind = 'app';
  `,
  // Who wakes an app: until then, everybody.
  `
  UPDATE records SET body = json_insert(body, '$.policy.wake', json(
    '{"ignore":[],"reply":{"status":200,"contentType":"text/plain; charset=utf-8","body":""},"perMinute":null,"waitingPage":false}'
  )) WHERE kind = 'app';
  `,
  // In which hours an app is kept ready: until then, in none.
  `
  UPDATE records SET body = json_insert(body, '$.policy.keepWarm', json('[]')) WHERE kind = 'app';
  `,
  // How much CPU is lent while an app starts: until then, none.
  `
  UPDATE records SET body = json_insert(body, '$.policy.boost', json('{"cpu":null,"afterReadyMs":1000}'))
    WHERE kind = 'app';
  `,
  // How many containers are ready beyond what load needs: until then, none.
  `
  UPDATE records SET body = json_insert(body, '$.policy.spares', 0) WHERE kind = 'app';
  `,
  // Claims on hosts have their labels turned round. In a new table: what a.b becomes may be there already, as b.a.
  `
  CREATE TABLE turned (
    claim TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    id TEXT NOT NULL
  ) WITHOUT ROWID;
  INSERT INTO turned SELECT iif(claim GLOB 'host:*', 'host:' || (
    WITH RECURSIVE labels(rest, done) AS (
      SELECT substr(claim, 6) || '.', ''
      UNION ALL
      SELECT substr(rest, instr(rest, '.') + 1), '.' || substr(rest, 1, instr(rest, '.') - 1) || done
        FROM labels WHERE rest <> ''
    )
    SELECT substr(done, 2) FROM labels WHERE rest = ''
  ), claim), kind, id FROM claims;
  DROP TABLE claims;
  ALTER TABLE turned RENAME TO claims;
  CREATE INDEX claims_by_holder ON claims (kind, id);
  `,
];

/** "Mayf" in the file's header: says whose database it is. */
const APPLICATION_ID = 0x4d617966;

/** What migrating needs of a connection. */
export interface Connection {
  readonly inTransaction: boolean;
  exec(sql: string): unknown;
  pragma(source: string, options: { simple: true }): unknown;
}

/**
 * Takes the steps that the file has not taken yet, or leaves it as it was.
 * Errors: `store_unavailable` when the file is another program's or was written by a newer version of this one.
 */
export function migrate(db: Connection, path: string, migrations: readonly string[] = MIGRATIONS): void {
  // The lock is taken before the version is read: of two processes that open a file together, one migrates it.
  db.exec('BEGIN IMMEDIATE');
  try {
    const version = expectOwnFile(db, path);
    if (version > migrations.length) throw tooNew(path, version, migrations.length);
    if (version < migrations.length) {
      for (const step of migrations.slice(version)) db.exec(step);
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${migrations.length}`);
    }
    db.exec('COMMIT');
  } catch (error) {
    if (db.inTransaction) db.exec('ROLLBACK'); // a full disk has SQLite do it itself
    throw error;
  }
}

/** The file's version; 0 for an empty file. */
function expectOwnFile(db: Connection, path: string): number {
  const isEmpty = db.pragma('schema_version', { simple: true }) === 0;
  if (isEmpty) return 0;
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new PlatformError('store_unavailable', `The database ${path} belongs to another program`, {
      hint: 'Choose another data folder, or move the file away.',
    });
  }
  return Number(db.pragma('user_version', { simple: true }));
}

function tooNew(path: string, version: number, known: number): PlatformError {
  return new PlatformError(
    'store_unavailable',
    `The database ${path} has schema version ${version}; this program knows versions up to ${known}`,
    { hint: 'It was written by a newer Mayfly: start that version, or choose another data folder.' },
  );
}
