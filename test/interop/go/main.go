// An independent reading of our formats: a folder that the library wrote is verified with the packages note and tlog of
// golang.org/x/mod, which keep Go's own checksum database. Nothing here is ours but the layout of the files.
//
// Usage: main CASES, where CASES is a JSON file (see the type cases). Prints what was checked; ends with 1 at the first fault.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type cases struct {
	Logs []struct {
		Dir    string // folder of the log
		Vkey   string // file with its verifier key
		Proofs []string
		Growth []struct {
			Old, New int64
			Proof    []string
		}
	}
	Signed struct{ Skey, Text string } // a note to be signed here
}

func main() {
	var c cases
	fatal(json.Unmarshal(read(os.Args[1]), &c))
	for _, l := range c.Logs {
		log := open(l.Dir, l.Vkey)
		lines := log.checkLines()
		for _, text := range l.Proofs {
			log.checkProof(text)
		}
		for _, g := range l.Growth {
			log.checkGrowth(g.Old, g.New, hashes(g.Proof))
		}
		fmt.Printf("%s: %d lines, %d inclusion proofs, %d consistency proofs\n", log.origin, lines, len(l.Proofs), len(l.Growth))
	}
	signer, err := note.NewSigner(c.Signed.Skey)
	fatal(err)
	signed, err := note.Sign(&note.Note{Text: c.Signed.Text}, signer)
	fatal(err)
	fmt.Printf("signed %s\n", base64.StdEncoding.EncodeToString(signed))
}

type treeLog struct {
	dir    string
	vkey   string
	origin string
	size   int64
	root   tlog.Hash
	hashes tlog.HashReader
}

// open checks the signature of the checkpoint, and the tiles against its root.
func open(dir, vkey string) *treeLog {
	l := &treeLog{dir: dir, vkey: string(bytes.TrimSpace(read(vkey)))}
	l.origin, l.size, l.root = l.checkpoint(read(filepath.Join(dir, "checkpoint")))
	l.hashes = tlog.TileHashReader(tlog.Tree{N: l.size, Hash: l.root}, &tiles{dir})
	if l.size > 0 {
		root, err := tlog.TreeHash(l.size, l.hashes)
		fatal(err)
		must(root == l.root, "%s: the tiles do not yield the root", l.origin)
	}
	return l
}

func (l *treeLog) checkpoint(msg []byte) (origin string, size int64, root tlog.Hash) {
	verifier, err := note.NewVerifier(l.vkey)
	fatal(err)
	n, err := note.Open(msg, note.VerifierList(verifier))
	fatal(err)
	lines := strings.Split(n.Text, "\n")
	must(len(lines) == 4 && lines[3] == "", "%s: not three lines: %q", l.dir, n.Text)
	size, err = strconv.ParseInt(lines[1], 10, 64)
	fatal(err)
	root, err = tlog.ParseHash(lines[2])
	fatal(err)
	return lines[0], size, root
}

// checkLines hashes every line, and compares it with the hash that is kept of it.
func (l *treeLog) checkLines() int64 {
	names, err := filepath.Glob(filepath.Join(l.dir, "segments", "*.jsonl"))
	fatal(err)
	sort.Strings(names)
	var index int64
	var indexes []int64
	var found []tlog.Hash
	compare := func() {
		if len(indexes) == 0 {
			return
		}
		kept, err := l.hashes.ReadHashes(indexes)
		fatal(err)
		for i := range kept {
			must(kept[i] == found[i], "%s: line %d is not the one that was signed", l.origin, index-int64(len(kept)-i))
		}
		indexes, found = indexes[:0], found[:0]
	}
	for _, name := range names {
		first, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(name), ".jsonl"), 10, 64)
		fatal(err)
		must(first == index, "%s begins at %d, expected %d", name, first, index)
		file, err := os.Open(name)
		fatal(err)
		scanner := bufio.NewScanner(file)
		scanner.Buffer(nil, 1<<17)
		for scanner.Scan() {
			indexes = append(indexes, tlog.StoredHashIndex(0, index))
			found = append(found, tlog.RecordHash(scanner.Bytes()))
			if index++; len(found) == 1024 {
				compare()
			}
		}
		fatal(scanner.Err())
		file.Close()
	}
	compare()
	must(index == l.size, "%s: %d lines, expected %d", l.origin, index, l.size)
	return index
}

// checkProof reads a c2sp.org/tlog-proof, checks it, and compares it with the one that is made here.
func (l *treeLog) checkProof(text string) {
	parts := strings.SplitN(text, "\n\n", 2)
	must(len(parts) == 2, "a proof has no checkpoint")
	lines := strings.Split(parts[0], "\n")
	must(lines[0] == "c2sp.org/tlog-proof@v1", "a proof begins with %q", lines[0])
	record, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	fatal(err)
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	fatal(err)
	proof := hashes(lines[3:])
	origin, size, root := l.checkpoint([]byte(parts[1]))
	must(origin == l.origin, "a proof is one of %s", origin)
	leaf := tlog.RecordHash(record)
	fatal(tlog.CheckRecord(proof, size, root, index, leaf))
	leaf[0] ^= 1
	must(tlog.CheckRecord(proof, size, root, index, leaf) != nil, "a proof holds for another line")
	ours, err := tlog.ProveRecord(size, index, l.hashes)
	fatal(err)
	must(same(ours, proof), "%s: the proof of line %d is another one", l.origin, index)
}

// checkGrowth checks that the log at one size is the beginning of it at another, and compares the proof with the one that is made here.
func (l *treeLog) checkGrowth(before, after int64, proof tlog.TreeProof) {
	old, err := tlog.TreeHash(before, l.hashes)
	fatal(err)
	root, err := tlog.TreeHash(after, l.hashes)
	fatal(err)
	fatal(tlog.CheckTree(proof, after, root, before, old))
	ours, err := tlog.ProveTree(after, before, l.hashes)
	fatal(err)
	must(same(ours, proof), "%s: the proof from %d to %d is another one", l.origin, before, after)
}

// tiles reads C2SP tlog-tiles, which leave the height of a tile, 8, out of its path.
type tiles struct{ dir string }

func (t *tiles) Height() int { return 8 }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, err := os.ReadFile(filepath.Join(t.dir, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func hashes(lines []string) (found []tlog.Hash) {
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		fatal(err)
		found = append(found, hash)
	}
	return found
}

func same(a, b []tlog.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	fatal(err)
	return data
}

func must(holds bool, format string, args ...interface{}) {
	if !holds {
		fatal(fmt.Errorf(format, args...))
	}
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
