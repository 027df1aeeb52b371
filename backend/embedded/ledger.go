package embedded

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// spaceLedger is the space of the ledger's keys.
const spaceLedger = 0

const (
	// ledgerKeep is how many bytes of batches the ledger goes back. It is more than
	// the logs of a database can hold: 2 full tables in memory, and the batch that
	// made them full.
	ledgerKeep = 32 << 20
	// ledgerMark is after how many bytes the ledger notes where it could be cut.
	ledgerMark = 1 << 20
)

// ledger gives each batch a number and puts it in. The numbers in a database must
// have no gap, and go as far as the witness says: what Pebble took for the end of a
// log may have been damage, of that log or of an earlier one. What is in tables has
// checksums, and which tables there are the witness knows; so old numbers are removed.
type ledger struct {
	mu    sync.Mutex
	last  uint64 // the number given last
	size  int64  // of all batches so far
	marks []mark // where the ledger can be cut, oldest first
}

// mark says how long the batches were up to a number.
type mark struct {
	number uint64
	size   int64
}

// A ledger key is the number, and the value is the size up to there.
const ledgerKeyLen = 1 + 8

func ledgerKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{spaceLedger}, number)
}

// readLedger reads the numbers, and finds where there is a gap.
func readLedger(db *pebble.DB) (*ledger, error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: ledgerKey(0), UpperBound: []byte{spaceLedger + 1}})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	l := &ledger{}
	for ok := it.First(); ok; ok = it.Next() {
		size, err := it.ValueAndErr()
		if err != nil {
			return nil, it.Error()
		}
		if len(it.Key()) != ledgerKeyLen || len(size) != 8 {
			return nil, fmt.Errorf("%w: the number %x of a batch", ErrDamaged, it.Key())
		}
		number := binary.BigEndian.Uint64(it.Key()[1:])
		if l.last != 0 && number != l.last+1 {
			return nil, fmt.Errorf("%w: the batches from %d to %d are missing from its logs (*.log)",
				ErrDamaged, l.last+1, number-1)
		}
		l.note(number, int64(binary.BigEndian.Uint64(size)))
	}
	return l, it.Error()
}

// add puts the next number into a batch. The caller holds mu until the batch is in
// the log, so that the numbers are in the order of the log.
func (l *ledger) add(b *pebble.Batch) (number uint64) {
	l.note(l.last+1, l.size+int64(b.Len()))
	// None of these can fail on a batch that has no index.
	_ = b.Set(ledgerKey(l.last), binary.BigEndian.AppendUint64(nil, uint64(l.size)), nil)
	cut := 0
	for cut < len(l.marks) && l.size-l.marks[cut].size > ledgerKeep {
		cut++
	}
	if cut > 0 {
		_ = b.DeleteRange(ledgerKey(0), ledgerKey(l.marks[cut-1].number), nil)
		l.marks = append(l.marks[:0], l.marks[cut:]...)
	}
	return l.last
}

// note is told of a number and the size up to it.
func (l *ledger) note(number uint64, size int64) {
	l.last, l.size = number, size
	if n := len(l.marks); n == 0 || size-l.marks[n-1].size > ledgerMark {
		l.marks = append(l.marks, mark{number, size})
	}
}
