package simulator_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

// small returns limits that make uploads small.
func small() simulator.Limits {
	return simulator.Limits{SessionMin: 10, SessionMax: 100, Range: 11, Attachment: 10}
}

func (c *client) open(size int) (id, url string) {
	c.t.Helper()
	id = c.draft(plain("s"))
	r := c.session(id, object{"attachmentType": "file", "name": "f", "size": size, "contentType": "text/csv", "isInline": true, "contentId": "cid1"})
	c.want(r, 201, "")
	return id, r.field("uploadUrl")
}

func TestSessionRefusals(t *testing.T) {
	c := start(t, simulator.Options{})
	id := c.draft(plain("s"))
	for name, test := range map[string]struct {
		item   object
		status int
		code   string
	}{
		"under 3 MB":  {object{"attachmentType": "file", "name": "f", "size": 2_999_999}, 400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"},
		"over 150 MB": {object{"attachmentType": "file", "name": "f", "size": 150_000_001}, 400, "ErrorAttachmentSizeLimitExceeded"},
		"item":        {object{"attachmentType": "item", "name": "f", "size": 4_000_000}, 405, "ErrorAttachmentSessionIsSupportedOnlyForFileAttachments"},
		"type":        {object{"attachmentType": "stream", "name": "f", "size": 4_000_000}, 400, "RequestBodyRead"},
		"no name":     {object{"attachmentType": "file", "name": "", "size": 4_000_000}, 400, "ErrorInvalidArgument"},
		"no size":     {object{"attachmentType": "file", "name": "f"}, 400, "ErrorInvalidArgument"},
		"property":    {object{"attachmentType": "file", "name": "f", "size": 4_000_000, "contentBytes": ""}, 400, "RequestBodyRead"},
		"text size":   {object{"attachmentType": "file", "name": "f", "size": "4000000"}, 400, "RequestBodyRead"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c.under(t)
			c.want(c.session(id, test.item), test.status, test.code)
		})
	}
	c.want(c.json("POST", "/messages/"+id+"/attachments", file("f", make([]byte, 3_000_000))), 413, "ErrorMessageSizeExceeded")
	c.want(c.json("POST", "/messages/"+id+"/attachments", file("f", make([]byte, 2_999_999))), 201, "")
	long := c.json("POST", "/messages/"+id+"/attachments/microsoft.graph.createUploadSession",
		object{"attachmentItem": object{"attachmentType": "File", "name": "f", "size": 3_000_000}})
	c.want(long, 201, "")
}

func TestBinaryLimitsLeaveAGap(t *testing.T) {
	c := start(t, simulator.Options{Limits: simulator.BinaryLimits()})
	id := c.draft(plain("s"))
	const size = 3<<20 - 10
	c.want(c.json("POST", "/messages/"+id+"/attachments", file("f", make([]byte, size))), 413, "RequestEntityTooLarge")
	c.want(c.session(id, object{"attachmentType": "file", "name": "f", "size": size}), 400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")
}

func TestRangeRefusals(t *testing.T) {
	c := start(t, simulator.Options{Limits: small()})
	_, url := c.open(20)
	c.want(c.putRange(url, make([]byte, 5), 0, 20), 200, "")
	for name, test := range map[string]struct {
		change func(*http.Request)
		status int
		code   string
	}{
		"authorization": {func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+c.token) }, 401, "InvalidAudienceForResource"},
		"authtoken":     {func(r *http.Request) { r.URL.RawQuery = "authtoken=x" }, 401, "InvalidAuthenticationToken"},
		"session":       {func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, "Sessions('", "Sessions('0", 1) }, 404, "uploadSessionNotFound"},
		"repeated":      {func(r *http.Request) { r.Header.Set("Content-Range", "bytes 0-4/20") }, 416, "fragmentOverlap"},
		"gap":           {func(r *http.Request) { r.Header.Set("Content-Range", "bytes 6-10/20") }, 416, "fragmentOutOfOrder"},
		"total":         {func(r *http.Request) { r.Header.Set("Content-Range", "bytes 5-9/21") }, 416, "invalidRange"},
		"no range":      {func(r *http.Request) { r.Header.Del("Content-Range") }, 416, "invalidRange"},
		"length":        {func(r *http.Request) { r.Header.Set("Content-Range", "bytes 5-10/20") }, 400, "invalidRange"},
		"size":          {func(r *http.Request) { r.Header.Set("Content-Range", "bytes 5-15/20") }, 413, "RequestEntityTooLarge"},
		"type":          {func(r *http.Request) { r.Header.Del("Content-Type") }, 400, "BadRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c.under(t)
			req, err := http.NewRequest("PUT", url, bytes.NewReader(make([]byte, 5)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/octet-stream")
			req.Header.Set("Content-Range", "bytes 5-9/20")
			test.change(req)
			c.want(c.do(req), test.status, test.code)
		})
	}
	c.want(c.putRange(url, make([]byte, 5), 5, 20), 200, "")
}

func TestRangeForms(t *testing.T) {
	for form, want := range map[simulator.RangeForm][]string{
		simulator.RangeBare:      {"5", "10", "15"},
		simulator.RangeOpen:      {"5-", "10-", "15-"},
		simulator.RangeClosed:    {"5-19", "10-19", "15-19"},
		simulator.RangeAlternate: {"5", "10-", "15-19"},
	} {
		c := start(t, simulator.Options{Limits: small(), Ranges: form})
		_, url := c.open(20)
		var got []string
		for first := 0; first < 15; first += 5 {
			r := c.putRange(url, make([]byte, 5), first, 20)
			c.want(r, 200, "")
			got = append(got, r.object()["nextExpectedRanges"].([]any)[0].(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("form %d: %q, want %q", form, got, want)
		}
	}
}

func (c *client) plainCall(method, url string) reply {
	c.t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(req)
}

func TestResumeAndCancelUpload(t *testing.T) {
	c := start(t, simulator.Options{Limits: small(), Ranges: simulator.RangeOpen})
	_, url := c.open(20)
	c.want(c.putRange(url, make([]byte, 5), 0, 20), 200, "")
	r := c.plainCall("GET", url)
	c.want(r, 200, "")
	if r.object()["nextExpectedRanges"].([]any)[0] != "5-" || r.field("expirationDateTime") == "" {
		t.Errorf("resume %s", r.body)
	}
	c.want(c.plainCall("DELETE", url), 204, "")
	c.want(c.plainCall("GET", url), 404, "uploadSessionNotFound")
	if st := c.sim.Stats(); st.OpenSessions != 0 || st.ContentBytes != int64(len("Hello")) {
		t.Errorf("left over: %+v", st)
	}
}

func TestSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{Limits: small(), SessionLife: time.Hour})
		_, url := c.open(20)
		time.Sleep(time.Hour + time.Second)
		c.want(c.putRange(url, make([]byte, 5), 0, 20), 404, "uploadSessionNotFound")
	})
}

func TestUploadToItemThatIsGone(t *testing.T) {
	c := start(t, simulator.Options{Limits: small()})
	id, url := c.open(10)
	c.want(c.do(c.request("DELETE", "/messages/"+id, "", nil)), 204, "")
	c.want(c.putRange(url, make([]byte, 10), 0, 10), 404, "ErrorItemNotFound")
}

func TestSessionQuirks(t *testing.T) {
	for _, quirks := range []bool{false, true} {
		c := start(t, simulator.Options{Limits: small(), World: simulator.World{SessionsLoseFields: quirks}})
		id, url := c.open(10)
		c.want(c.putRange(url, make([]byte, 10), 0, 10), 201, "")
		r := c.get("/messages/" + id + "/attachments?$select=name,contentType,isInline,contentId")
		got := fmt.Sprint(r.object()["value"].([]any)[0])
		if kept := strings.Contains(got, "text/csv") && strings.Contains(got, "cid1"); kept == quirks {
			t.Errorf("quirks %v: %s", quirks, got)
		}
	}
}

func TestContentBudget(t *testing.T) {
	c := start(t, simulator.Options{Limits: small(), ContentBytes: 30})
	id, url := c.open(20) // reserves 20 beside the body's 5
	c.want(c.json("POST", "/messages/"+id+"/attachments", file("six", []byte("123456"))), 201, "")
	c.want(c.putRange(url, make([]byte, 10), 0, 20), 200, "")
	c.want(c.putRange(url, make([]byte, 10), 10, 20), 201, "")
	attachments := c.sim.Drafts()[0].Attachments
	if attachments[0].Kept || !attachments[1].Kept || attachments[0].SHA256 == "" {
		t.Errorf("attachments %+v", attachments)
	}
	if used := c.sim.Stats().ContentBytes; used != 25 {
		t.Errorf("%d bytes held, want 25", used)
	}
	c.want(c.do(c.request("DELETE", "/messages/"+id, "", nil)), 204, "")
	if used := c.sim.Stats().ContentBytes; used != 0 {
		t.Errorf("%d bytes held after the delete", used)
	}
}

// A file that does not fit into the content store is hashed and not kept in memory.
func TestLargeUploadIsNotHeld(t *testing.T) {
	c := start(t, simulator.Options{ContentBytes: 1 << 20})
	const part, parts = 3_000_000, 20
	_, url := c.open(part * parts)
	content := bytes.Repeat([]byte("x"), part)
	sum := sha256.New()
	before := heap()
	for n := range parts {
		status := 200
		if n == parts-1 {
			status = 201
		}
		c.want(c.putRange(url, content, n*part, part*parts), status, "")
		sum.Write(content)
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if a := c.sim.Drafts()[0].Attachments[0]; a.Kept || a.SHA256 != hex.EncodeToString(sum.Sum(nil)) || a.Size != part*parts {
		t.Errorf("attachment %+v", a)
	}
}

// heap returns the number of bytes in use after a garbage collection.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
