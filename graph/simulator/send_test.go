package simulator_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"graphrelay/graph/simulator"
)

func TestDraftToSentItems(t *testing.T) {
	c := start(t, simulator.Options{})
	message := plain("First")
	message["ccRecipients"] = to("cc@fabrikam.test")
	message["bccRecipients"] = to("bcc@fabrikam.test")
	message["singleValueExtendedProperties"] = []object{{"id": simulator.QueueProperty, "value": "Q1"}}
	id := c.draft(message)
	c.want(c.json("POST", "/messages/"+id+"/attachments", file("a.txt", []byte("content"))), 201, "")

	big := bytes.Repeat([]byte("0123456789"), 400_000)
	opened := c.session(id, object{"attachmentType": "file", "name": "big.bin", "size": len(big)})
	c.want(opened, 201, "")
	r := c.putRange(opened.field("uploadUrl"), big[:2_097_152], 0, len(big))
	c.want(r, 200, "")
	if got := r.object()["nextExpectedRanges"].([]any)[0]; got != "2097152" || r.field("ExpirationDateTime") == "" {
		t.Errorf("range answer %s", r.body)
	}
	r = c.putRange(opened.field("uploadUrl"), big[2_097_152:], 2_097_152, len(big))
	c.want(r, 201, "")
	if len(r.body) != 0 || r.header.Get("Location") == "" {
		t.Errorf("last range: body %q, header %v", r.body, r.header)
	}

	c.want(c.send(id), 202, "")
	sent := c.settled(1)[0]
	if sent.ID != id || sent.Mailbox != mailbox || sent.From.Address != mailbox {
		t.Errorf("sent item %+v", sent)
	}
	ledger := c.sim.Ledger()
	if len(ledger) != 1 || ledger[0].QueueID != "Q1" || len(ledger[0].Recipients()) != 3 || ledger[0].Path != simulator.PathDraft {
		t.Fatalf("ledger %+v", ledger)
	}
	sum := sha256.Sum256(big)
	if got := ledger[0].Attachments[1]; got.SHA256 != hex.EncodeToString(sum[:]) || got.Size != int64(len(big)) {
		t.Errorf("uploaded file %+v", got)
	}
	if content, kept := c.sim.Content(sent.Attachments[1].ID); !kept || !bytes.Equal(content, big) {
		t.Errorf("content kept %v, %d bytes", kept, len(content))
	}
}
