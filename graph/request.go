package graph

import (
	"io"
	"net/http"
	"net/url"
)

// request is one request to Graph.
type request struct {
	op          string // for errors and metrics
	method      string
	mailbox     string     // set by Mailbox.call; empty: a request to the directory, which no mailbox's limits count
	path        string     // below /v1.0/users/{mailbox}, or below /v1.0 for the directory; starts with a slash
	query       url.Values // may be nil
	contentType string
	header      http.Header      // of a request to an upload URL, in place of contentType
	body        func() io.Reader // nil: none
	length      int64
	success     []int        // every other status is an error
	record      func() error // called before the request is made; may be nil
	recordEarly bool         // call record before waiting for one of the mailbox's slots
	background  bool         // nothing waits for it: it is not made while Graph asks for a pause
}

func (r *request) cost() cost {
	c := cost{upload: r.length, pausable: r.method == http.MethodPost && r.op != opPermanentDelete || r.background}
	if r.op == opSend || r.op == opSendMail {
		c.sends = 1
	}
	return c
}

// reader returns the body from its beginning. A POST without a body has to be NoBody:
// Go then sends Content-Length: 0, which message-send requires.
func (r *request) reader() io.Reader {
	if r.body == nil {
		return http.NoBody
	}
	return r.body()
}
