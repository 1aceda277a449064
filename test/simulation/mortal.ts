import type { Clock } from '../../src/clock.ts';

/**
 * kill -9 for a part of the program that lives in this very process: from the moment it is dead, nothing it calls comes
 * back, nothing it waits for comes to pass, and nothing calls it. What it had done by then stays done.
 */
export class Life {
  dead = false;
  readonly #over = Promise.withResolvers<undefined>();

  /** Resolves when it is dead. */
  get over(): Promise<undefined> {
    return this.#over.promise;
  }

  end(): void {
    this.dead = true;
    this.#over.resolve(undefined);
  }

  /** A clock whose timers die with it. */
  clock(clock: Clock): Clock {
    return {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs(),
      after: (delayMs, callback) =>
        clock.after(delayMs, () => {
          if (!this.dead) callback();
        }),
    };
  }

  /** The same object, whose calls are never answered once it is dead. */
  port<T extends object>(target: T): T {
    const never = new Promise<never>(() => undefined);
    return new Proxy(target, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name, object);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (this.dead) return never;
          const result: unknown = Reflect.apply(value, object, args);
          if (!(result instanceof Promise)) return result;
          // An answer that arrives after death is not heard either.
          return result.then(
            (answer: unknown) => (this.dead ? never : answer),
            (error: unknown) => (this.dead ? never : Promise.reject(error as Error)),
          );
        };
      },
    });
  }
}
