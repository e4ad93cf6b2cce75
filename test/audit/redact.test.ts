// Redaction: what of a request is kept, and how the rest is told.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createRedactor, redactSchema } from '../../src/audit/redact.ts'
import { safeText } from '../../src/audit/text.ts'
import { canonical } from '../../src/canonical.ts'
import { fakeClock } from '../support/fake-clock.ts'

const redactor = (options: object = {}, onFault: (option: string, error: unknown) => void = () => undefined) =>
  createRedactor(redactSchema.parse(options), { clock: fakeClock(), onFault })
const plain = (value: unknown) => JSON.parse(JSON.stringify(value))

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
  expect([Object.keys(plain(values)).length, omitted]).toEqual([64, 36])
  const url = redactor().url(`/?${Array.from({ length: 100 }, (_, i) => `p${i}=v`).join('&')}`)
  expect([Object.keys(url.query!).length, url.query_omitted]).toEqual([64, 36])
})

it('long values are cut and marked, unsafe characters are escaped', () => {
  const { values } = redactor({ headers: { keep: ['a'] } }).headers(['a', 'x'.repeat(2000)])
  expect(plain(values).a).toEqual([`${'x'.repeat(1024)}[+976]`])
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
