// Statements of a witness: what they account for, and what is none.
import { describe, expect, it } from 'vitest'
import { accountsFor, formatStatement, missingIn, parseStatement } from '../../src/log/statement.ts'

const origin = 'shop/host.0/traffic/00aa'
const statement = {
  origin,
  pruned: 100,
  missing: [
    { first: 50, last: 119 },
    { first: 200, last: 209 },
    { first: 210, last: 210 },
  ],
}

describe('a statement', () => {
  it('reads as it was written', () => {
    expect(parseStatement(formatStatement(statement))).toEqual(statement)
    expect(formatStatement({ origin, pruned: 0, missing: [] })).toBe(`auditlb/witness/v1\n${origin}\npruned 0\n`)
  })

  it.each([
    '',
    'auditlb/witness/v1\n',
    `cosignature/v1\n${origin}\npruned 0\n`,
    `auditlb/witness/v1\n${origin}\npruned -1\n`,
    `auditlb/witness/v1\n${origin}\npruned 01\n`,
    `auditlb/witness/v1\n${origin}\npruned 0`,
    `auditlb/witness/v1\n${origin}\npruned 0\nmissing 5 4\n`,
    `auditlb/witness/v1\n${origin}\npruned 0\nmissing 5\n`,
    `auditlb/witness/v1\n${origin}\npruned 0\n\n`,
    `auditlb/witness/v1\n\npruned 0\n`,
  ])('is none of %j', (text) => {
    expect(parseStatement(text)).toBeUndefined()
  })

  it.each([
    [0, 99, true],
    [0, 119, true],
    [0, 120, false],
    [100, 119, true],
    [200, 210, true],
    [199, 210, false],
    [205, 207, true],
    [210, 211, false],
    [300, 300, false],
  ])('accounts for lines %d to %d: %s', (first, last, whole) => {
    expect(accountsFor(statement, { first, last })).toBe(whole)
  })

  it('counts lines that never came apart from those that retention deleted', () => {
    expect([
      missingIn(statement, 100),
      missingIn(statement, 120),
      missingIn(statement, 205),
      missingIn(undefined, 9),
    ]).toEqual([0, 20, 25, 0])
  })
})
