package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// asked has the filter that was asked for.
type asked struct {
	operations.Operations
	filter queue.Filter
	times  int
}

func (a *asked) Search(_ context.Context, f queue.Filter, _ time.Duration) (operations.Found, error) {
	a.filter = f
	a.times++
	return operations.Found{}, nil
}

// serve returns an API on a, and a client of it that makes no connections.
func serve(t testing.TB, a *asked) (http.Handler, Client) {
	t.Helper()
	h, err := New(Config{Operations: a})
	if err != nil {
		t.Fatal(err)
	}
	h = as(h, operators.Admin)
	return h, Client{HTTP: &http.Client{Transport: direct{h}}, URL: "http://relay"}
}

func as(h http.Handler, role operators.Role) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(operators.With(r.Context(), operators.Person{Name: "anna", Role: role})))
	})
}

// direct calls a handler.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// Each field of a filter reaches the other side, those that are added later too.
func TestEachFieldOfAFilter(t *testing.T) {
	a := &asked{}
	_, c := serve(t, a)
	fields := reflect.TypeFor[queue.Filter]()
	for i := range fields.NumField() {
		var f queue.Filter
		v := reflect.ValueOf(&f).Elem().Field(i)
		switch field := v.Addr().Interface().(type) {
		case *string:
			*field = "<ä&b=c+d e>"
		case *bool:
			*field = true
		case *int:
			*field = 17
		case *time.Time:
			*field = time.Date(2026, 11, 29, 14, 0, 0, 123456789, time.FixedZone("", 3600))
		case *reason.Reason:
			*field = reason.Network
		case *[]reason.Reason:
			*field = []reason.Reason{reason.Network, reason.Throttled}
		case *[]queue.State:
			*field = []queue.State{queue.Held, queue.Failed}
		}
		want := f
		if f.Limit == 0 {
			want.Limit = maxPage
		}
		_, err := c.Messages(t.Context(), f)
		if got := a.filter; err != nil || !reflect.DeepEqual(utc(got), utc(want)) {
			t.Errorf("%s: %+v, %v, want %+v", fields.Field(i).Name, got, err, want)
		}
	}
}

func utc(f queue.Filter) queue.Filter {
	f.Since, f.Before = f.Since.UTC(), f.Before.UTC()
	return f
}

// FuzzSelection: whatever the parameters are, the answer is a page or a refusal; and a filter that
// was taken is sent again as the same.
func FuzzSelection(f *testing.F) {
	for _, q := range []string{"", "state=held,failed&lane=contoso/a@b&limit=3", "since=2026-11-29T14:00:00Z&before=2026-11-30T14:00:00.5%2B01:00",
		"message_id=x@y&user=%C3%A4", "subject=%00%ff&to=a&from=b", "reason=network&has_content=true", "state=", "a=b", "lane=x&lane=y", "%zz", "limit=1e3"} {
		f.Add(q)
	}
	a := &asked{}
	h, c := serve(f, a)
	f.Fuzz(func(t *testing.T, query string) {
		a.times = 0
		rec := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, Prefix+"/messages", nil)
		req.URL.RawQuery = query
		h.ServeHTTP(rec, req)
		switch {
		case rec.Code == http.StatusOK && a.times == 1:
			first := a.filter
			if _, err := c.Messages(t.Context(), first); err != nil || !reflect.DeepEqual(utc(a.filter), utc(first)) {
				t.Errorf("%q: %+v, sent again %+v, %v", query, first, a.filter, err)
			}
			if values, err := url.ParseQuery(query); err != nil || len(values) > 0 && reflect.DeepEqual(first, queue.Filter{Limit: 100}) && !harmless(values) {
				t.Errorf("%q selects everything, %v", query, err)
			}
		case rec.Code != http.StatusUnprocessableEntity || a.times != 0:
			body, _ := io.ReadAll(rec.Body)
			t.Errorf("%q: %d, asked %d times: %s", query, rec.Code, a.times, body)
		}
	})
}

// harmless reports whether the parameters may select everything.
func harmless(v url.Values) bool {
	for name := range v {
		if name != "limit" && name != "within" && name != "has_content" && name != "newest" {
			return false
		}
	}
	return true
}
