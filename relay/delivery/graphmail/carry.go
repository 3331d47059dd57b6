package graphmail

import (
	"time"

	"graphrelay/relay/queue"
)

// Carry implements delivery.Carrier.
func (o *Outlet) Carry(l queue.Lane) string {
	client, err := o.cfg.Clients(l)
	if err != nil {
		return ""
	}
	return client.Spent(l.Mailbox)
}

// Resume implements delivery.Carrier.
func (o *Outlet) Resume(l queue.Lane, carry string, ago time.Duration) error {
	client, err := o.cfg.Clients(l)
	if err != nil {
		return nil // the messages of the lane are held
	}
	return client.Resume(l.Mailbox, carry, ago)
}
