package probe_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"graphrelay/graph/simulator"
	"graphrelay/relay/probe"
)

// Refusals and hosts that cannot be reached show at their step, with advice, and what depends on
// it is skipped.
func TestProbeFaults(t *testing.T) {
	for _, test := range []struct {
		name   string
		fault  simulator.Fault
		step   int
		status int
		advice string
	}{
		{"401", simulator.Fault{Operation: simulator.OpList, Status: 401, Code: "InvalidAuthenticationToken"}, 3, 401, "check cloud"},
		{"403 at create", simulator.Fault{Operation: simulator.OpCreate, Status: 403, Code: "ErrorAccessDenied"}, 4, 403, "Mail.ReadWrite"},
		{"full mailbox", simulator.Fault{Operation: simulator.OpCreate, Status: 403, Code: "ErrorQuotaExceeded"}, 4, 403, "the mailbox is full"},
		{"403 at send", simulator.Fault{Operation: simulator.OpSend, Status: 403, Code: "ErrorAccessDenied"}, 11, 403, "Mail.Send"},
		{"send as", simulator.Fault{Operation: simulator.OpSend, Status: 403, Code: "ErrorSendAsDenied"}, 11, 403, "Add-RecipientPermission"},
		{"5xx", simulator.Fault{Operation: simulator.OpSendMail, Status: 500}, 16, 500, "Microsoft has a fault"},
		{"unknown code", simulator.Fault{Operation: simulator.OpSendMail, Status: 418, Code: "ErrorTeapot\x1b[2J anna@contoso.test"}, 16, 418, "--json"},
		{"sign-in", simulator.Fault{Operation: simulator.OpToken, Status: 400, Code: "invalid_grant", Message: "AADSTS53003"}, 1, 400, "Conditional Access"},
		{"expired secret", simulator.Fault{Operation: simulator.OpToken, Status: 401, Code: "invalid_client", Message: "AADSTS7000222"}, 1, 401, "expired"},
		{"disabled", simulator.Fault{Operation: simulator.OpToken, Status: 401, Code: "unauthorized_client", Message: "AADSTS7000112"}, 1, 401, "disabled in the tenant"},
	} {
		inTime(t, strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			r := newRig(t, tenant(nil))
			if _, err := r.sim.AddFault(test.fault); err != nil {
				t.Fatal(err)
			}
			o := r.options()
			o.Waits.Send, o.Waits.Remove = time.Second, time.Second
			report := r.run(o)
			result := resultOf(t, report, test.step)
			if result.Verdict != probe.Fault || result.Status != test.status || !strings.Contains(strings.Join(result.Advice, " "), test.advice) {
				t.Errorf("want a fault with %d and %q: %s", test.status, test.advice, result.Line())
			}
			if report.Exit() != probe.ExitFault {
				t.Errorf("exit status %d", report.Exit())
			}
		})
	}
}

// A mailbox without named properties gets the draft without X- fields.
func TestProbeNamedProperties(t *testing.T) { synctest.Test(t, testProbeNamedProperties) }

func testProbeNamedProperties(t *testing.T) {
	r := newRig(t, tenant(nil))
	fault := simulator.Fault{Operation: simulator.OpCreate, Nth: 1, Status: 403, Code: "ErrorQuotaExceeded", Message: "Cannot get ID from name"}
	if _, err := r.sim.AddFault(fault); err != nil {
		t.Fatal(err)
	}
	report := r.run(r.options())
	wantVerdicts(t, report, one(4, differs))
	if result := resultOf(t, report, 4); !strings.Contains(strings.Join(result.Advice, ""), "delivery.x_headers: []") {
		t.Error(result.Line())
	}
	r.wantClean(report)
}

// A pause that Graph asks for is kept to in each form of the header, and the form is a fact.
func TestProbeRetryAfter(t *testing.T) {
	for _, test := range []struct{ value, form string }{{"1", "seconds"}, {"0.25", "fraction"}, {"", "none"}, {"soon", "other"},
		{time.Now().Add(time.Second).UTC().Format(http.TimeFormat), "date"}, {"999999999", "seconds"}} {
		inTime(t, test.form, func(t *testing.T) {
			r := newRig(t, tenant(nil))
			if _, err := r.sim.AddFault(simulator.Fault{Operation: simulator.OpCreate, Status: 429, Code: "ApplicationThrottled", RetryAfter: test.value}); err != nil {
				t.Fatal(err)
			}
			o := r.options()
			o.Waits.Throttle = 20 * time.Millisecond
			p, err := probe.New(o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			report := p.Run(ctx)
			result := resultOf(t, report, 4)
			if result.Verdict != probe.Fault || result.Status != 429 || !strings.Contains(strings.Join(result.Advice, ""), "asks for a pause") {
				t.Error(result.Line())
			}
			// Step 19 gets the simulator's own form; what step 4 got is seen without it.
			o.Done = func(r probe.Result) {
				if r.Step == 4 {
					cancel()
				}
			}
			if p, err = probe.New(o); err != nil {
				t.Fatal(err)
			}
			if got := facts(t, p.Run(ctx))["retry_after_form"]; got != test.form {
				t.Errorf("the form of %q is %v", test.value, got)
			}
		})
	}
}

// A proxy that puts its own page in the place of Graph's answers is a fault at once, and not a
// directory in which the mailbox is missing. Without a token, nothing else is a reason.
func TestProbeProxyPage(t *testing.T) { synctest.Test(t, testProbeProxyPage) }

func testProbeProxyPage(t *testing.T) {
	r := newRig(t, tenant(nil))
	tokens := true
	page := r.network.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if tokens && strings.Contains(q.URL.Path, "oauth2") {
			r.sim.ServeHTTP(w, q)
			return
		}
		_, _ = io.WriteString(w, "<html>sign in to the proxy</html>")
	}))
	r.config = configFor(t, page, page)
	report := r.run(r.options())
	for _, step := range []int{2, 3} {
		if result := resultOf(t, report, step); result.Verdict != probe.Fault || !strings.Contains(result.Line(), "200, but its answer is no list") {
			t.Error(result.Line())
		}
	}
	if result := resultOf(t, report, 4); !strings.Contains(result.Line(), "step 3 found no way into the mailbox") {
		t.Error(result.Line())
	}
	tokens = false
	if result := resultOf(t, r.run(r.options()), 4); !strings.Contains(result.Line(), "step 1 got no token") {
		t.Error(result.Line())
	}
}

func TestProbeUnreachable(t *testing.T) { synctest.Test(t, testProbeUnreachable) }

func testProbeUnreachable(t *testing.T) {
	r := newRig(t, tenant(nil))
	closed := "http://" + r.network.Free()
	login := r.network.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"a.b.c","token_type":"Bearer","expires_in":3600}`)
	}))
	for _, test := range []struct {
		name, login, graph string
		step               int
	}{{"sign-in", closed, r.url, 1}, {"Graph", login, closed, 3}} {
		r.config = configFor(t, test.login, test.graph, "directory: off")
		report := r.run(r.options())
		result := resultOf(t, report, test.step)
		if result.Verdict != probe.Fault || !strings.Contains(strings.Join(result.Advice, ""), "proxy, the firewall") {
			t.Errorf("%s: %s", test.name, result.Line())
		}
		if report.Exit() != probe.ExitFault || len(report.Left) > 0 {
			t.Errorf("%s: exit status %d, left %v", test.name, report.Exit(), report.Left)
		}
	}
}

// The host of uploads may be out of reach although Graph is not. Its name is shown, and nothing
// else of the URL, which has a token in it.
func TestProbeUploadHostUnreachable(t *testing.T) { synctest.Test(t, testProbeUploadHostUnreachable) }

func testProbeUploadHostUnreachable(t *testing.T) {
	r := newRig(t, tenant(nil))
	closed := r.network.Free()
	host := strings.TrimPrefix(r.url, "http://")
	front := r.network.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !strings.HasSuffix(q.URL.Path, "createUploadSession") {
			r.sim.ServeHTTP(w, q)
			return
		}
		q.Host = host
		rec := httptest.NewRecorder()
		r.sim.ServeHTTP(rec, q)
		w.WriteHeader(rec.Code)
		_, _ = io.WriteString(w, strings.ReplaceAll(rec.Body.String(), host, closed))
	}))
	r.config = configFor(t, front, front)
	report := r.run(r.options())
	result := resultOf(t, report, 9)
	if result.Verdict != probe.Fault || !strings.Contains(result.Line(), closed) || !strings.Contains(strings.Join(result.Advice, ""), "let this machine reach it") {
		t.Error(result.Line())
	}
	wantNoSecrets(t, report)
	r.wantClean(report)
}

// Answers that are spoilt here and there end no run, and what is the owner's stays as it is.
func TestProbeSpoiltAnswers(t *testing.T) {
	bodies := []string{`{"value":[{"id":"../x","subject":"\u001b[2J","isDraft":true,"receivedDateTime":"2999-01-01T00:00:00Z"},{}]}`, `{"id":"y"}`, `[`, `null`, ``,
		`{"uploadUrl":"http://127.0.0.1:1/?authtoken=eyJsecretsecretsecret","nextExpectedRanges":["-1","\u001b"]}`}
	for every := 2; every < 8; every++ {
		inTime(t, fmt.Sprint(every), func(t *testing.T) {
			r := newRig(t, tenant(nil))
			var requests atomic.Int64
			front := r.network.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				n := int(requests.Add(1))
				if strings.Contains(q.URL.Path, "oauth2") || n < 8 || n%every != 0 || q.Method == http.MethodDelete {
					r.sim.ServeHTTP(w, q)
					return
				}
				rec := httptest.NewRecorder()
				r.sim.ServeHTTP(rec, q)
				w.WriteHeader(rec.Code)
				if rec.Code != http.StatusNoContent {
					_, _ = io.WriteString(w, bodies[n/every%len(bodies)])
				}
			}))
			r.config = configFor(t, front, front)
			o := r.options()
			o.Waits = probe.Waits{Poll: time.Millisecond, Appear: 50 * time.Millisecond, Find: 50 * time.Millisecond, Send: 400 * time.Millisecond,
				Returns: time.Millisecond, Throttle: time.Millisecond, Remove: time.Second}
			report := r.run(o)
			wantNoSecrets(t, report)
			if all := lines(report); strings.ContainsAny(all, "\x1b\u202e\r") {
				t.Errorf("unclean: %q", all)
			}
		})
	}
}

// wantNoSecrets fails the test if a token or the query of an upload URL is shown.
func wantNoSecrets(t *testing.T, report probe.Report) {
	t.Helper()
	all := lines(report) + string(report.File().JSON())
	for _, secret := range []string{"authtoken", "eyJ", "AttachmentSessions", "simulated\""} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is shown in\n%s", secret, all)
		}
	}
}

// What was made is removed although the answers to the requests were lost.
func TestProbeRemovesWhatItWasNotTold(t *testing.T) {
	for _, op := range []simulator.Operation{simulator.OpCreate, simulator.OpCreateMIME, simulator.OpSend, simulator.OpSendMail, simulator.OpAttachment, simulator.OpUpload} {
		inTime(t, string(op), func(t *testing.T) {
			r := newRig(t, tenant(nil))
			if _, err := r.sim.AddFault(simulator.Fault{Operation: op, Nth: 1, After: true, Reset: true}); err != nil {
				t.Fatal(err)
			}
			report := r.run(r.options())
			if !slices.ContainsFunc(report.Results, func(r probe.Result) bool { return r.Verdict == probe.Fault }) {
				t.Error("no step is a fault")
			}
			r.wantClean(report)
		})
	}
}

// An interruption at any moment ends the steps, and what was made is removed.
func TestProbeInterrupted(t *testing.T) {
	for _, after := range []int64{1, 4, 9, 16, 30, 45, 60, 75, 90} {
		inTime(t, fmt.Sprint(after), func(t *testing.T) {
			r := newRig(t, tenant(nil))
			ctx, cancel := context.WithCancel(t.Context())
			var requests atomic.Int64
			front := r.network.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if requests.Add(1) == after {
					cancel()
				}
				r.sim.ServeHTTP(w, q)
			}))
			r.config = configFor(t, front, front)
			o := r.options()
			o.Waits.Appear, o.Waits.Remove = time.Second, 15*time.Second
			report := r.runContext(ctx, o)
			// Of a message whose send was cut off, nobody knows whether it will come.
			report.Left = slices.DeleteFunc(report.Left, func(l probe.Left) bool {
				return strings.Contains(l.Why, "has not come yet")
			})
			r.wantClean(report)
			if !report.Interrupted || report.Exit() != probe.ExitFault {
				t.Errorf("interrupted %v, exit status %d", report.Interrupted, report.Exit())
			}
			if last := resultOf(t, report, 20); last.Verdict != probe.Skipped || !strings.Contains(last.Why, "interrupted") {
				t.Error(last.Line())
			}
		})
	}
}

// Answers that make no sense, or are meant to do harm, end no run and reach no terminal.
func TestProbeHostileAnswers(t *testing.T) {
	bodies := []string{
		`{"value":[{"id":"` + `x/../y` + `","subject":"graphrelay probe","isDraft":true,"receivedDateTime":"2999-01-01T00:00:00Z","userPrincipalName":"anna@contoso.test","mail":"anna@contoso.test"}],"@odata.nextLink":"http://192.0.2.1/?a=b"}`,
		`{"id":"\u001b[2J","isDraft":false,"uploadUrl":"http://127.0.0.1:1/?authtoken=eyJsecretsecretsecretsecret","nextExpectedRanges":["x"],"toRecipients":[{},{}],"internetMessageId":5}`,
		`{"error":{"code":"` + "Error\\u001b[2J" + `","message":"\u001b[2J\u202e"}}`,
		`[`, ``, `null`, `{"value":null}`, `{"value":[null]}`, strings.Repeat("[", 1<<20),
	}
	for status := 200; status < 600; status += 100 {
		for n, body := range bodies {
			inTime(t, fmt.Sprintf("%d-%d", status, n), func(t *testing.T) {
				r := newRig(t, tenant(nil))
				front := r.network.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					if strings.Contains(q.URL.Path, "oauth2") {
						r.sim.ServeHTTP(w, q)
						return
					}
					w.Header().Set("request-id", "id\u202e1")
					w.Header().Set("Retry-After", "99999999999")
					code := status + n%5
					if code == 204 {
						code = 201
					}
					w.WriteHeader(code)
					_, _ = io.WriteString(w, body)
				}))
				r.config = configFor(t, front, front)
				o := r.options()
				o.Waits = probe.Waits{Poll: time.Millisecond, Appear: 5 * time.Millisecond, Find: 5 * time.Millisecond, Send: 5 * time.Millisecond,
					Returns: time.Millisecond, Throttle: time.Millisecond, Remove: 5 * time.Millisecond}
				report := r.run(o)
				wantNoSecrets(t, report)
				all := lines(report)
				t.Log("\n" + all)
				for _, l := range report.Left {
					all += l.String()
				}
				if strings.ContainsAny(all, "\x1b\u202e\r") {
					t.Errorf("unclean: %q", all)
				}
				if report.Exit() == probe.ExitOK {
					t.Error("such a tenant is ok")
				}
			})
		}
	}
}
