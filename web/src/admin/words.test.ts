import { expect, it } from 'vitest';
import { age, brief, bytes, milliseconds, span } from './words';

it('says amounts in three digits', () => {
  expect([0, 999, 1_000, 1_536, 10_240, 1_048_576, 150_000_000].map(bytes)).toEqual(['0 B', '999 B', '1.0 KB', '1.5 KB', '10 KB', '1.0 MB', '143 MB']);
  expect([3, 1_234, 12_345, 1_200_000].map(brief)).toEqual(['3', '1,234', '12.3K', '1.2M']);
});

it('says times in their largest units', () => {
  expect([0, 59.9, 60, 3_600, 3_660, 86_400, 90_000].map(span)).toEqual(['0 s', '59 s', '1 min', '1 h', '1 h 1 min', '1 d', '1 d 1 h']);
  expect(age(90_000)).toBe('1 d');
  expect([0.4, 12.4, 1_500, 65_000].map(milliseconds)).toEqual(['0.4 ms', '12 ms', '1.5 s', '1 min']);
});
