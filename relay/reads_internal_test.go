package relay

import (
	"context"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// slowStore answers when it is told to.
type slowStore struct {
	store
	answer chan struct{}

	mu    sync.Mutex
	asked map[string]int // questions that are not answered, by person
}

func (s *slowStore) wait(ctx context.Context) {
	name := operators.Of(ctx).Name
	s.mu.Lock()
	s.asked[name]++
	s.mu.Unlock()
	<-s.answer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[name]--; s.asked[name] == 0 {
		delete(s.asked, name)
	}
}

func (s *slowStore) List(ctx context.Context, _ queue.Filter) ([]queue.Record, error) {
	s.wait(ctx)
	return nil, nil
}

func (s *slowStore) Search(ctx context.Context, _ queue.Filter, _ time.Duration) (queue.Found, error) {
	s.wait(ctx)
	return queue.Found{}, nil
}

func (s *slowStore) Count(ctx context.Context, _ queue.Filter) (int64, error) {
	s.wait(ctx)
	return 0, nil
}

// However much operators ask at a time, they leave a connection of the database to the acceptance
// of mail, and one who asks for very much delays no other.
func TestOperatorsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{answer: make(chan struct{}), asked: map[string]int{}}
		o := operated{slow, newTurns()}
		var all sync.WaitGroup
		ask := func(name string, do func(ctx context.Context) error) {
			all.Go(func() {
				if err := do(operators.With(t.Context(), operators.Person{Name: name})); err != nil {
					t.Error(err)
				}
			})
		}
		list := func(ctx context.Context) error { _, err := o.List(ctx, queue.Filter{}); return err }
		search := func(ctx context.Context) error { _, err := o.Search(ctx, queue.Filter{}, time.Second); return err }
		count := func(ctx context.Context) error { _, err := o.Count(ctx, queue.Filter{}); return err }
		for range 10 {
			ask("monitoring", list)
			ask("monitoring", search)
			ask("monitoring", count)
		}
		synctest.Wait()
		if want := map[string]int{"monitoring": 1}; !maps.Equal(slow.asked, want) {
			t.Errorf("asked are %v, want %v", slow.asked, want)
		}
		ask("anna", search)
		ask("bob", search)
		synctest.Wait()
		if want := map[string]int{"monitoring": 1, "anna": 1}; !maps.Equal(slow.asked, want) && !maps.Equal(slow.asked, map[string]int{"monitoring": 1, "bob": 1}) {
			t.Errorf("asked are %v, want %v", slow.asked, want)
		}
		close(slow.answer)
		all.Wait()
	})
}
