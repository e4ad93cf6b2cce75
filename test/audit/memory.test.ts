// What is remembered of texts: the same comes out whether it is remembered or not, and it stays small.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Memories, Memory } from '../../src/audit/memory.ts'

const counting = () => {
  const made: string[] = []
  const memory = new Memory(
    (text) => {
      made.push(text)
      return `<${text}>`
    },
    (length) => `#${length}`,
  )
  return { memory, made }
}

it('makes the same of a text each time', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constantFrom('a', 'b', 'x'.repeat(300)), fc.string())), (texts) => {
      const { memory } = counting()
      for (const text of texts) {
        expect(memory.of(text)).toBe(`<${text}>`)
        expect(memory.ofLength(text.length)).toBe(`#${text.length}`)
      }
    }),
  )
})

it('remembers what repeats, and gives up where nothing does', () => {
  const { memory, made } = counting()
  for (let i = 0; i < 100; i++) memory.of('same')
  expect(made).toHaveLength(1)
  for (let i = 0; i < 1000; i++) memory.of(`trace-${i}`)
  for (let i = 0; i < 3; i++) memory.of('same')
  // Given up: it is made anew each time.
  expect(made.slice(-3)).toEqual(['same', 'same', 'same'])
})

it('remembers for a bounded number of names', () => {
  const memories = new Memories()
  const make = () => counting().memory
  const first = memories.of('first', make)
  for (let i = 0; i < 1000; i++) memories.of(`x-${i}`, make)
  expect(memories.of('first', make)).toBe(first)
  expect(memories.of('x-999', make)).not.toBe(memories.of('x-999', make))
})
