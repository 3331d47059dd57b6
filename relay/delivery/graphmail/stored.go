package graphmail

import (
	"context"
	"io"

	"graphrelay/relay/delivery"
)

// stored is a message as it came, apart from the Received field that the relay put in front:
// behind that, the message's own first line would not be read as one.
type stored struct {
	trace   []byte
	message *io.SectionReader
}

// openStored opens the attempt's message once it is known to be undamaged.
func openStored(ctx context.Context, a *delivery.Attempt) (stored, error) {
	body, err := a.Body(ctx)
	if err != nil {
		return stored{}, err
	}
	if err := body.Check(); err != nil {
		return stored{}, err
	}
	trace := a.Message.Trace
	s := stored{make([]byte, trace), io.NewSectionReader(body, trace, body.Size()-trace)}
	_, err = io.ReadFull(io.NewSectionReader(body, 0, trace), s.trace)
	return s, err
}
