import { describe, expect, it } from 'vitest';
import { line, nearest, placed, reach, scaleOf } from './chart';

describe('an axis', () => {
  it.each([
    [[0], 1],
    [[1], 1],
    [[3, 1.2], 5],
    [[0.4, 9], 10],
    [[11], 20],
    [[21], 25],
    [[1_001], 2_000],
    [[1_000], 1_000],
  ])('of %s ends at %d', (values, top) => {
    expect(scaleOf(values).top).toBe(top);
  });

  it('ends at round bytes', () => {
    expect(scaleOf([1_900_000], 1, 1024).top).toBe(2 * 1024 * 1024);
    expect(scaleOf([300 * 1024 * 1024], 1, 1024).top).toBe(500 * 1024 * 1024);
    expect(scaleOf([1024], 1, 1024).top).toBe(1024);
  });

  it('does not break on what is no number, or on nothing', () => {
    expect(scaleOf([Number.NaN, Number.POSITIVE_INFINITY, 2]).top).toBe(2);
    expect(scaleOf([], 10).top).toBe(10);
  });
});

describe('a line', () => {
  it('lies where its values do', () => {
    expect(placed(50, 5, 0, 100, { top: 10 })).toEqual({ x: 50, y: 50 });
    expect(placed(0, 0, 0, 100, { top: 10 })).toEqual({ x: 0, y: 100 });
    expect(placed(100, 10, 0, 100, { top: 10 })).toEqual({ x: 100, y: 0 });
    // Outside is at the edge.
    expect(placed(200, 20, 0, 100, { top: 10 })).toEqual({ x: 100, y: 0 });
  });

  it('is broken where nothing was measured', () => {
    const path = line([0, 10, 20, 80, 90], [0, 5, 10, 10, 0], 0, 100, { top: 10 }, 15);
    expect(path).toBe('M0 100L10 50L20 0M80 0L90 100');
  });

  it('of one point is a dot', () => {
    expect(line([50], [5], 0, 100, { top: 10 }, 15)).toBe('M50 50h0.01');
    expect(line([], [], 0, 100, { top: 10 }, 15)).toBe('');
  });

  it('is read at the nearest time', () => {
    expect(nearest([0, 10, 20], 0, 100, 0.14)).toBe(1);
    expect(nearest([0, 10, 20], 0, 100, 1)).toBe(2);
    expect(nearest([], 0, 100, 0.5)).toBe(-1);
  });
});

it('goes back as far as there is something, an hour at most', () => {
  expect([0, 300_000, 300_001, 1_000_000, 9_000_000].map((known) => reach(known) / 60_000)).toEqual([5, 5, 10, 30, 60]);
});
