// Tiles lie where C2SP tlog-tiles says, and a tree goes on from them.
import { appendFileSync, existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { leafHash, Tree } from '../../src/log/merkle.ts'
import { TileWriter } from '../../src/log/tile-writer.ts'
import { readTile, tileEdge, tilePath } from '../../src/log/tiles.ts'
import { tempFolder } from '../support/folder.ts'

const leaf = (i: number) => leafHash(`line ${i}`)

function rootOf(size: number): string {
  const tree = new Tree()
  for (let i = 0; i < size; i++) tree.push(leaf(i))
  return tree.root()
}

describe('tilePath', () => {
  it.each([
    [0, 0, 256, 'tile/0/000'],
    [0, 999, 256, 'tile/0/999'],
    [1, 1000, 256, 'tile/1/x001/000'],
    [0, 1234067, 256, 'tile/0/x001/x234/067'],
    [2, 1234067, 8, 'tile/2/x001/x234/067.p/8'],
  ])('of level %i, index %i, width %i is %s', (level, index, width, path) => {
    expect(tilePath(level, index, width)).toBe(path)
  })
})

it('the edge of a level is its last, partial tile', () => {
  expect(tileEdge(70_000, 0)).toEqual({ index: 273, width: 112 })
  expect(tileEdge(70_000, 1)).toEqual({ index: 1, width: 17 })
  expect(tileEdge(70_000, 2)).toEqual({ index: 0, width: 1 })
})

/** A new tree, to which so many leaves are added as of a checkpoint each. */
async function growing() {
  const dir = tempFolder()
  const writer = (await TileWriter.load(dir, 0o640, 0))!
  const add = async (count: number) => {
    for (let i = 0; i < count; i++) writer.push(leaf(writer.size))
    await writer.save()
    await writer.tidy()
  }
  return { dir, writer, add }
}

describe('TileWriter', () => {
  it('goes on from its tiles at any size', async () => {
    const dir = tempFolder()
    let size = 0
    for (const step of [1, 3, 251, 1, 1, 255, 300, 1000, 64_000, 500]) {
      const writer = (await TileWriter.load(dir, 0o640, size))!
      for (let i = 0; i < step; i++) writer.push(leaf(size++))
      expect(writer.root()).toBe(rootOf(size))
      await writer.save()
      await writer.tidy()
      await writer.sync(true)
    }
    expect(await readTile(dir, 0, 1, 256)).toEqual(Array.from({ length: 256 }, (_, i) => leaf(256 + i)))
  })

  it('syncs many at once, and after one that failed what is left, and that one written anew', async () => {
    const dir = tempFolder()
    const writer = (await TileWriter.load(dir, 0o640, 0))!
    for (let i = 0; i < 40 * 256; i++) writer.push(leaf(i))
    await writer.save()
    const handle = await open(join(dir, 'tile/0/000'), 'r')
    const handles: FileHandle = Object.getPrototypeOf(handle)
    await handle.close()
    const { sync } = handles
    let [running, most, calls, synced] = [0, 0, 0, 0]
    const written = () => readdirSync(join(dir, 'tile/0')).map((name) => statSync(join(dir, 'tile/0', name)).mtimeMs)
    const before = written()
    const watched = vi.spyOn(handles, 'sync').mockImplementation(async function (this: FileHandle) {
      most = Math.max(most, ++running)
      try {
        if (++calls === 7) throw new Error('EIO')
        await sync.call(this)
        synced++
      } finally {
        running--
      }
    })
    await expect(writer.sync(true)).rejects.toThrow('EIO')
    expect(running).toBe(0)
    expect(most).toBeGreaterThan(4)
    expect(synced).toBe(15)
    expect(written()).toEqual(before)
    await writer.sync(true)
    watched.mockRestore()
    // 40 tiles, the partial one of the level above, and the folders that they are in.
    expect(synced).toBe(40 + 1 + 4)
    expect(calls).toBe(synced + 1)
    const after = written()
    expect(after.filter((time, i) => time !== before[i])).toHaveLength(1)
    const again = (await TileWriter.load(dir, 0o640, writer.size))!
    expect(again.root()).toBe(writer.root())
  })

  it('keeps one partial tile of a level besides that of the last sync', async () => {
    const { dir, writer, add } = await growing()
    const there = (width: number) => existsSync(join(dir, `tile/0/000.p/${width}`))
    await add(5)
    await writer.sync(true)
    await add(5)
    await add(5)
    expect([5, 10, 15].map(there)).toEqual([true, false, true])
    await add(241)
    expect(existsSync(join(dir, 'tile/0/000'))).toBe(true)
    expect(there(5)).toBe(true)
    await writer.sync(true)
    expect(existsSync(join(dir, 'tile/0/000.p'))).toBe(false)
  })

  it('goes on where a partial tile cannot be deleted, and tries it again', async () => {
    const { dir, writer, add } = await growing()
    await add(5)
    const path = join(dir, 'tile/0/000.p/5')
    rmSync(path)
    // Nothing that can be unlinked.
    mkdirSync(path)
    await add(5)
    expect(writer.clutter).toContain('unlink')
    await writer.sync(true)
    expect(writer.clutter).toContain('unlink')
    rmdirSync(path)
    writeFileSync(path, '')
    await add(5)
    expect(writer.clutter).toBeUndefined()
    expect(existsSync(path)).toBe(false)
  })

  it('cannot go on when a tile is missing', async () => {
    expect(await TileWriter.load(tempFolder(), 0o640, 5)).toBeUndefined()
  })
})

it('a tile that is longer than its hashes is none', async () => {
  const dir = tempFolder()
  const writer = (await TileWriter.load(dir, 0o640, 0))!
  for (let i = 0; i < 300; i++) writer.push(leaf(i))
  await writer.save()
  for (const [path, index, width] of [
    ['tile/0/000', 0, 256],
    ['tile/0/001.p/44', 1, 44],
  ] as const) {
    expect(await readTile(dir, 0, index, width)).toHaveLength(width)
    appendFileSync(join(dir, path), 'x')
    expect(await readTile(dir, 0, index, width)).toBeUndefined()
  }
})
