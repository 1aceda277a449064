import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { openMemoryStore } from '../../src/cmdb/memory.ts';
import { createApi } from '../../src/coreapi/http/api.ts';
import { FakeGateway, recordingLog, startApi } from './api-support.ts';
import { DEFAULT_POLICY } from '../../src/coreapi/schema-policy.ts';

interface Operation {
  readonly summary?: string;
  readonly security?: unknown[];
  readonly parameters?: { readonly name: string; readonly in: string }[];
  readonly responses: Record<string, unknown>;
}

interface Document {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, unknown>; readonly securitySchemes: object };
}

async function readDocument(): Promise<Document> {
  const { url } = await startApi();
  return (await (await fetch(`${url}/v1/openapi.json`)).json()) as Document;
}

const operationsOf = (document: Document) =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

describe('/v1/openapi.json', () => {
  it('describes exactly the routes that are served', async () => {
    const document = await readDocument();
    const described = operationsOf(document).map(({ path, method }) => `${method} ${path}`);
    const api = createApi({
      store: openMemoryStore(),
      gateway: new FakeGateway(),
      clock: systemClock,
      log: recordingLog(),
      defaultTenantId: 'ten_1',
      ready: async () => undefined,
      shutdown: new AbortController().signal,
    });
    const served = api.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method.toLowerCase()} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    expect(described.sort()).toEqual([...new Set(served)].sort());
    expect(described).toHaveLength(22);
  });

  it('is answered by no route with 404 or 405', async () => {
    const { call } = await startApi();
    const { paths } = (await (await call('GET', '/v1/openapi.json')).json()) as Document;
    for (const [path, methods] of Object.entries(paths)) {
      for (const method of Object.keys(methods)) {
        const answer = await call(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, '-'), {});
        const code = answer.status === 204 ? '' : await answer.text();
        expect(code).not.toContain('method_not_allowed');
        expect(code).not.toContain('lists what there is');
      }
    }
  });

  it('is OpenAPI 3.1 whose references all resolve', async () => {
    const document = await readDocument();
    expect(document.openapi).toBe('3.1.0');
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, to = '']) => to);
    expect(references.length).toBeGreaterThan(20);
    for (const reference of references) {
      const [root, ...path] = reference.split('/');
      expect(root).toBe('#');
      const found = path.reduce<unknown>(
        (at, key) => (at as Record<string, unknown> | undefined)?.[key],
        document,
      );
      expect(found, reference).toBeTypeOf('object');
    }
  });

  it('says of every operation what it is for, who may call it, and how it fails', async () => {
    const document = await readDocument();
    const open = new Set(['/healthz', '/readyz', '/v1/openapi.json']);
    for (const { path, method, operation } of operationsOf(document)) {
      const name = `${method} ${path}`;
      expect(operation.summary, name).toBeTruthy();
      expect(operation.security, name).toEqual(open.has(path) ? undefined : [{ bearer: [] }]);
      expect(operation.responses, name).toHaveProperty('default.content.application/problem+json');
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
      const described = operation.parameters?.filter((parameter) => parameter.in === 'path') ?? [];
      expect(
        described.map((parameter) => parameter.name),
        name,
      ).toEqual(inPath);
    }
    expect(document.components.securitySchemes).toEqual({ bearer: { type: 'http', scheme: 'bearer' } });
  });

  it('gives every policy field its description and default', async () => {
    const { components } = await readDocument();
    const policy = components.schemas['PolicyInput'] as {
      properties: Record<string, { description?: string; default?: unknown; properties?: object }>;
    };
    expect(Object.keys(policy.properties)).toHaveLength(Object.keys(DEFAULT_POLICY).length);
    for (const [name, field] of Object.entries(policy.properties)) {
      if (field.properties) continue;
      expect(field, name).toHaveProperty('default');
      expect(field.description, name).toBeTruthy();
    }
  });
});
