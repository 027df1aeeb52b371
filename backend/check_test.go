package backend_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micro/micro/v3/backend/store"
)

// What somebody has changed in the log of who did what is told, though every checksum
// of the database is right.
func TestCheckAudit(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "whole")
	written(t, root, false)
	s := openDir(t, root)
	for n := range int64(3) {
		if err := (auditWorker{}).step(t.Context(), s, n); err != nil {
			t.Fatal(err)
		}
	}
	var altered store.Record
	for r, err := range s.store.Range(t.Context(), store.Prefix(acme+"/audit/entry/")) {
		if err != nil {
			t.Fatal(err)
		}
		altered = r
		break
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if told := checkDir(t, root); len(told) > 0 {
		t.Fatalf("nothing is altered, and a check tells %q", told)
	}
	s = openDir(t, root)
	value := strings.Replace(string(altered.Value), `"0"`, `"7"`, 1)
	_, err := s.store.Txn(t.Context(), store.Txn{Do: []store.Op{store.Put(altered.Key, []byte(value))}})
	if err := errors.Join(err, s.close()); err != nil {
		t.Fatal(err)
	}
	told := checkDir(t, root)
	if value == string(altered.Value) || len(told) == 0 || !strings.Contains(told[0], `store: the audit log of namespace "acme": entry 1 was altered`) {
		t.Errorf("%q was altered, and a check tells %q", altered.Value, told)
	}
}
