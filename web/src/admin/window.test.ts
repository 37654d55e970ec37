import { describe, expect, it } from 'vitest';
import { covers, MOST, scrolledTo, seen, shift, wanted } from './window';

describe('a list of which only what is seen is there', () => {
  it('counts rows that are seen in part', () => {
    expect(seen(0, 320, 32, 1_000)).toEqual({ from: 0, count: 10 });
    expect(seen(16, 320, 32, 1_000)).toEqual({ from: 0, count: 11 });
    expect(seen(32_000 - 320, 320, 32, 1_000)).toEqual({ from: 990, count: 10 });
  });

  it('sees nothing of nothing, and no more than there is', () => {
    expect(seen(0, 320, 32, 0)).toEqual({ from: 0, count: 0 });
    expect(seen(0, 320, 32, 3)).toEqual({ from: 0, count: 3 });
    // The list became shorter than where it is scrolled to.
    expect(seen(9_000, 320, 32, 3)).toEqual({ from: 2, count: 1 });
    // A bounce above the top.
    expect(seen(-50, 320, 32, 100)).toEqual({ from: 0, count: 9 });
  });

  it('asks for a screen more on both sides, within what the server sends', () => {
    expect(wanted({ from: 0, count: 20 })).toEqual({ from: 0, count: 40 });
    expect(wanted({ from: 100, count: 20 })).toEqual({ from: 80, count: 60 });
    expect(wanted({ from: 100, count: 1 })).toEqual({ from: 90, count: 21 });
    const most = wanted({ from: 500, count: 190 });
    expect(most.count).toBeLessThanOrEqual(MOST);
    expect(most.from + most.count).toBeGreaterThanOrEqual(690);
    expect(wanted({ from: 500, count: 300 }).count).toBe(MOST);
  });

  it('does not ask again for each row that is scrolled', () => {
    const asked = wanted({ from: 100, count: 20 });
    expect(covers(asked, { from: 100, count: 20 }, 1_000)).toBe(true);
    expect(covers(asked, { from: 110, count: 20 }, 1_000)).toBe(true);
    expect(covers(asked, { from: 111, count: 20 }, 1_000)).toBe(false);
    expect(covers(asked, { from: 90, count: 20 }, 1_000)).toBe(true);
    expect(covers(asked, { from: 89, count: 20 }, 1_000)).toBe(false);
    // At the ends there is nothing to spare.
    expect(covers({ from: 0, count: 40 }, { from: 0, count: 20 }, 20)).toBe(true);
    expect(covers({ from: 960, count: 40 }, { from: 980, count: 20 }, 1_000)).toBe(true);
  });

  it('knows by how much rows moved that are still there', () => {
    const before = { from: 10, order: ['a', 'b', 'c', 'd'] };
    expect(shift(before, { from: 10, order: ['x', 'y', 'a', 'b', 'c'] }, 11)).toBe(2);
    expect(shift(before, { from: 8, order: ['z', 'b', 'c', 'd'] }, 11)).toBe(-2);
    // The anchor itself is gone: the next one tells.
    expect(shift(before, { from: 10, order: ['a', 'c', 'd'] }, 11)).toBe(-1);
    expect(shift(before, { from: 500, order: ['p', 'q'] }, 11)).toBe(0);
    // Another window of the same list is no move.
    expect(shift(before, { from: 12, order: ['c', 'd', 'e'] }, 10)).toBe(0);
  });

  it('scrolls no further than it must', () => {
    expect(scrolledTo(5, 0, 320, 32)).toBe(0);
    expect(scrolledTo(10, 0, 320, 32)).toBe(32);
    expect(scrolledTo(3, 320, 320, 32)).toBe(96);
  });
});
