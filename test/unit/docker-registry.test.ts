import { describe, expect, it } from 'vitest';
import { isNear, kindOfFailure, registryOf } from '../../src/compute/docker/registry.ts';

describe('the registry of an image', () => {
  it.each([
    ['nginx', undefined],
    ['acme/shop:1.4', undefined],
    ['ghcr.io/acme/shop:1.4', 'ghcr.io'],
    ['localhost/shop', 'localhost'],
    ['registry:5000/shop', 'registry:5000'],
  ])('of %s is %s', (image, registry) => {
    expect(registryOf(image)).toBe(registry);
  });

  it.each([
    'localhost',
    'LOCALHOST:5000',
    'a.localhost:5000',
    '127.0.0.1:5000',
    '127.1:5000',
    '2130706433:80',
    '0x7f000001:80',
    '0.0.0.0:5000',
    '169.254.169.254',
    'localhost.:5000',
    '127.0.0.1:99999',
  ])('is near: %s', (registry) => {
    expect(isNear(registry)).toBe(true);
  });

  it.each(['ghcr.io', 'registry.example:5000', '10.0.0.7:5000', '192.0.2.1'])('is not: %s', (registry) => {
    expect(isNear(registry)).toBe(false);
  });

  it('is not quoted: of what it said only the kind is told', () => {
    expect(kindOfFailure('manifest for shop:7 not found: manifest unknown')).toBe(
      'its registry has no such image',
    );
    expect(kindOfFailure('dial tcp 192.0.2.1:443: connect: connection refused')).toBe(
      'its registry does not answer',
    );
    const body = 'error parsing HTTP 500 response body: "\u001b[2J the password is hunter2"';
    expect(kindOfFailure(body)).toBe('its registry answered with an error');
  });
});
