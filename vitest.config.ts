import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Real engines, ports and cgroups are shared between files: two at a time is what a small machine takes.
    maxWorkers: 2,
  },
});
