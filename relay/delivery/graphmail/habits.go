package graphmail

import (
	"slices"
	"sync"
	"time"
)

// habitTime is how long a part is left out of a connection's messages before it is tried
// again.
const habitTime = time.Hour

// habits remembers what Graph refuses of every message of a connection, so that not each of
// them repeats the trial. A reload forgets it.
type habits struct {
	mu   sync.Mutex
	seen map[habitKey]habit
}

type habitKey struct {
	connection string
	part       omission
}

type habit struct {
	helped int       // how many messages in a row were accepted only without the part
	until  time.Time // it is left out until then
	said   bool
}

// minHelped is how many messages in a row have to show that Graph refuses a part. A few that
// are odd themselves must not cost the others that part.
const minHelped = 3

// learned are the parts that do not depend on the message alone.
var learned = []omission{omitHeaders, omitProperties, omitQueueID}

// learn notes that a message was accepted without the part, but not with it. It reports
// whether the operator is to be told.
func (h *habits) learn(connection string, o omission) (news bool) {
	if !slices.Contains(learned, o) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[habitKey]habit{}
	}
	key := habitKey{connection, o}
	x := h.seen[key]
	x.helped++
	if x.helped >= minHelped {
		x.until = time.Now().Add(habitTime)
		news, x.said = !x.said, true
	}
	h.seen[key] = x
	return news
}

// unlearn notes that a message was accepted with the part.
func (h *habits) unlearn(connection string, o omission) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seen, habitKey{connection, o})
}

// known returns what to leave out of the messages of a connection.
func (h *habits) known(connection string) (list []omission) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range learned {
		if time.Now().Before(h.seen[habitKey{connection, o}].until) {
			list = append(list, o)
		}
	}
	return list
}
