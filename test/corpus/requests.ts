/**
 * Requests, each with the one way in which it is to be taken: the families of request smuggling with their variations, every
 * rule of framing, and the odd but legal things that must pass.
 */
import { BODY_CASES } from './requests-bodies.ts';
import { FRAMING_CASES } from './requests-framing.ts';
import { HEAD_CASES } from './requests-heads.ts';
import { PASSING_CASES } from './requests-passing.ts';
import type { RequestCase } from './types.ts';

export const REQUESTS: readonly RequestCase[] = [
  ...HEAD_CASES,
  ...FRAMING_CASES,
  ...BODY_CASES,
  ...PASSING_CASES,
];
