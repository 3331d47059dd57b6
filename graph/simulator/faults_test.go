package simulator_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
)

func (c *client) fault(f simulator.Fault) {
	c.t.Helper()
	if _, err := c.sim.AddFault(f); err != nil {
		c.t.Fatal(err)
	}
}

func TestFaultBeforeTheEffect(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1})
	id := c.draft(plain("s"))
	c.fault(simulator.Fault{Operation: simulator.OpSend, Count: 1, Status: 503, Code: "ErrorServerBusy", RetryAfter: "2.128"})
	r := c.send(id)
	c.want(r, 503, "ErrorServerBusy")
	if got := r.header.Get("Retry-After"); got != "2.128" {
		t.Errorf("Retry-After %q", got)
	}
	c.want(c.send(id), 202, "")
	c.fault(simulator.Fault{Operation: simulator.OpCreate, Reset: true, Nth: 1})
	if _, err := c.try(c.request("POST", "/messages", "application/json", []byte(`{}`))); err == nil {
		t.Error("no reset")
	}
	if n := len(c.sim.Messages(mailbox)); n != 1 {
		t.Errorf("%d items, want 1", n)
	}
}

func TestFaultAfterTheEffect(t *testing.T) {
	c := start(t, simulator.Options{SendDelay: -1, InFlight: simulator.InFlightDraft})
	for name, f := range map[string]simulator.Fault{
		"reset":  {Reset: true},
		"504":    {Status: 504},
		"hang":   {Hang: time.Hour},
		"status": {Status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			c := c.under(t)
			c.sim.Reset()
			f.Operation, f.After, f.Nth = simulator.OpSend, true, 2
			c.fault(f)
			c.want(c.send(c.draft(plain("first"))), 202, "")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if f.Hang > 0 {
				go func() {
					for ctx.Err() == nil && len(c.sim.Ledger()) < 2 {
						time.Sleep(time.Millisecond)
					}
					cancel()
				}()
			}
			r, err := c.try(c.request("POST", "/messages/"+c.draft(plain("s"))+"/send", "", nil).WithContext(ctx))
			if lost := f.Reset || f.Hang > 0; lost != (err != nil) || !lost && r.status != f.Status {
				t.Errorf("answer %d, error %v", r.status, err)
			}
			if n := len(c.sim.Ledger()); n != 2 {
				t.Errorf("%d sends in the ledger, want 2", n)
			}
		})
	}
}

func TestAcceptedWithRetryAfter(t *testing.T) {
	c := start(t, simulator.Options{})
	c.fault(simulator.Fault{Operation: simulator.OpSendMail, After: true, RetryAfter: "10"})
	r := c.json("POST", "/sendMail", object{"message": plain("s")})
	c.want(r, 202, "")
	if r.header.Get("Retry-After") != "10" {
		t.Errorf("header %v", r.header)
	}
}

func TestFaultMatching(t *testing.T) {
	c := start(t, simulator.Options{Seed: 1})
	c.fault(simulator.Fault{Mailbox: "OTHER@contoso.test", Status: 500})
	c.fault(simulator.Fault{Operation: simulator.OpList, Nth: 2, Count: 2, Status: 502})
	for n, want := range []int{200, 502, 502, 200} {
		if r := c.get("/messages"); r.status != want {
			t.Errorf("call %d: %d, want %d", n+1, r.status, want)
		}
	}
	c.sim.ClearFaults()
	c.fault(simulator.Fault{Operation: simulator.OpList, Probability: 0.5, Status: 500})
	for range 40 {
		c.get("/messages")
	}
	if acted := c.sim.Faults()[0].Acted; acted < 8 || acted > 32 {
		t.Errorf("a fault of even chance acted %d times of 40", acted)
	}
	c.fault(simulator.Fault{Operation: simulator.OpToken, Status: 503, Code: "temporarily_unavailable", RetryAfter: "3"})
	req, _ := http.NewRequest("POST", c.base+"/t/oauth2/v2.0/token", nil)
	c.want(c.do(req), 503, "temporarily_unavailable")
	for message, want := range map[string]string{
		"AADSTS53003": "AADSTS53003: A transient error", "AADSTS7000112: Application is disabled.": "AADSTS7000112: Application is disabled. Trace",
		"No luck.": "AADSTS90033: No luck. Trace",
	} {
		c.sim.ClearFaults()
		c.fault(simulator.Fault{Operation: simulator.OpToken, Status: 400, Code: "unauthorized_client", Message: message})
		req, _ := http.NewRequest("POST", c.base+"/t/oauth2/v2.0/token", nil)
		if r := c.do(req); r.status != 400 || !strings.Contains(string(r.body), want) {
			t.Errorf("%s: %d %s", message, r.status, r.body)
		}
	}
}

func TestFaultChecks(t *testing.T) {
	sim := simulator.New(simulator.Options{})
	for _, f := range []simulator.Fault{
		{}, {Operation: "upld", Status: 500}, {Status: 99}, {Status: 500, Probability: 2}, {Status: 500, Nth: -1}, {RetryAfter: "1"},
	} {
		if _, err := sim.AddFault(f); err == nil {
			t.Errorf("accepted %+v", f)
		}
	}
}

func TestFaultsOverHTTP(t *testing.T) {
	c := start(t, simulator.Options{})
	post := func(contentType, body string) reply {
		req, err := http.NewRequest("POST", c.base+"/_simulator/faults", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		return c.do(req)
	}
	if r := post("application/json", `{"operation":"list","latency":"30ms","status":500,"count":1}`); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for contentType, body := range map[string]string{
		"text/plain": `{"status":500}`, "application/json": `{"status":500,"operaton":"send"}`,
		"application/json;a=b": `{"latency":5}`, "application/json;c=d": `{"operation":"nothing","status":500}`,
	} {
		if r := post(contentType, body); r.status < 400 {
			t.Errorf("%s %s: %d", contentType, body, r.status)
		}
	}
	started := time.Now()
	c.want(c.get("/messages"), 500, "UnknownError")
	if took := time.Since(started); took < 30*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if r := c.plainCall("GET", c.base+"/_simulator/faults"); !strings.Contains(string(r.body), `"latency": "30ms"`) || !strings.Contains(string(r.body), `"acted": 1`) {
		t.Errorf("faults %s", r.body)
	}
	c.plainCall("DELETE", c.base+"/_simulator/faults")
	if n := len(c.sim.Faults()); n != 0 {
		t.Errorf("%d faults left", n)
	}
}

func TestMailboxConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startDirect(t, simulator.Options{Latency: 300 * time.Millisecond})
		get := func(token string) int {
			req := c.request("GET", "/messages", "", nil)
			req.Header.Set("Authorization", "Bearer "+token)
			r, err := c.try(req)
			if err != nil {
				return 0
			}
			if r.status == 429 && (r.code() != "ApplicationThrottled" || r.header.Get("Retry-After") != "1") {
				return -1
			}
			return r.status
		}
		other := c.newToken("app-2")
		var mu sync.Mutex
		var group sync.WaitGroup
		counts := map[int]int{}
		for n := range 7 {
			token := c.token
			if n == 6 {
				token = other
			}
			group.Go(func() {
				status := get(token)
				mu.Lock()
				defer mu.Unlock()
				counts[status]++
			})
		}
		group.Wait()
		if counts[200] != 5 || counts[429] != 2 {
			t.Errorf("statuses %v, want 5 times 200 (4 and another app's) and 2 times 429", counts)
		}
		st := c.sim.Stats()
		if st.Throttled[mailbox] != 2 || st.MaxConcurrency[mailbox] != 5 {
			t.Errorf("stats %+v", st)
		}
	})
}

// Four workers without a pause must never exceed the limit of four: a slot is released before
// the client can get the answer.
func TestFourWorkersAreNeverThrottled(t *testing.T) {
	c := start(t, simulator.Options{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				if r, err := c.try(c.request("GET", "/messages", "", nil)); err != nil || r.status != 200 {
					t.Errorf("%d %v", r.status, err)
				}
			}
		})
	}
	group.Wait()
}

func TestQuotas(t *testing.T) {
	c := start(t, simulator.Options{RequestQuota: 3})
	for n, want := range []int{200, 200, 200, 429} {
		if r := c.get("/messages"); r.status != want {
			t.Errorf("request %d: %d, want %d", n+1, r.status, want)
		}
	}
	c = start(t, simulator.Options{UploadQuota: 200})
	c.draft(plain("s"))
	c.draft(plain("s"))
	c.want(c.json("POST", "/messages", plain("s")), 429, "ApplicationThrottled")
}

func TestCloseEndsHangs(t *testing.T) {
	c := start(t, simulator.Options{})
	c.fault(simulator.Fault{Hang: time.Hour})
	time.AfterFunc(50*time.Millisecond, c.sim.Close)
	_, err := c.try(c.request("GET", "/messages", "", nil))
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
