/** How many data planes the platforms of a test file have; what they promise is the same. */
const VARIABLE = 'MAYFLY_TEST_WORKERS';

/** For every platform that this test file starts from here on. */
export function useWorkers(count: number): void {
  process.env[VARIABLE] = String(count);
}

export function workersUnderTest(): number {
  return Number(process.env[VARIABLE] ?? 1);
}
