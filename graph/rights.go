package graph

import (
	"context"
	"net/http"
	"strings"
)

// noItem is the ID of an item that no mailbox has.
const noItem = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0AAAAAAAAAAAAAAAAAAAA"

// opRights is the operation of requests that can have no effect.
const opRights = "check_rights"

// MayWrite reports with a nil error that the token may write to the mailbox. It asks for an
// attachment to an item that does not exist, so nothing is written. AccessDenied(err) means
// that the token may not; any other error, that it is not known.
func (m Mailbox) MayWrite(ctx context.Context) (Reply, error) {
	r := &request{op: opRights, method: http.MethodPost, path: "/messages/" + noItem + "/attachments", success: []int{http.StatusCreated}}
	file := struct {
		Type    string `json:"@odata.type"`
		Name    string `json:"name"`
		Content string `json:"contentBytes"`
	}{"#microsoft.graph.fileAttachment", "check.txt", "Y2hlY2s="}
	if err := r.json(file); err != nil {
		return Reply{}, err
	}
	return m.tried(m.call(ctx, r, nil))
}

// MaySend reports with a nil error that the token may send from the mailbox. It asks for the
// send of an item that does not exist. Errors are as with MayWrite.
func (m Mailbox) MaySend(ctx context.Context) (Reply, error) {
	return m.tried(m.call(ctx, &request{op: opRights, method: http.MethodPost, path: "/messages/" + noItem + "/send", success: []int{http.StatusAccepted}}, nil))
}

// tried returns no error for the answer that there is no such item, which shows that the token
// has the right: Graph checks the token before it looks for the item [assumed].
func (m Mailbox) tried(reply Reply, err error) (Reply, error) {
	missing := NotFound(err) || is(err, func(e *Error) bool {
		return e.Status == http.StatusBadRequest && strings.HasPrefix(e.Code, "ErrorInvalidId")
	})
	if missing {
		err = nil
	}
	return reply, err
}

// Reach makes a request without a token to a base URL, through the client's proxy, and returns
// an error if no answer comes.
func (c *Client) Reach(ctx context.Context, base string) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return transportError("reach", err)
	}
	return resp.Body.Close()
}
