package simulator

import (
	"fmt"
	"slices"
	"strings"
)

// Touch is something that a client did to an item of Plant.
type Touch struct {
	ID      string `json:"id"` // that Plant returned
	Mailbox string `json:"mailbox"`
	Folder  string `json:"folder"` // in which it was planted
	Subject string `json:"subject"`
	What    string `json:"what"`
}

// The values of Touch.What.
const (
	TouchSent    = "sent"
	TouchDeleted = "deleted" // moved to another folder included
	TouchChanged = "changed"
)

// Plant adds an item that no client made, such as the draft of a mailbox's owner, and returns
// its immutable id. It needs m.Mailbox; m.Folder is Drafts if it is empty. Attachments have no
// content. Touched shows what clients did to it.
func (s *Simulator) Plant(m Message) (id string, err error) {
	m.Mailbox = strings.ToLower(m.Mailbox)
	setDefault(&m.Folder, Drafts)
	if !slices.Contains([]string{Drafts, SentItems, Inbox, JunkEmail, DeletedItems, RecoverableItems, Purges}, m.Folder) {
		return "", fmt.Errorf("unknown folder %q", m.Folder)
	}
	if !s.mailboxExists(m.Mailbox) {
		return "", fmt.Errorf("there is no mailbox %q", m.Mailbox)
	}
	i := &item{Message: m.clone()}
	setDefault(&i.Body.ContentType, "text")
	setDefault(&i.Importance, "normal")
	i.Submitted = m.Folder == SentItems || m.Folder == Inbox || m.Folder == JunkEmail
	if err := i.applyProperties(m.Properties); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(s.mailbox(m.Mailbox), i)
	if i.Submitted {
		setDefault(&i.Sent, i.Created)
	}
	s.markPlanted(i)
	return i.ID, nil
}

// markPlanted records an item for Touched. The caller holds s.mu.
func (s *Simulator) markPlanted(i *item) {
	planted := i.clone()
	i.Planted, i.planted = true, &planted
	s.planted = append(s.planted, i)
}

// Touched returns what clients did to the items of Plant. It returns none if they left all of
// them as they were, although they may have read them.
func (s *Simulator) Touched() []Touch {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Touch{}
	for _, i := range s.planted {
		touch := Touch{ID: i.planted.ID, Mailbox: i.Mailbox, Folder: i.planted.Folder, Subject: i.planted.Subject}
		switch {
		case i.Submitted && !i.planted.Submitted:
			touch.What = TouchSent
		case i.deleted || i.Folder != i.planted.Folder:
			touch.What = TouchDeleted
		case i.changes > 0:
			touch.What = TouchChanged
		default:
			continue
		}
		list = append(list, touch)
	}
	return list
}
