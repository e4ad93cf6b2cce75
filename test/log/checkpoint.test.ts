// Checkpoints have the form that C2SP tlog-checkpoint prescribes.
import { describe, expect, it } from 'vitest'
import { formatCheckpoint, parseCheckpoint } from '../../src/log/checkpoint.ts'
import { emptyRoot } from '../../src/log/merkle.ts'

const text = 'shop/a/traffic/01\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n'

it('is origin, size and root', () => {
  const checkpoint = { origin: 'shop/a/traffic/01', size: 0, root: emptyRoot }
  expect(formatCheckpoint(checkpoint)).toBe(text)
  expect(parseCheckpoint(text)).toEqual(checkpoint)
  expect(parseCheckpoint(`${text}extension\n`)).toEqual(checkpoint)
})

describe('what is no checkpoint', () => {
  it.each([
    '',
    'origin\n',
    text.replace('\n0\n', '\n-1\n'),
    text.replace('\n0\n', '\n00\n'),
    text.replace('\n0\n', '\n1e3\n'),
    text.replace('FU=', 'FV='),
    text.replace('47DE', ''),
    text.slice(text.indexOf('\n')),
  ])('%j', (wrong) => {
    expect(parseCheckpoint(wrong)).toBeUndefined()
  })
})
