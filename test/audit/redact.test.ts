// Redaction: what of a request is kept, and how the rest is told.
import { createHmac } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, redactSchema } from '../../src/audit/redact.ts'
import { safeText } from '../../src/audit/text.ts'
import { canonical } from '../../src/canonical.ts'
import { parseOptions } from '../../src/parse.ts'
import { fakeClock } from '../support/fake-clock.ts'

const plain = (value: unknown) => JSON.parse(JSON.stringify(value))
/** One whose headers are told as listeners get them. */
function redactor(options: object = {}, onFault: (option: string, error: unknown) => void = () => undefined) {
  const made = createRedactor(redactSchema.parse(options), { clock: fakeClock(), onFault })
  const headers = (raw: readonly string[]) => {
    const { values, omitted } = made.headers(raw)
    return { values: JSON.parse(values.json), omitted }
  }
  return { ...made, headers }
}

it('keeps the values of listed headers, whatever their case, and tells name and length of the others', () => {
  const { values, omitted } = redactor({ headers: { keep: ['X-Keep'] } }).headers([
    'x-KEEP',
    'v',
    'Cookie',
    'secret',
    'X-Keep',
    'w',
    'cookie',
    'more',
  ])
  expect(plain(values)).toEqual({ 'x-keep': ['v', 'w'], cookie: { length: 10 } })
  expect(omitted).toBe(0)
})

it('by default keeps what holds no secret', () => {
  const { values } = redactor().headers([
    'Host',
    'x',
    'Authorization',
    'Bearer t',
    'User-Agent',
    'curl',
    'Referer',
    'https://x/?token=1',
  ])
  expect(plain(values)).toEqual({
    host: ['x'],
    authorization: { length: 8 },
    'user-agent': ['curl'],
    referer: { length: 18 },
  })
})

it("'all' keeps everything", () => {
  const all = redactor({ headers: { keep: 'all' }, query: { keep: 'all' } })
  expect(plain(all.headers(['Cookie', 'c']).values)).toEqual({ cookie: ['c'] })
  expect(plain(all.url('/p?a=1&b')).query).toEqual({ a: ['1'], b: [''] })
})

it('query parameters: decoded, told by length unless kept, by exact case', () => {
  expect(plain(redactor({ query: { keep: ['q'] } }).url('/a/b?q=x%20y+z&Q=secret&token=s%65cret&q=2&&=v&%=%'))).toEqual(
    {
      path: '/a/b',
      query: { q: ['x y z', '2'], Q: { length: 6 }, token: { length: 6 }, '': { length: 1 }, '%': { length: 1 } },
    },
  )
  expect(redactor().url('/only')).toEqual({ path: '/only' })
})

it('a parameter without `=` is a value without a name, unless it is a name that is kept', () => {
  const { url } = redactor({ query: { keep: ['debug'] } })
  expect(plain(url('/dl?SECRET%20t&debug&x=1').query)).toEqual({ '': { length: 8 }, debug: [''], x: { length: 1 } })
  expect(plain(redactor().url('/dl?a&bc').query)).toEqual({ '': { length: 3 } })
})

it('the password of an absolute target is not kept', () => {
  expect(redactor().url('http://u:hunter2@host/p?x=1').path).toBe('http://host/p')
})

it('__proto__ is a name like any other', () => {
  const r = redactor({ headers: { keep: ['__proto__'] }, query: { keep: ['__proto__'] } })
  expect(JSON.stringify(r.headers(['__proto__', 'v', 'constructor', 'w']).values)).toBe(
    '{"__proto__":["v"],"constructor":{"length":1}}',
  )
  expect(JSON.stringify(r.url('/?__proto__=1&toString=2').query)).toBe('{"__proto__":["1"],"toString":{"length":1}}')
})

it('of more than 64 names the rest is counted', () => {
  const raw = Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'v']).flat()
  const { values, omitted } = redactor().headers(raw)
  expect([Object.keys(values).length, omitted]).toEqual([64, 36])
  const url = redactor().url(`/?${Array.from({ length: 100 }, (_, i) => `p${i}=v`).join('&')}`)
  expect([Object.keys(url.query!).length, url.query_omitted]).toEqual([64, 36])
})

it('long values are cut and marked, unsafe characters are escaped', () => {
  const { values } = redactor({ headers: { keep: ['a'] } }).headers(['a', 'x'.repeat(2000)])
  expect(values.a).toEqual([`${'x'.repeat(1024)}[+976]`])
  expect(safeText('a\\b\r\n\u001b[2J\u00e9\u202e\ud83d\ude00\ud800\u007f')).toBe(
    'a\\\\b\\x0d\\x0a\\x1b[2J\\xe9\\u{202e}\\u{1f600}\\u{d800}\\x7f',
  )
})

it('no value that is not kept is told, and the rest is printable canonical JSON, for any names and values', () => {
  const name = fc.string({ minLength: 1, unit: 'binary' })
  const secret = fc.stringMatching(/^[a-z]{12,20}$/).map((text) => `SECRET${text}`)
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, secret), { maxLength: 80 }),
      fc.array(fc.tuple(name, fc.string({ unit: 'binary' }))),
      (hidden, shown) => {
        const keep = ['keep-me']
        const r = redactor({ headers: { keep }, query: { keep } })
        const pairs = [
          ...hidden.filter(([one]) => one.toLowerCase() !== 'keep-me'),
          ...shown.map(([, value]) => ['keep-me', value]),
        ]
        const headers = r.headers(pairs.flat() as string[])
        const query = pairs.map(([one, value]) => `${encode(one!)}=${encode(value!)}`).join('&')
        const text = canonical({ headers: headers.values, url: r.url(`/?${query}`) } as never)
        expect(text).not.toContain('SECRET')
        expect(text).toMatch(/^[\x20-\x7e]*$/)
        expect(canonical(JSON.parse(text))).toBe(text)
      },
    ),
  )
})

const encode = (text: string): string => encodeURIComponent(text.toWellFormed())

const key = 'a key of more than sixteen bytes'
const hmac = (value: string, by = key): string => createHmac('sha256', by).update(value).digest('hex').slice(0, 32)
const keyId = (by = key): string => createHmac('sha256', by).update('auditlb key id').digest('hex').slice(0, 8)

describe('a key', () => {
  it('adds an HMAC to what is not kept: equal for equal values, wherever they stand', () => {
    const { headers, url } = redactor({ key })
    const told = { hmac: `${keyId()}:${hmac('s3cret')}`, length: 6 }
    expect(plain(headers(['X-Token', 's3cret', 'Host', 'x']).values)).toEqual({ host: ['x'], 'x-token': told })
    expect(plain(url('/?token=s3%63ret').query)).toEqual({ token: told })
    expect(plain(headers(['x-token', 'a', 'x-token', 'bc']).values)).toEqual({
      'x-token': { hmac: `${keyId()}:${hmac('a\nbc')}`, length: 3 },
    })
  })

  it('is told apart from another one', () => {
    const other = 'another key of sixteen bytes or more'
    const told = (by: string) => plain(redactor({ key: by }).headers(['x', 'v']).values).x.hmac
    expect([told(key), told(other)]).toEqual([`${keyId()}:${hmac('v')}`, `${keyId(other)}:${hmac('v', other)}`])
    expect(keyId()).not.toBe(keyId(other))
  })

  it('is text, bytes, or what a function returns; it is not printed', () => {
    const keys = [key, Buffer.from(key), new Uint8Array(Buffer.from(key)), () => key, () => Buffer.from(key)]
    for (const given of keys) {
      const parsed = redactSchema.parse({ key: given })
      expect(`${inspect(parsed, { depth: 9 })}${JSON.stringify(parsed)}`).not.toContain(key.slice(0, 10))
      expect(plain(redactor({ key: given }).headers(['x', 'v']).values).x.hmac).toBe(`${keyId()}:${hmac('v')}`)
    }
    const wrong = [
      'too short',
      Buffer.alloc(15),
      [],
      () => 'too short',
      async () => key,
      () => (undefined as never as { x: string }).x,
    ]
    for (const given of wrong) {
      expect(() => parseOptions(redactSchema, { key: given }, 'x')).toThrow(/key: expected a key.*got (text|a|an)/)
      expect(() => parseOptions(redactSchema, { key: given }, 'x')).not.toThrow(/too short/)
    }
  })

  it('stands for bytes of headers as they came', () => {
    const bytes = Buffer.from('café')
    expect(plain(redactor({ key }).headers(['x', bytes.toString('latin1')]).values).x.hmac).toBe(
      `${keyId()}:${createHmac('sha256', key).update(bytes).digest('hex').slice(0, 32)}`,
    )
  })
})

describe('cookies', () => {
  const told = (options: object, value: string, name = 'cookie'): string =>
    (redactor(options).headers([name, value]).values[name] as string[])[0]!
  const keep = ['cookie', 'set-cookie']

  it('are told by name, and by value where they are listed', () => {
    expect(told({ headers: { keep } }, 'theme=dark; session=s3cret;x')).toBe('theme=[4]; session=[6]; [1]')
    expect(told({ headers: { keep }, cookies: { keep: ['theme'] } }, 'theme=dark; session=s=cret')).toBe(
      'theme=dark; session=[6]',
    )
    expect(told({ headers: { keep }, key }, 'session=s3cret')).toBe(`session=[6 ${keyId()}:${hmac('s3cret')}]`)
    expect(told({ headers: { keep: 'all' } }, 'a=b; c')).toBe('a=b; c')
    expect(told({ headers: { keep: 'all' }, cookies: { keep: ['a'] } }, 'a=b; c=d')).toBe('a=b; c=[1]')
  })

  it('that are set keep their attributes', () => {
    expect(told({ headers: { keep } }, 'session=s3cret; Path=/; HttpOnly', 'set-cookie')).toBe(
      'session=[6]; Path=/; HttpOnly',
    )
  })

  it('are bounded', () => {
    const many = Array.from({ length: 100 }, (_, i) => `c${i}=v`).join('; ')
    expect(told({ headers: { keep } }, many)).toMatch(/^c0=\[1\].*c63=\[1\]; \[\+36\]$/)
    expect(told({ headers: { keep: 'all' } }, `a=${'x'.repeat(9000)}`).length).toBeLessThan(1100)
  })
})

describe('a URL', () => {
  const { headers, url } = redactor({
    headers: { keep: ['referer', 'location', 'origin', 'x-link'] },
    query: { keep: ['page', 'next'] },
    path: ['/users/:id'],
  })
  const told = (name: string, value: string): string => (headers([name, value]).values[name] as string[])[0]!

  it.each([
    ['https://shop.example/list?page=2&token=s3cret#s3cret', 'https://shop.example/list?page=2&token=[6]#[6]'],
    ['https://u:s3cret@shop.example/', 'https://shop.example/'],
    ['//u:s3cret@shop.example/', '//shop.example/'],
    ['/users/alice?x=1', '/users/{id}?x=[1]'],
    ['https://shop.example/users/alice', 'https://shop.example/users/{id}'],
    ['/login?s3cret', '/login?[6]'],
    ['/cart;jsessionid=s3cret', '/cart;jsessionid=[6]'],
    ['https://shop.example', 'https://shop.example'],
  ])('in a header goes through the same rules: %s', (given, expected) => {
    for (const name of ['referer', 'location', 'origin']) expect(told(name, given)).toBe(expected)
    if (given.startsWith('https:')) expect(told('x-link', given)).toBe(expected)
  })

  it('in a parameter does as well', () => {
    const next = encodeURIComponent('https://u:pw@x.example/a?page=1&token=s3cret')
    expect(plain(url(`/?next=${next}`).query)).toEqual({ next: ['https://x.example/a?page=1&token=[6]'] })
  })

  it.each([
    ['http://u:s3cret@host/p', 'http://host/p'],
    ['//u:s3cret@host/p', '//host/p'],
    ['/go/https://u:s3cret@host/p', '/go/https://host/p'],
    ['/go/https%3A%2F%2Fu%3As3cret%40host%2Fp', '/go/https%3A%2F%2Fhost%2Fp'],
    ['/go/https%253a%252f%252fu%253as3cret%2540host', '/go/https%253a%252f%252fhost'],
    ['/mail/a@b', '/mail/a@b'],
    ['/p#s3cret', '/p#[6]'],
    ['/a;sid=s3cret/b;page=3', '/a;sid=[6]/b;page=3'],
  ])('as a target has no user and password: %s', (target, path) => {
    expect(url(target).path).toBe(path)
  })

  it('keeps no base64 for the name of a parameter', () => {
    expect(plain(url('/?dGhpcyBpcyBhIHNlY3JldA==&a=').query)).toEqual({ '': { length: 24 }, a: { length: 0 } })
  })
})

describe('a path that has a template', () => {
  it('is told by it, with the length of what it names', () => {
    const { url } = redactor({ path: ['/users/:id/orders/:order'], key })
    expect(plain(url('/users/alice/orders/7?x=1'))).toEqual({
      path: '/users/{id}/orders/{order}',
      path_params: {
        id: { hmac: `${keyId()}:${hmac('alice')}`, length: 5 },
        order: { hmac: `${keyId()}:${hmac('7')}`, length: 1 },
      },
      query: { x: { hmac: `${keyId()}:${hmac('1')}`, length: 1 } },
    })
    expect(url('http://h/users/a/orders/7').path).toBe('http://h/users/{id}/orders/{order}')
  })

  it('is what a function says; where it fails only the length is told, and the fault', () => {
    const faults: string[] = []
    const path = (given: string): string => {
      if (given === '/throw') throw new Error('no')
      return given === '/none' ? (undefined as never) : given.replace(/\d+/g, '{n}')
    }
    const { url } = redactor({ path }, (option, error) => faults.push(`${option} ${(error as Error).message}`))
    expect(['/a/12', '/throw', '/none', '/a\u001b'].map((target) => url(target).path)).toEqual([
      '/a/{n}',
      '[6]',
      '[5]',
      '/a\\x1b',
    ])
    expect(faults).toEqual(['redact.path no', 'redact.path the path function returned no text'])
    expect(url(`/${'x'.repeat(8000)}`).path).toMatch(/^\/x{1023}\[\+1024\]$/)
  })
})

describe('the scrubber', () => {
  const card = '4111 1111 1111 1111'

  it('takes card numbers out of all that is kept: headers, names, parameters, paths, ids', () => {
    const r = redactor({ headers: { keep: ['user-agent'] }, query: { keep: ['q'] } })
    expect(plain(r.headers(['User-Agent', `x ${card}`, 'x-4111111111111111', 'v']).values)).toEqual({
      'user-agent': ['x [card*1111]'],
      'x-[card*1111]': { length: 1 },
    })
    expect(plain(r.url('/pay/4111-1111-1111-1111?q=4111+1111+1111+1111&4111111111111111=1'))).toEqual({
      path: '/pay/[card*1111]',
      query: { '[card*1111]': { length: 1 }, q: ['[card*1111]'] },
    })
    expect(r.id('id-4111111111111111')).toBe('id-[card*1111]')
    expect(redactor({ scrub: { cards: false } }).id('id-4111111111111111')).toBe('id-4111111111111111')
  })

  it('meets no half of a number where a long value is cut', () => {
    for (let before = 1000; before < 1030; before++) {
      const [told] = redactor().headers(['host', `${'x'.repeat(before)}${card.replaceAll(' ', '-')}`]).values
        .host as string[]
      expect(told).not.toMatch(/\d{4}-\d{3}/)
    }
  })

  it('goes through the host’s own fields, at any depth, numbers and names too', () => {
    const told = redactor().event('app.paid', { app: { a: [{ b: card }], n: 4111111111111111, [card]: 1, ok: 5 } })
    expect(told.app).toEqual({ a: [{ b: '[card*1111]' }], n: '[card*1111]', '[card*1111]': 1, ok: 5 })
    const denial = redactor().event('access.denied', {
      access: { rule: 'login', phase: 'request', detail: `at https://u:pw@x/ with ${card}` },
      actor: { id: card, type: 'user' },
    })
    expect(denial).toMatchObject({ access: { detail: 'at https://x/ with [card*1111]' }, actor: { id: '[card*1111]' } })
  })

  it('calls functions of the user’s; a text on which one fails is told by its length', () => {
    const faults: unknown[] = []
    const custom = [
      (text: string) => text.replace(/[\w.]+@[\w.]+/g, '[mail]'),
      (text: string) => {
        if (text.includes('throw')) throw new Error('no')
        return text.includes('none') ? (undefined as never) : text
      },
    ]
    const r = redactor({ headers: { keep: ['a', 'b', 'c', 'd'] }, scrub: { custom } }, (option) => faults.push(option))
    const { values } = r.headers(['a', 'to x.y@z.example', 'b', 'throw', 'c', 'none', 'd', card])
    expect(plain(values)).toEqual({ a: ['to [mail]'], b: ['[5]'], c: ['[4]'], d: ['[card*1111]'] })
    expect(faults).toEqual(['redact.scrub', 'redact.scrub'])
    expect(r.event('app.x', { app: { mail: 'x@y.example' } }).app).toEqual({ mail: '[mail]' })
    expect(r.url('/u/x@y.example').path).toBe('/u/[mail]')
  })
})

it('remembers no more shapes of requests than it can hold', () => {
  const { headers } = redactor()
  for (let i = 0; i < 6000; i++) headers([`x-${i}`, 'v', 'host', 'h'])
  expect(plain(headers(['b', 'v', 'Host', 'h', 'a', 'vv']).values)).toEqual({
    a: { length: 2 },
    b: { length: 1 },
    host: ['h'],
  })
})
