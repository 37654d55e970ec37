import { defineConfig } from 'vitest/config';

// The tests in a browser: one server and one browser at a time, each file with its own.
export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    bail: 0,
  },
});
