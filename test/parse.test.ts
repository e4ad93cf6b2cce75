// Problems as people read them.
import { expect, it } from 'vitest'
import { z } from 'zod'
import type { BalancerError } from '../src/errors.ts'
import { parseOptions, recordedOf } from '../src/parse.ts'
import { quoted } from '../src/shown.ts'

function problem(schema: z.ZodType, input: unknown): string[] {
  try {
    parseOptions(schema, input, 'test')
    return []
  } catch (error) {
    return (error as BalancerError).problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

const shape = z.strictObject({ n: z.int().min(1) })

it.each<[z.ZodType, unknown, string[]]>([
  [shape, { n: 0 }, ['n: expected at least 1, got 0']],
  [shape, { n: Number.NaN }, ['n: expected a number, got NaN']],
  [shape, { n: 1, o: 2, p: 3 }, ['o: unknown option', 'p: unknown option']],
  [shape, [], ['(the whole): expected an object, got a list']],
  [shape, () => 1, ['(the whole): expected an object, got a function']],
  [z.array(shape), [{ n: 1 }, { n: 'x' }], ['[1].n: expected a number, got a text of 1 character']],
  [z.strictObject({ s: z.string().min(1) }), { s: '' }, ['s: expected text that is not empty, got empty text']],
  [z.strictObject({ s: z.string().max(3) }), { s: 'x'.repeat(99) }, ['s: expected at most 3 characters, got 99']],
  [z.array(z.string()).max(1), ['a', 'b'], ['(the whole): expected at most 1 entries, got a list']],
  [z.boolean(), 'yes', ['(the whole): expected true or false, got a text of 3 characters']],
  [z.union([z.literal(false), shape]), { n: 0 }, ['n: expected at least 1, got 0']],
  [z.union([z.literal(false), shape]), true, ['(the whole): expected false, or an object, got true']],
  [z.union([z.string(), z.array(z.string())]), 'secret'.length, ['(the whole): expected text, or a list, got 6']],
  [z.union([z.string(), shape]), { m: 1 }, ['n: expected a number, got nothing', 'm: unknown option']],
  [z.union([z.union([z.string(), z.number()]), shape]), { n: 0 }, ['n: expected at least 1, got 0']],
  [z.record(z.string(), z.string()), { a: 5 }, ['a: expected text, got 5']],
])('%#', (schema, input, expected) => {
  expect(problem(schema, input)).toEqual(expected)
})

it('an input that throws when it is read is refused', () => {
  const input = {
    get n() {
      throw new Error('mine')
    },
  }
  expect(() => parseOptions(shape, input, 'here')).toThrow('what was given is not valid: here cannot be read: mine')
})

it('lines have of what was found kind and length only', () => {
  const schema = z.strictObject({ mode: z.enum(['a', 'b']), n: z.int().min(1) })
  const fault = (() => {
    try {
      return parseOptions(schema, { mode: 'c', n: 0, x: 'y' }, 'here')
    } catch (error) {
      return error as BalancerError
    }
  })() as BalancerError
  expect(fault.message).toBe(
    'what was given is not valid: here has 3 problems\n  mode: expected "a" or "b", got "c"\n  n: expected at least 1, got 0\n  x: unknown option',
  )
  expect(recordedOf(fault)).toBe(fault.message.replace('"c"', 'a text of 1 character'))
  expect(fault.problems.map(recordedOf)).toEqual([
    'expected "a" or "b", got a text of 1 character',
    'expected at least 1, got 0',
    'unknown option',
  ])
  expect(recordedOf(new Error('other'))).toBe('other')
})

it.each([
  ['a@b:secret@h x', '"[10]@h x"'],
  ['http//u:p@h?token=x', '"[9]@h?[7]"'],
  ['https://u:p@h/a#b', '"https://h/a#[1]"'],
  ['-----BEGIN PRIVATE KEY-----', 'a text of 27 characters'],
  ['', 'empty text'],
  ['x'.repeat(70), `"${'x'.repeat(64)}…"`],
])('%s is shown as %s where a text was expected', (text, shown) => {
  expect(quoted(text)).toBe(shown)
})

it('the message counts the problems, and the value has its defaults', () => {
  expect(() => parseOptions(shape, { n: 0 }, 'here')).toThrow('here has 1 problem\n  n: expected at least 1, got 0')
  expect(() => parseOptions(shape, { n: 0, x: 1 }, 'here')).toThrow('here has 2 problems')
  expect(parseOptions(z.strictObject({ a: z.int().default(4) }), {}, 'here')).toEqual({ a: 4 })
})
