import { describe, expect, it } from 'vitest';
import type { ContainerState } from '../../src/cmdb/records.ts';
import { isLiving, transition, TRANSITIONS } from '../../src/coreapi/decisions/lifecycle.ts';
import { isPlatformError } from '../../src/errors.ts';
import { container as aContainer } from '../support/records.ts';

const container = aContainer({
  address: { host: '127.0.0.1', port: 1 },
  enteredAtMs: { planned: 1, starting: 2, ready: 3 },
});
const states = Object.keys(TRANSITIONS) as ContainerState[];

describe('the life of a container', () => {
  it('ends in stopped or failed, from every state, and nowhere else', () => {
    for (const state of states) {
      const ended = state === 'stopped' || state === 'failed';
      expect(isLiving({ state })).toBe(!ended);
      if (!ended) expect(TRANSITIONS[state]).toContain('failed');
    }
  });

  it('allows what the table says and refuses everything else by name', () => {
    for (const from of states) {
      for (const to of states) {
        if (from === to) continue;
        const attempt = () => transition({ ...container, state: from }, to, 'because', 10);
        if (TRANSITIONS[from].includes(to)) expect(attempt()).toMatchObject({ state: to, reason: 'because' });
        else {
          let thrown: unknown;
          try {
            attempt();
          } catch (error) {
            thrown = error;
          }
          expect(isPlatformError(thrown, 'invalid_transition')).toBe(true);
          expect(String(thrown)).toContain(`ctr_1 is ${from} and cannot become ${to}`);
        }
      }
    }
  });

  it('remembers when each state was entered, and keeps the time when nothing changed', () => {
    const paused = transition(container, 'paused', 'idle', 10);
    expect(paused.enteredAtMs).toEqual({ planned: 1, starting: 2, ready: 3, paused: 10 });
    expect(transition(container, 'ready', 'still', 99).enteredAtMs).toEqual(container.enteredAtMs);
  });

  it('gives up its slot when it is to go, and its address when it has gone', () => {
    expect(transition(container, 'paused', '', 1)).toMatchObject({
      slot: 0,
      address: container.address,
    });
    expect(transition(container, 'draining', '', 1)).toMatchObject({
      slot: null,
      address: container.address,
    });
    expect(transition(container, 'failed', '', 1)).toMatchObject({ slot: null, address: null });
  });
});
