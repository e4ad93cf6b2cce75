// Path templates: what is named in a path, however the path is written.
import { describe, expect, it } from 'vitest'
import { compileTemplates, templatesSchema } from '../../src/audit/paths.ts'

const find = compileTemplates(['/users/me', '/users/:id', '/users/:id/orders/:order', '/files/*', '/:tenant/home', '/'])
const pathOf = (path: string): string | undefined => find(path)?.path

describe('a template', () => {
  it.each([
    ['/users/alice', '/users/{id}', { id: 'alice' }],
    ['/users/me', '/users/me', {}],
    ['/users/alice/orders/7', '/users/{id}/orders/{order}', { id: 'alice', order: '7' }],
    ['/files/a', '/files/{rest}', { rest: 'a' }],
    ['/files/a/b/c', '/files/{rest}', { rest: 'a/b/c' }],
    ['/acme/home', '/{tenant}/home', { tenant: 'acme' }],
    ['/users/home', '/users/{id}', { id: 'home' }],
    ['/', '/', {}],
  ])('fits %s', (path, told, params) => {
    const found = find(path)
    expect([found?.path, Object.fromEntries(found?.params ?? [])]).toEqual([told, params])
  })

  it.each(['/users', '/users/a/b', '/users/a/orders', '/other', '/files', '/users/a/orders/b/c'])(
    'does not fit %s',
    (path) => {
      expect(pathOf(path)).toBeUndefined()
    },
  )

  it.each([
    '/users/alice/',
    '//users//alice',
    '/USERS/alice',
    '/%75sers/alice',
    '/users%2falice',
    '/users%5Calice',
    '/users\\alice',
    '/users/./alice',
    '/users/bob/../alice',
    '/x/../users/alice',
    '/users/%2e%2e/users/alice',
    '/users;v=1/alice',
    '/users/alice;v=1',
    '/users/al%zzice',
    '/../../users/alice',
  ])('fits a path that a backend could take for one of its kind: %s', (path) => {
    expect(pathOf(path)).toBe('/users/{id}')
  })

  it('is chosen by its place in the list', () => {
    const first = compileTemplates(['/:a/:b', '/users/:id'])
    expect(first('/users/1')?.path).toBe('/{a}/{b}')
    expect(compileTemplates(['/users/:id', '/:a/:b'])('/users/1')?.path).toBe('/users/{id}')
  })

  it.each([
    ['users/:id', 'a path such as /users/:id'],
    ['/users/:', 'a name of letters'],
    ['/users/:a-b', 'a name of letters'],
    ['/:a/:a', 'distinct names'],
    ['/*/x', '* as the last segment'],
    ['/a?b', 'without query'],
    ['/{a}', 'without query'],
  ])('cannot be %s', (text, message) => {
    expect(JSON.stringify(templatesSchema.safeParse([text]).error?.issues)).toContain(message)
  })
})
