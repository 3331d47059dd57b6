package graph

import "context"

// Mailbox makes requests to one mailbox. It is a small value without state of its own:
// limits and tokens are the Client's.
type Mailbox struct {
	client *Client
	key    string
}

// Mailbox returns the mailbox with this key: an address or an object ID, as Graph's
// paths take them. It makes no request.
func (c *Client) Mailbox(key string) Mailbox { return Mailbox{client: c, key: key} }

func (m Mailbox) call(ctx context.Context, r *request, out any) (Reply, error) {
	r.mailbox = m.key
	return m.client.call(ctx, r, out)
}
