package costs

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// cannedGraph answers the requests of a relay with fixed texts, over HTTP/1.1. It allocates
// nothing for a request and knows nothing of the messages, so that what is measured in its
// process is the relay.
type cannedGraph struct {
	url      string
	requests atomic.Int64
	sends    atomic.Int64
}

func startGraph(tb testing.TB) *cannedGraph {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	g := &cannedGraph{url: "http://" + l.Addr().String()}
	var wg sync.WaitGroup
	var conns sync.Map
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(c, nil)
			wg.Go(func() { g.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		conns.Range(func(c, _ any) bool { return c.(net.Conn).Close() == nil })
		wg.Wait()
	})
	return g
}

// serve answers the requests of one connection until it ends.
func (g *cannedGraph) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		answer, err := g.request(r)
		if err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

var contentLength = []byte("Content-Length: ")

// request reads one request and returns the answer to it.
func (g *cannedGraph) request(r *bufio.Reader) (answer []byte, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	answer = g.answer(line)
	length := 0
	for len(line) > 2 {
		if line, err = r.ReadSlice('\n'); err != nil {
			return nil, err
		}
		if digits, ok := bytes.CutPrefix(line, contentLength); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(digits))) // the compiler needs no copy of them
		}
	}
	_, err = r.Discard(length)
	return answer, err
}

// answer returns the answer to the request that begins with line.
func (g *cannedGraph) answer(line []byte) []byte {
	switch {
	case bytes.Contains(line, []byte("/oauth2/")):
		return tokenAnswer
	case bytes.HasPrefix(line, []byte("GET ")):
		return deniedAnswer // the directory may not be read
	}
	g.requests.Add(1)
	switch {
	case bytes.Contains(line, []byte("/send ")):
		g.sends.Add(1)
		return sentAnswer
	case bytes.Contains(line, []byte("/attachments ")):
		return attachedAnswer
	}
	return draftAnswer
}

var (
	tokenAnswer    = answerOf("200 OK", `{"token_type":"Bearer","expires_in":3599,"access_token":"a-token"}`)
	deniedAnswer   = answerOf("403 Forbidden", `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation."}}`)
	sentAnswer     = answerOf("202 Accepted", "")
	attachedAnswer = answerOf("201 Created", `{"id":"AAMkADAttachment="}`)
	draftAnswer    = answerOf("201 Created", `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#users('a')/messages/$entity","@odata.etag":"W/\"CQAA\"",`+
		`"id":"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0AcTw-qFbyAk6bMqGVQm2AxwAAAAAfAAA=","subject":"A report","isDraft":true}`)
)

func answerOf(status, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nrequest-id: 6d4f0f5e-0c4b-4a8e-9c43-1f6d7a3c9b11\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}
