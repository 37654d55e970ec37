import { expect, it } from 'vitest';
import { amount, atMost } from './words';

it('writes amounts for people', () => {
  expect(['500m', '1000m', '2', '1Gi', '512Mi', '10G'].map(amount)).toEqual(['0.5', '1', '2', '1 GiB', '512 MiB', '10 GB']);
  expect(amount('plenty')).toBe('plenty');
});

it('shows no more than a plan allows', () => {
  expect(atMost('4Gi', '2Gi')).toBe('2Gi');
  expect(atMost('512Mi', '2Gi')).toBe('512Mi');
  expect(atMost('1500m', '1')).toBe('1');
  expect(atMost('4Gi', undefined)).toBe('4Gi');
});
