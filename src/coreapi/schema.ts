/**
 * The vocabulary of the REST API, in one import: what a caller may say (schema-app.ts, schema-policy.ts, schema-query.ts,
 * schema-scale.ts) and what is answered (schema-views.ts). Each schema both validates and documents; the types come from them.
 */
export * from './schema-app.ts';
export * from './schema-certificates.ts';
export * from './schema-policy.ts';
export * from './schema-query.ts';
export * from './schema-scale.ts';
export * from './schema-views.ts';
