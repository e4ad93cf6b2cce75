// Notes and keys have the form that C2SP signed-note prescribes.
import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openNote, parseVkey, signerOf, signNote } from '../../src/log/note.ts'

const newSigner = (name: string) =>
  signerOf(name, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)

// The key and the note of the signed-note package of the Go project, which the specification describes.
const vkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const note = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`

describe('verifier keys', () => {
  it('are read as others write them', () => {
    const { name, id } = parseVkey(vkey)
    expect(name).toBe('PeterNeumann')
    expect(id.toString('hex')).toBe('c74f20a3')
  })

  it.each([
    ['', 'has the form'],
    ['a+00000000+AAAA', 'not an Ed25519 key'],
    [vkey.replace('c74f20a3', 'c74f20a4'), 'wrong key id'],
    [vkey.replace('Peter', 'Petra'), 'wrong key id'],
  ])('refuses %j', (text, fact) => {
    expect(() => parseVkey(text)).toThrow(fact)
  })

  it('of a signer name it', () => {
    expect(parseVkey(newSigner('shop/host-1.0').vkey).name).toBe('shop/host-1.0')
  })

  it('cannot have a name with spaces', () => {
    expect(() => newSigner('a b')).toThrow('without spaces')
  })
})

describe('notes', () => {
  it('that others signed are accepted', () => {
    expect(openNote(Buffer.from(note), [parseVkey(vkey)])).toMatchObject({ signedBy: 'PeterNeumann' })
  })

  it('are text, an empty line, and a line with name and signature', () => {
    const signer = newSigner('shop/a')
    const signed = signNote('one\ntwo\n', signer)
    expect(signed).toMatch(/^one\ntwo\n\n— shop\/a [A-Za-z0-9+/]{90,}=*\n$/)
    expect(openNote(Buffer.from(signed), [parseVkey(signer.vkey)])).toMatchObject({
      text: 'one\ntwo\n',
      signedBy: 'shop/a',
    })
  })

  it('of an unknown key are refused, and name who claims to have signed', () => {
    const opened = openNote(Buffer.from(signNote('x\n', newSigner('a'))), [parseVkey(newSigner('a').vkey)])
    expect(opened).toEqual({ fault: 'it is not signed by a known key', names: ['a'], unknown: true })
  })

  it('are refused with a byte order mark before them', () => {
    const signer = newSigner('shop/a')
    const signed = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(signNote('x\n', signer))])
    expect(openNote(signed, [parseVkey(signer.vkey)])).toHaveProperty('fault')
  })

  it('are refused when any byte is changed', () => {
    const signer = newSigner('shop/a')
    const signed = Buffer.from(signNote('shop/a/traffic/1\n5\nAAAA\n', signer))
    fc.assert(
      fc.property(fc.nat(signed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const altered = Buffer.from(signed)
        altered[at]! ^= flip
        expect(openNote(altered, [parseVkey(signer.vkey)])).toHaveProperty('fault')
      }),
    )
  })
})
