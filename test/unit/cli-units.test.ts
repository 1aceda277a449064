import { describe, expect, test } from 'vitest';
import { displayWidth, renderTable, truncate } from '../../src/cli/table.ts';
import { formatAgo, formatBytes, formatDuration, parseBytes, parseDurationMs } from '../../src/units.ts';

describe('durations', () => {
  test.each([
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5h', 5_400_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['30000', 30_000],
    ['0', 0],
  ])('%s is read', (text, expected) => expect(parseDurationMs(text)).toBe(expected));

  test.each(['', 's', '5 minutes', '-5s', '5x', '1e3s', '5s '])('%j is refused', (text) =>
    expect(parseDurationMs(text)).toBeUndefined(),
  );

  test.each([
    [0, '0ms'],
    [1.24, '1.2ms'],
    [196, '196ms'],
    [999.7, '1s'],
    [1240, '1.2s'],
    [45_000, '45s'],
    [59_999, '1m'],
    [200_000, '3m 20s'],
    [7_205_000, '2h'],
    [97_200_000, '1d 3h'],
  ])('%d ms is written for people', (durationMs, expected) =>
    expect(formatDuration(durationMs)).toBe(expected),
  );

  test('an age has one unit, and a clock that runs behind does not show a negative one', () => {
    expect(formatAgo(0, 200_000)).toBe('3m ago');
    expect(formatAgo(5000, 4000)).toBe('just now');
  });
});

describe('sizes', () => {
  test.each([
    ['512MiB', 536_870_912],
    ['512m', 536_870_912],
    ['512M', 536_870_912],
    ['1.5GiB', 1_610_612_736],
    ['1GB', 1_000_000_000],
    ['4096', 4096],
    ['10 kB', 10_000],
  ])('%s is read', (text, expected) => expect(parseBytes(text)).toBe(expected));

  test.each(['', 'MiB', '-1m', '5 lightyears', '1e3', 'toString'])('%j is refused', (text) =>
    expect(parseBytes(text)).toBeUndefined(),
  );

  test.each([
    [0, '0 B'],
    [1536, '1.5 KiB'],
    [268_435_456, '256 MiB'],
    [2 ** 50, '1024 TiB'],
  ])('%d is written for people', (sizeBytes, expected) => expect(formatBytes(sizeBytes)).toBe(expected));
});

describe('a table', () => {
  const rows = [
    { name: 'hello', count: 3, why: 'the first request started it' },
    { name: 'a-long-name', count: 120, why: 'idle' },
  ];
  const columns = [
    { title: 'NAME', value: (row: (typeof rows)[0]) => row.name },
    { title: 'COUNT', value: (row: (typeof rows)[0]) => String(row.count), alignRight: true },
    { title: 'WHY', value: (row: (typeof rows)[0]) => row.why, flexible: true },
  ];

  test('lines its columns up', () => {
    expect(renderTable(columns, rows, { width: undefined })).toBe(
      [
        'NAME         COUNT  WHY',
        'hello            3  the first request started it',
        'a-long-name    120  idle',
        '',
      ].join('\n'),
    );
  });

  test('is no wider than the terminal', () => {
    const lines = renderTable(columns, rows, { width: 40 }).trimEnd().split('\n');
    expect(lines[1]).toBe('hello            3  the first request s…');
    expect(lines.every((line) => displayWidth(line) <= 40)).toBe(true);
  });

  test('takes room from the wider of two columns that may be cut, and from no other', () => {
    const two = columns.map((column, index) => (index === 0 ? { ...column, flexible: true } : column));
    const long = [{ name: 'a-very-long-name-of-an-app', count: 3, why: 'the first request started it' }];
    expect(renderTable(two, long, { width: 48 }).split('\n')[1]).toBe(
      'a-very-long-name-o…      3  the first request s…',
    );
    expect(renderTable(two, long, { width: 10 }).split('\n')[1]).toBe('a-very-long…      3  the first r…');
  });

  test('keeps its shape when a text holds line breaks or escape sequences', () => {
    const evil = [{ name: 'x\u001b[2J\ny', count: 1, why: 'ok' }];
    const lines = renderTable(columns, evil, { width: undefined }).trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[1]).not.toContain('\u001b');
  });

  test('colours do not move its columns', () => {
    const painted = columns.map((column, index) =>
      index === 0 ? { ...column, paint: (cell: string) => `\u001b[32m${cell}\u001b[0m` } : column,
    );
    const plain = renderTable(painted, rows, { width: undefined }).replace(/\u001b\[\d+m/g, '');
    expect(plain).toBe(renderTable(columns, rows, { width: undefined }));
  });

  test('wide characters count twice', () => {
    expect(displayWidth('日本')).toBe(4);
    expect(truncate('日本語です', 5)).toBe('日本…');
  });
});
