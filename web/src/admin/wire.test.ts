import { describe, expect, it } from 'vitest';
import { joined, merged, type TreeEvent } from './wire';

describe('a merge patch', () => {
  // The examples of RFC 7396, appendix A.
  it.each([
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', '{}'],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['["a","b"]', '["c","d"]', '["c","d"]'],
    ['{"a":"b"}', '["c"]', '["c"]'],
    ['{"a":"foo"}', 'null', 'null'],
    ['{"a":"foo"}', '"bar"', '"bar"'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
    ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ])('of %s by %s', (target, patch, result) => {
    expect(merged(JSON.parse(target), JSON.parse(patch))).toEqual(JSON.parse(result));
  });

  it('leaves what it does not name as the same object, and changes nothing in place', () => {
    const before = { rows: { a: { restarts: 0 }, b: { restarts: 0 } }, order: ['a', 'b'] };
    const after = merged(before, { rows: { a: { restarts: 1 } } }) as typeof before;
    expect(after.rows.a).toEqual({ restarts: 1 });
    expect(after.rows.b).toBe(before.rows.b);
    expect(after.order).toBe(before.order);
    expect(before.rows.a.restarts).toBe(0);
  });

  it('takes names that mean something to the language as names', () => {
    const after = merged({}, JSON.parse('{"__proto__":{"polluted":1},"constructor":{"a":1}}')) as object;
    expect(Object.keys(after)).toEqual(['__proto__', 'constructor']);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(after)).toBe(Object.prototype);
  });
});

describe('events', () => {
  const event = (seq: number, second: number): TreeEvent => ({
    seq, at: new Date(second * 1_000).toISOString(), actor: 'mailer', what: 'failed',
  });

  it('are added as they come', () => {
    const known = [event(1, 10)];
    expect(joined(known, [event(2, 10)], false).map(({ seq }) => seq)).toEqual([1, 2]);
    expect(joined(known, [], true)).toBe(known);
  });

  it('come once, although a new connection tells them again', () => {
    const known = [event(1, 10), event(2, 20), event(3, 30)];
    expect(joined(known, [event(2, 20), event(3, 30), event(4, 40)], true).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  });

  it('of a server that was started again come after those of the one before', () => {
    const known = [event(7, 10), event(8, 20)];
    expect(joined(known, [event(1, 100)], true).map(({ seq }) => seq)).toEqual([7, 8, 1]);
  });

  it('are not kept without end', () => {
    const many = Array.from({ length: 1_500 }, (_, at) => event(at, at));
    const all = joined([event(0, 0)], many, false);
    expect(all).toHaveLength(1_000);
    expect(all.at(-1)?.seq).toBe(1_499);
  });
});
