import { expect, it } from 'vitest';
import { amount } from './words';

it('writes amounts for people', () => {
  expect(['500m', '1000m', '2', '1Gi', '512Mi', '10G'].map(amount)).toEqual(['0.5', '1', '2', '1 GiB', '512 MiB', '10 GB']);
  expect(amount('plenty')).toBe('plenty');
});
