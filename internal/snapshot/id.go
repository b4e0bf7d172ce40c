package snapshot

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"sync"
	"time"
)

// ids hands out UUIDs of version 7 that sort by the moment they were made, also within a millisecond.
var ids struct {
	sync.Mutex
	last uint64 // milliseconds << 12 | counter
}

// NewID gives an id for a snapshot whose captures are made one after the other.
func NewID() string { return newID() }

// newID gives a UUIDv7.
func newID() string {
	ids.Lock()
	next := uint64(time.Now().UnixMilli()) << 12
	if next <= ids.last {
		next = ids.last + 1
	}
	ids.last = next
	ids.Unlock()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], next<<4) // 48 bits of time, then the counter in the 12 bits after the version
	b[7] = b[6]<<4 | b[7]>>4
	b[6] = 0x70 | b[6]>>4
	rand.Read(b[8:]) // never fails
	b[8] = 0x80 | b[8]&0x3f
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// compact gives an id without its dashes, for use in a table's name.
func compact(id string) string { return strings.ReplaceAll(id, "-", "") }
