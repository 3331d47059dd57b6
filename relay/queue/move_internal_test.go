package queue

import (
	"context"
	"testing"
)

// counted is a storage that counts its transactions.
type counted struct {
	Storage
	updates int
}

func (c *counted) Update(_ context.Context, do func(Tx) error) error {
	c.updates++
	return do(nil)
}

// What is moved beside the messages may be long, and a transaction has a time.
func TestInBatches(t *testing.T) {
	var storage counted
	written := 0
	err := inBatches(t.Context(), &Queue{storage: &storage}, moveBatch, make([]int, 10*moveBatch+1), func(Tx, int) error { written++; return nil })
	if err != nil || written != 10*moveBatch+1 || storage.updates != 11 {
		t.Errorf("%d of %d were written in %d transactions, %v", written, 10*moveBatch+1, storage.updates, err)
	}
}
