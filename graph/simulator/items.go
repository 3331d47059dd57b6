package simulator

import (
	"net/http"
	"slices"
	"time"
)

// add adds a new item to a mailbox, in Drafts if it names no folder. The caller holds s.mu.
func (s *Simulator) add(box *mailbox, i *item) {
	now := time.Now()
	i.box, i.Mailbox = box, box.address
	setDefault(&i.Folder, Drafts)
	setDefault(&i.Created, now)
	i.Modified = now
	i.ID, i.mutableID = newID(immutablePrefix), newID(mutablePrefix)
	i.conversation = newID(mutablePrefix)
	if i.InternetMessageID == "" {
		i.InternetMessageID = newInternetMessageID()
	}
	if !s.content.reserve(int64(len(i.Body.Content))) {
		i.Body.Content, i.BodyDropped = "", true
	}
	box.byImmutable[i.ID] = i
	box.byMutableID[i.mutableID] = i
	s.items++
	s.folders[i.Folder]++
	s.evict()
}

// full reports whether there are MaxItems items, none of which can be evicted. The caller
// holds s.mu.
func (s *Simulator) full() bool { return s.items >= s.options.MaxItems && len(s.sent) == 0 }

// evict removes the oldest sent items above MaxItems. It keeps drafts, which clients still
// need. The caller holds s.mu.
func (s *Simulator) evict() {
	for s.items > s.options.MaxItems && len(s.sent) > 0 {
		oldest := s.sent[0]
		s.sent = s.sent[1:]
		if !oldest.deleted {
			s.remove(oldest)
			s.content.drop(oldest)
		}
	}
}

// rememberSent records that the item is the newest sent one. It removes deleted items from
// the record from time to time. The caller holds s.mu.
func (s *Simulator) rememberSent(i *item) {
	if len(s.sent) > 100+2*s.items {
		s.sent = slices.DeleteFunc(s.sent, func(old *item) bool { return old.deleted })
	}
	s.sent = append(s.sent, i)
}

// remove deletes an item, and its contents unless recipients have copies. The caller holds s.mu.
func (s *Simulator) remove(i *item) {
	i.deleted = true
	delete(i.box.byImmutable, i.ID)
	delete(i.box.byMutableID, i.mutableID)
	s.items--
	s.folders[i.Folder]--
	if i.arrivals > 0 {
		s.content.keepSpare(i)
	} else {
		s.content.drop(i)
	}
}

// move moves an item to a folder, where it gets a new mutable id. The caller holds s.mu.
func (s *Simulator) move(i *item, folder string) {
	s.folders[i.Folder]--
	s.folders[folder]++
	delete(i.box.byMutableID, i.mutableID)
	i.Folder, i.mutableID = folder, newID(mutablePrefix)
	i.box.byMutableID[i.mutableID] = i
	i.markModified()
}

// renew gives an item a new immutable id. The caller holds s.mu.
func (s *Simulator) renew(i *item) {
	delete(i.box.byImmutable, i.ID)
	i.ID = newID(immutablePrefix)
	i.box.byImmutable[i.ID] = i
}

// markModified records a change of the item. The caller holds s.mu.
func (i *item) markModified() {
	i.changes++
	i.Modified = time.Now()
}

// withItem finds the item of the path and calls do with it, with the simulator locked.
func (c *call) withItem(do func(*item) error) error {
	c.sim.mu.Lock()
	defer c.sim.mu.Unlock()
	i, err := c.find()
	if err != nil {
		return err
	}
	return do(i)
}

// readItem answers a GET with what show returns for the item of the path. show is called
// with the simulator locked.
func (c *call) readItem(show func(*item, queryOptions) (any, error)) (response, error) {
	options, err := parseQuery(c.r.URL.Query())
	if err != nil {
		return response{}, err
	}
	var a response
	err = c.withItem(func(i *item) error {
		shown, err := show(i, options)
		if err == nil {
			a = jsonResponse(http.StatusOK, shown)
		}
		return err
	})
	return a, err
}

// find returns the item of the path, by the kind of id that the request uses. It does not
// find ids of the other kind: every request needs the Prefer header, as "Obtain immutable
// identifiers for Outlook resources" says. The caller holds s.mu.
func (c *call) find() (*item, error) {
	box := c.sim.mailbox(c.mailbox)
	ids := box.byMutableID
	if c.immutable() {
		ids = box.byImmutable
	}
	i, ok := ids[c.itemID]
	if !ok || c.sim.hidden(i) || i.recoverable() && !c.op.worksOnRecoverable() {
		return nil, itemNotFound()
	}
	c.itemID = i.ID // for the journal
	return i, nil
}

// hidden reports whether an item cannot be seen: a new one within World.AppearDelay, or a submitted
// one that is not in Sent Items yet, depending on InFlight.
func (s *Simulator) hidden(i *item) bool {
	if time.Since(i.Created) < s.world().AppearDelay {
		return true
	}
	if !i.inFlight() {
		return false
	}
	switch s.options.InFlight {
	case InFlightHidden:
		return true
	case InFlightDraft:
		return false
	}
	return time.Since(i.Sent) >= i.flight-max(s.options.SendDelay, 0)/2
}
