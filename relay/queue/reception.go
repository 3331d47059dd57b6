package queue

import (
	"strconv"
	"strings"
	"time"
)

// Reception is how a client handed a message in, for people. It is not covered by the message's
// checksum, since nothing depends on it. The zero value stands for a message of the relay's own,
// and for one of which nothing was recorded.
type Reception struct {
	HELO   string        `json:"helo,omitempty" doc:"The name that the client gave."`
	TLS    string        `json:"tls,omitempty" doc:"The version of TLS. It is missing if the session was not encrypted."`
	Cipher string        `json:"cipher,omitempty" doc:"The cipher suite."`
	Took   time.Duration `json:"took_ns,omitempty" doc:"How many nanoseconds after the client had connected its message was accepted. There may have been others before it in the session."`
}

// maxReception bounds what is stored of a Reception, in bytes.
const maxReception = 1000

// Text returns r as engines store it, in fields with tabs between them: it is made for each message,
// and JSON would take several allocations. It is empty for the zero value.
func (r Reception) Text() string {
	if r == (Reception{}) {
		return ""
	}
	b := make([]byte, 0, 128)
	for _, field := range []string{r.HELO, r.TLS, r.Cipher} {
		b = append(append(b, field...), '\t')
	}
	if b = strconv.AppendInt(b, r.Took.Microseconds(), 10); len(b) > maxReception {
		return ""
	}
	return string(b)
}

// ReceptionOf returns what Text has written, as far as it can be read.
func ReceptionOf(text string) (r Reception) {
	fields := strings.Split(text, "\t")
	if len(fields) != 4 {
		return r
	}
	took, err := strconv.ParseInt(fields[3], 10, 64)
	if err != nil {
		return r
	}
	return Reception{fields[0], fields[1], fields[2], time.Duration(took) * time.Microsecond}
}
