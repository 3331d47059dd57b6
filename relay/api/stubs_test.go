package api_test

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"graphrelay/relay/attention"
	"graphrelay/relay/devices"
	"graphrelay/relay/flow"
	"graphrelay/relay/operations"
	"graphrelay/relay/smtpd"
	"graphrelay/relay/trial"
)

// stubEdge, stubSignIns and stubAlerts are what a test says of the listeners, the connections and
// the alerts of a running relay. They record who has changed what.
type stubEdge struct{ done []string }

func (s *stubEdge) record(by, action string) { s.done = append(s.done, by+": "+action) }

func (s *stubEdge) Listeners(context.Context) ([]operations.Listener, error) {
	return []operations.Listener{{Name: "devices", Address: "192.0.2.1:25", TLS: smtpd.TLSNone, Auth: smtpd.AuthNone, AllowDevices: true}}, nil
}

func (s *stubEdge) AllowDevice(_ context.Context, by string, d devices.Request) (devices.Device, error) {
	if d.Listener != "devices" {
		return devices.Device{}, devices.Refused("there is no listener " + d.Listener)
	}
	s.record(by, "allow")
	return devices.Device{Listener: d.Listener, Address: d.Address, Senders: d.Senders, By: by}, nil
}

func (s *stubEdge) BlockDevice(_ context.Context, by string, d devices.Request) (devices.Device, error) {
	s.record(by, "block")
	return devices.Device{Listener: d.Listener, Address: d.Address, Blocked: true, By: by}, nil
}

func (s *stubEdge) RemoveDevice(_ context.Context, by, _ string, address netip.Addr) error {
	if address != netip.MustParseAddr("192.0.2.7") {
		return devices.ErrNotListed
	}
	s.record(by, "remove")
	return nil
}

func (s *stubEdge) OpenWindow(_ context.Context, by string, o devices.Opening) (devices.Window, error) {
	s.record(by, "open for "+o.Length.String())
	return devices.Window{Listener: o.Listener, Network: o.Network, Domain: o.Domain, By: by}, nil
}

func (s *stubEdge) CloseWindow(_ context.Context, by, _ string) error {
	s.record(by, "close")
	return nil
}

type stubSignIns struct{ running bool }

func (s *stubSignIns) Connections(context.Context) ([]operations.Connection, error) {
	return []operations.Connection{{Name: "contoso", State: operations.ConnectionWorking}}, nil
}

func (s *stubSignIns) TryConnection(_ context.Context, _ string, r trial.Request) error {
	switch {
	case r.Connection != "contoso":
		return trial.ErrUnknown
	case s.running:
		return trial.ErrRunning
	}
	s.running = true
	return nil
}

func (s *stubSignIns) StopTrial(context.Context, string) error {
	if !s.running {
		return trial.ErrNotRunning
	}
	s.running = false
	return nil
}

type stubAlerts struct{ tests int }

func (s *stubAlerts) Incidents(_ context.Context, all bool) (list []operations.Incident, _ error) {
	list = append(list, operations.Incident{Reference: "K7QMD2", ID: "MailHeld", Severity: attention.Warning, Since: time.Unix(1, 0).UTC()})
	if end := time.Unix(2, 0).UTC(); all {
		list = append(list, operations.Incident{Reference: "OVER", Closed: &end})
	}
	return list, nil
}

func (s *stubAlerts) TestAlerts(_ context.Context, channel string) ([]operations.AlertTest, error) {
	if channel == "pager" {
		return nil, &operations.Error{Kind: operations.ErrNoChannel, Text: "there is no such channel: pager"}
	}
	s.tests++
	return []operations.AlertTest{{Channel: "operators", Result: "queued"}, {Channel: "chat", Error: errors.New("404").Error()}}, nil
}

// stubOverview is what a test says of what needs attention and of the flow.
type stubOverview struct{}

func (stubOverview) Attention(context.Context) []operations.Condition {
	return []operations.Condition{
		{Reference: "K7QMD2", Condition: attention.Condition{ID: "MailHeld", Severity: attention.Warning, Since: time.Unix(1, 0).UTC()}},
		{Condition: attention.Condition{ID: "LearningWindow", Severity: attention.Info}},
	}
}

func (stubOverview) Flow(length, step time.Duration) flow.Series {
	point := flow.Point{At: time.Unix(0, 0).Add(length).UTC(), Over: step.Seconds(), Counts: flow.Counts{Accepted: 7}}
	return flow.Series{Points: []flow.Point{point}, Failures: []flow.Tally{{Reason: "mailbox_full", N: 2}}, Refusals: []flow.Tally{}}
}
