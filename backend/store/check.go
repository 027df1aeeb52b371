package store

import (
	"errors"
	"fmt"
)

// Check returns what is wrong with a transaction before it meets any data:
// [ErrTooLarge], or an error that says what is not allowed. Every driver calls it.
func (t Txn) Check() error {
	if len(t.If) > MaxOps || len(t.Do) > MaxOps {
		return fmt.Errorf("%w: a transaction of %d conditions and %d operations, and %d of each are allowed",
			ErrTooLarge, len(t.If), len(t.Do), MaxOps)
	}
	for _, c := range t.If {
		if err := CheckKey(c.Key); err != nil {
			return err
		}
		if c.Revision < 0 {
			return fmt.Errorf("a condition on the negative revision %d", c.Revision)
		}
	}
	size := 0
	for _, op := range t.Do {
		if err := op.check(); err != nil {
			return err
		}
		size += len(op.Key) + len(op.Value)
	}
	if size > MaxTxn {
		return fmt.Errorf("%w: a transaction of %d bytes, and %d are allowed", ErrTooLarge, size, MaxTxn)
	}
	if len(t.Do) < 2 {
		return nil
	}
	seen := make(map[string]struct{}, len(t.Do))
	for _, op := range t.Do {
		if _, twice := seen[op.Key]; twice {
			return fmt.Errorf("a transaction with two operations on the key %q", op.Key)
		}
		seen[op.Key] = struct{}{}
	}
	return nil
}

// CheckKey returns what is wrong with the key of a record.
func CheckKey(key string) error {
	if key == "" {
		return errors.New("an empty key")
	}
	if len(key) > MaxKey {
		return fmt.Errorf("%w: a key of %d bytes, and %d are allowed", ErrTooLarge, len(key), MaxKey)
	}
	return nil
}

func (op Op) check() error {
	if err := CheckKey(op.Key); err != nil {
		return err
	}
	switch {
	case op.Kind == KindDelete && (len(op.Value) > 0 || op.TTL != 0 || op.Bulk):
		return fmt.Errorf("a deletion of the key %q with what only a put has", op.Key)
	case op.Kind != KindPut && op.Kind != KindDelete:
		return fmt.Errorf("an operation of the unknown kind %d", op.Kind)
	case len(op.Value) > MaxValue:
		return fmt.Errorf("%w: a value of %d bytes, and %d are allowed", ErrTooLarge, len(op.Value), MaxValue)
	case op.TTL < 0:
		return fmt.Errorf("a negative time to live of %v", op.TTL)
	}
	return nil
}
