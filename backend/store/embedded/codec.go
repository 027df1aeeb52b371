package embedded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	engine "github.com/micro/micro/v3/backend/embedded"
	"github.com/micro/micro/v3/backend/store"
)

// Keys of the driver, after the byte of its space. Numbers are big-endian, so that
// they are in order.
//
//	d KEY                 the record of a key
//	c REVISION INDEX      a change: the index-th of its transaction
//	x DEADLINE KEY        that the record of a key may expire: when it has that deadline
//	m floor               up to where changes are gone
const (
	kindData   = 'd'
	kindChange = 'c'
	kindExpiry = 'x'
	kindMeta   = 'm'
)

// Lengths of what is before the variable part of keys and values.
const (
	changeKeyLen  = 2 + 8 + 2
	expiryKeyLen  = 2 + 8
	dataHeader    = 4 + 4 + 8 + 8
	changeHeader  = 4 + 4 + 8 + 8 + 1 + 2
	floorValueLen = 4 + 8 + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func valueSum(value []byte) uint32 { return crc32.Checksum(value, castagnoli) }

func dataKey(key string) []byte {
	k := make([]byte, 0, 2+len(key))
	return append(append(k, byte(engine.Store), kindData), key...)
}

func changeKey(p position) []byte {
	k := make([]byte, 0, changeKeyLen)
	k = append(k, byte(engine.Store), kindChange)
	k = binary.BigEndian.AppendUint64(k, uint64(p.revision))
	return binary.BigEndian.AppendUint16(k, uint16(p.index))
}

func expiryKey(deadline int64, key string) []byte {
	k := make([]byte, 0, expiryKeyLen+len(key))
	k = append(k, byte(engine.Store), kindExpiry)
	k = binary.BigEndian.AppendUint64(k, uint64(deadline))
	return append(k, key...)
}

func floorKey() []byte { return append([]byte{byte(engine.Store), kindMeta}, "floor"...) }

// bound returns the first key after all keys of a kind.
func bound(kind byte) []byte { return []byte{byte(engine.Store), kind + 1} }

// meta is what a record has beside key and value.
type meta struct {
	revision int64
	expires  int64 // nanoseconds of the store's clock; 0: never
}

func (m meta) expired(now int64) bool { return m.expires != 0 && m.expires <= now }

// Checksums. Pebble has one of each block that it reads from a table and of each
// record of its log. The one here goes along: whatever happens to a record between
// a writer and a reader, it is not shown as another one. It covers the key as well,
// so that a value under a wrong key is noticed, and the value by its own checksum,
// so that keys can be listed without touching values.

// putData writes the value of a data key.
//
//	checksum of the key and what follows up to the value 4, of the value 4,
//	revision 8, expires 8, value
func putData(dst, dataKey []byte, m meta, value []byte, sum uint32) {
	binary.BigEndian.PutUint32(dst[4:], sum)
	binary.BigEndian.PutUint64(dst[8:], uint64(m.revision))
	binary.BigEndian.PutUint64(dst[16:], uint64(m.expires))
	copy(dst[dataHeader:], value)
	binary.BigEndian.PutUint32(dst, headerSum(dataKey, dst[4:dataHeader]))
}

// parseMeta reads the value of a data key, and checks all but the value in it.
func parseMeta(dataKey, v []byte) (meta, error) {
	if len(v) < dataHeader || binary.BigEndian.Uint32(v) != headerSum(dataKey, v[4:dataHeader]) {
		return meta{}, damagedData(dataKey)
	}
	return meta{
		revision: int64(binary.BigEndian.Uint64(v[8:])),
		expires:  int64(binary.BigEndian.Uint64(v[16:])),
	}, nil
}

// parseData reads the value of a data key, and returns the value in it, which is a
// part of v.
func parseData(dataKey, v []byte) (meta, []byte, error) {
	m, err := parseMeta(dataKey, v)
	if err != nil {
		return meta{}, nil, err
	}
	value := v[dataHeader:]
	if binary.BigEndian.Uint32(v[4:]) != valueSum(value) {
		return meta{}, nil, damagedData(dataKey)
	}
	return m, value, nil
}

// change is an entry of the index of changes.
type change struct {
	kind    store.Kind
	key     []byte
	value   []byte
	sum     uint32 // of value
	expires int64
	// total is the length of all entries that there ever were, with this one.
	total int64
}

func (c *change) len() int { return changeHeader + len(c.key) + len(c.value) }

// put writes the value of a change key.
//
//	checksum of the change key and what follows up to the value 4, of the value 4,
//	total 8, expires 8, kind 1, length of the key 2, key, value
func (c *change) put(dst, changeKey []byte) {
	binary.BigEndian.PutUint32(dst[4:], c.sum)
	binary.BigEndian.PutUint64(dst[8:], uint64(c.total))
	binary.BigEndian.PutUint64(dst[16:], uint64(c.expires))
	dst[24] = byte(c.kind)
	binary.BigEndian.PutUint16(dst[25:], uint16(len(c.key)))
	header := changeHeader + copy(dst[changeHeader:], c.key)
	copy(dst[header:], c.value)
	binary.BigEndian.PutUint32(dst, headerSum(changeKey, dst[4:header]))
}

// parseChange reads an entry of the index. Its key and value are parts of v.
func parseChange(changeKey, v []byte) (change, error) {
	if len(v) < changeHeader {
		return change{}, damagedChange(changeKey)
	}
	header := changeHeader + int(binary.BigEndian.Uint16(v[25:]))
	if len(v) < header || binary.BigEndian.Uint32(v) != headerSum(changeKey, v[4:header]) {
		return change{}, damagedChange(changeKey)
	}
	c := change{
		kind:    store.Kind(v[24]),
		key:     v[changeHeader:header],
		value:   v[header:],
		sum:     binary.BigEndian.Uint32(v[4:]),
		expires: int64(binary.BigEndian.Uint64(v[16:])),
		total:   int64(binary.BigEndian.Uint64(v[8:])),
	}
	if c.sum != valueSum(c.value) {
		return change{}, damagedChange(changeKey)
	}
	return c, nil
}

// position is a place in the index of changes.
type position struct {
	revision int64
	index    int
}

func parsePosition(changeKey []byte) (position, error) {
	if len(changeKey) != changeKeyLen {
		return position{}, damagedChange(changeKey)
	}
	return position{
		revision: int64(binary.BigEndian.Uint64(changeKey[2:])),
		index:    int(binary.BigEndian.Uint16(changeKey[10:])),
	}, nil
}

// floor says up to where changes are gone.
type floor struct {
	revision int64 // of the last one that is
	total    int64 // as of it; see change
}

func (f floor) format() []byte {
	v := make([]byte, 4, floorValueLen)
	v = binary.BigEndian.AppendUint64(v, uint64(f.revision))
	v = binary.BigEndian.AppendUint64(v, uint64(f.total))
	binary.BigEndian.PutUint32(v, valueSum(v[4:]))
	return v
}

func parseFloor(v []byte) (floor, error) {
	if len(v) != floorValueLen || binary.BigEndian.Uint32(v) != valueSum(v[4:]) {
		return floor{}, fmt.Errorf("%w: the end of the changes that are gone", engine.ErrDamaged)
	}
	return floor{
		revision: int64(binary.BigEndian.Uint64(v[4:])),
		total:    int64(binary.BigEndian.Uint64(v[12:])),
	}, nil
}

func headerSum(key, header []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, header)
}

func damagedData(dataKey []byte) error {
	return fmt.Errorf("%w: the record of the key %q", engine.ErrDamaged, dataKey[2:])
}

func damagedChange(changeKey []byte) error {
	return fmt.Errorf("%w: the change %x", engine.ErrDamaged, changeKey)
}

// deadline returns when a time to live that begins now ends; 0 for one without end.
func deadline(now int64, ttl time.Duration) int64 {
	if ttl == 0 {
		return 0
	}
	if int64(ttl) > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + int64(ttl)
}

// wall returns a deadline as a time.
func wall(expires int64) time.Time {
	if expires == 0 {
		return time.Time{}
	}
	return time.Unix(0, expires)
}
