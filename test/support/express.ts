// Express in the versions that the adapter is for, and apps of either behind a server that ends with the test.
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { Express, RequestHandler } from 'express'
import express from 'express'
import { closeAfterTest, listen } from './closing.ts'

/** Both have the face that a test needs: types are those of version 5. */
type Framework = typeof express

const require = createRequire(import.meta.url)

export interface ExpressVersion {
  readonly name: string
  readonly express: Framework
  /** The pattern of everything below `/x/`. */
  readonly below: string
}

export const expressVersions: readonly ExpressVersion[] = [
  { name: 'Express 4', express: require('express4') as Framework, below: '/x/*' },
  { name: 'Express 5', express, below: '/x/{*rest}' },
]

/** Sets these headers on every response. */
export const presetting =
  (preset: Readonly<Record<string, string | readonly string[]>> = {}): RequestHandler =>
  (_request, response, next) => {
    for (const [name, value] of Object.entries(preset)) response.setHeader(name, value)
    next()
  }

/** Serves an app on a free port. */
export function serveApp(app: Express): Promise<number> {
  const server = createServer(app)
  closeAfterTest(server)
  return listen(server)
}
