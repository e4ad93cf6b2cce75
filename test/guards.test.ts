// The table of guards names what stands in the sources: the full form takes each out, and wants a test to miss it.
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { guards } from './support/guards.ts'

it('each guard stands in its file, once', () => {
  const astray = guards.filter(({ file, cut }) => {
    const text = readFileSync(new URL(`../src/${file}`, import.meta.url), 'utf8')
    return text.split(cut).length !== 2
  })
  expect(astray.map(({ rule }) => rule)).toEqual([])
})
