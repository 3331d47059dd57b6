package simulator

import (
	"slices"
	"strings"
	"time"

	"graphrelay/internal/window"
)

// mailbox has a user's items, and its use by apps.
type mailbox struct {
	address     string
	byImmutable map[string]*item
	byMutableID map[string]*item
	use         map[string]*usage // by client id: limits are per app and mailbox
	departures  []time.Time       // of the last messages, at most World.Pace
}

// steps is how many slots the windows of usage are divided into.
const steps = 60

// usage counts an app's requests to a mailbox, for the limits of "Microsoft Graph
// service-specific throttling limits", Outlook [documented].
type usage struct {
	inFlight int
	requests window.Window[int64]
	uploaded window.Window[int64]
}

// resolveAddress returns the lower-case address for the user in a path, which is an address,
// a user principal name or an object id.
func (s *Simulator) resolveAddress(key string) string {
	key = s.addressOf(key)
	if !isGUID(key) {
		return key
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if address, ok := s.objectIDs[key]; ok {
		return address
	}
	for _, listed := range s.options.Mailboxes {
		if strings.Contains(listed, "@") && objectID(strings.ToLower(listed)) == key {
			return strings.ToLower(listed)
		}
	}
	return key
}

// mailboxExists reports whether the tenant has a mailbox with this lower-case address.
func (s *Simulator) mailboxExists(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || domain == "" {
		return false
	}
	if s.isAlias(address) {
		return false
	}
	if slices.ContainsFunc(s.options.Mailboxes, func(listed string) bool { return strings.EqualFold(listed, address) }) {
		return true
	}
	if strings.HasPrefix(local, "missing") || strings.HasPrefix(local, "unknown") {
		return false
	}
	return len(s.options.Mailboxes) == 0 || slices.ContainsFunc(s.options.Mailboxes, func(listed string) bool {
		listed = strings.TrimPrefix(strings.TrimPrefix(listed, "*"), "@")
		return strings.EqualFold(listed, domain)
	})
}

// mailbox returns the mailbox with this address, and creates it if necessary. The caller
// holds s.mu.
func (s *Simulator) mailbox(address string) *mailbox {
	box, ok := s.mailboxes[address]
	if !ok {
		box = &mailbox{
			address:     address,
			byImmutable: map[string]*item{},
			byMutableID: map[string]*item{},
			use:         map[string]*usage{},
		}
		s.mailboxes[address] = box
		s.objectIDs[objectID(address)] = address
	}
	return box
}

// acquireSlot counts a request of the app to the mailbox, and refuses it if that exceeds a
// limit. Refused requests count towards the quota too. release ends the request.
func (c *call) acquireSlot() (release func(), err error) {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	none := func() {}
	if !s.mailboxExists(c.mailbox) {
		return none, nil
	}
	box := s.mailbox(c.mailbox)
	use, ok := box.use[c.app]
	if !ok {
		use = &usage{requests: window.New[int64](10*time.Minute, steps), uploaded: window.New[int64](5*time.Minute, steps)}
		box.use[c.app] = use
	}
	now := time.Now()
	use.requests.Add(now, 1)
	s.stats.arrived(c.mailbox, use.inFlight+1)
	if err := s.overLimit(use, now); err != nil {
		s.stats.Throttled[c.mailbox]++
		return none, err
	}
	use.inFlight++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		use.inFlight--
		use.uploaded.Add(time.Now(), c.counted.bytes)
	}, nil
}

// overLimit returns an error if the usage exceeds a limit.
func (s *Simulator) overLimit(use *usage, now time.Time) error {
	o := s.options
	switch {
	case o.Concurrency > 0 && use.inFlight >= o.Concurrency:
		return throttled("Application is over its MailboxConcurrency limit.", o.RetryAfter)
	case o.RequestQuota > 0 && use.requests.Sum(now) > int64(o.RequestQuota):
		return throttled("Application is over its mailbox request limit of ten minutes.", o.RetryAfter)
	case o.UploadQuota > 0 && use.uploaded.Sum(now) > o.UploadQuota:
		return throttled("Application is over its mailbox upload limit of five minutes.", o.RetryAfter)
	}
	return nil
}
