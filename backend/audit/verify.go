package audit

import (
	"bytes"
	"context"
	"fmt"

	"github.com/micro/micro/v3/backend/store"
)

// Report is what [Log.Verify] finds.
type Report struct {
	First, Last int64  // the sequences of the first and the last entry; 0: there is none
	Hash        []byte // of the last entry
	Problems    []string
	More        bool // there are more problems
}

// maxProblems is how many problems are told.
const maxProblems = 20

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.More = true
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// Noted is a hash that somebody has noted of an entry.
type Noted struct {
	Sequence int64
	Hash     []byte
}

// Verify reads the log of a namespace and tells what was removed, altered or moved. With
// hashes that were noted of it before it also tells when it is another log than it was
// then.
func (l *Log) Verify(ctx context.Context, ns string, noted ...Noted) (Report, error) {
	v := verifier{log: l, ns: ns, noted: noted}
	for rec, err := range l.store.Range(ctx, store.Prefix(prefix(ns))) { // all as of one moment
		if err != nil {
			return Report{}, err
		}
		if rec.Key == headKey(ns) {
			v.sealed = rec.Value
			continue
		}
		v.entry(rec)
	}
	v.end()
	return v.report, nil
}

// verifier goes through the entries of a log.
type verifier struct {
	log    *Log
	ns     string
	noted  []Noted
	report Report

	base   []byte // the hash of the entry before the first, as that says
	sealed []byte // the head; nil: there is none
}

func (v *verifier) entry(rec store.Record) {
	r := &v.report
	sequence := sequenceOf(v.ns, rec.Key)
	e, err := decode(rec)
	switch {
	case err != nil:
		r.problem("entry %d cannot be read", sequence)
	case e.Sequence != sequence || e.Log != v.ns:
		r.problem("entry %d was moved: it is entry %d of the log of %s", sequence, e.Sequence, e.Log)
	case e.Kind == Damaged:
		r.problem("entry %d: the server found what it knew of the end of the log lost or altered, and went on", sequence)
	}
	switch {
	case r.First == 0:
		r.First, v.base = sequence, e.Before
	case sequence != r.Last+1:
		r.problem("%s missing", entries(r.Last+1, sequence-1))
	case err == nil && !bytes.Equal(e.Before, r.Hash):
		r.problem("entry %d was altered: it is not what entry %d was written after", r.Last, sequence)
	}
	r.Last, r.Hash = sequence, hashOf(rec.Value)
	for _, n := range v.noted {
		if n.Sequence == sequence && !bytes.Equal(n.Hash, r.Hash) {
			r.problem("entry %d is not the one that was noted", sequence)
		}
	}
}

// end compares what was read with what the head says.
func (v *verifier) end() {
	r := &v.report
	for _, n := range v.noted {
		switch {
		case n.Sequence > r.Last:
			r.problem("entry %d, which was noted, is missing", n.Sequence)
		case n.Sequence < r.First:
			r.problem("entry %d, which was noted, is not kept any more and cannot be compared", n.Sequence)
		}
	}
	if v.sealed == nil {
		if r.Last > 0 {
			r.problem("what the server knew of the end of the log is missing")
		}
		return
	}
	h, err := v.log.openHead(v.ns, v.sealed)
	switch {
	case err != nil:
		r.problem("what the server knew of the end of the log was altered: %v", err)
	case r.Last == 0 && h.Last < h.First: // all of it was pruned
	case r.Last == 0:
		r.problem("%s missing", entries(h.First, h.Last))
	case r.First > h.First:
		r.problem("%s missing", entries(h.First, r.First-1))
	case r.First < h.First:
		r.problem("%s not of this log", entries(r.First, h.First-1))
	case !bytes.Equal(v.base, h.Base):
		r.problem("entry %d was altered", r.First)
	}
	switch {
	case err != nil || r.Last == 0:
	case r.Last < h.Last:
		r.problem("%s missing", entries(r.Last+1, h.Last))
	case r.Last > h.Last:
		r.problem("%s not written by the server", entries(h.Last+1, r.Last))
	case !bytes.Equal(r.Hash, h.Hash):
		r.problem("entry %d was altered", r.Last)
	}
}

// entries names entries, with the verb.
func entries(from, to int64) string {
	if from == to {
		return fmt.Sprintf("entry %d is", from)
	}
	return fmt.Sprintf("entries %d to %d are", from, to)
}
