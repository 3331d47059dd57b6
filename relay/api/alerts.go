package api

import (
	"context"
	"net/http"
	"net/url"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
)

// IncidentList is what needs an operator.
type IncidentList struct {
	Incidents []operations.Incident `json:"incidents" nullable:"false" doc:"The incidents, the oldest first."`
}

// AlertTestList is what became of test messages.
type AlertTestList struct {
	Tests []operations.AlertTest `json:"tests" nullable:"false" doc:"What became of the message, by channel."`
}

type incidentsInput struct {
	All bool `query:"all" doc:"Whether to return those of the last days that are over, too."`
}

type alertTestInput struct {
	Body struct {
		Channel string `json:"channel,omitempty" maxLength:"64" doc:"The name of the channel. Without it, all of them."`
	}
}

func (s *server) addAlerts() {
	add(s, operation{id: "list-incidents", method: http.MethodGet, path: "/incidents", tag: "alerts", role: operators.Viewer,
		summary: "List incidents", description: "Lists what needs an operator, with its cause and what to do."},
		func(ctx context.Context, in *incidentsInput) (*body[IncidentList], error) {
			list, err := s.alerts.Incidents(ctx, in.All)
			return answer(IncidentList{append([]operations.Incident{}, list...)}, err)
		})
	add(s, operation{id: "test-alerts", method: http.MethodPost, path: "/alerts/test", tag: "alerts", role: operators.Operator,
		summary: "Test the channels of alerts", description: "Sends a test message at once, and returns what became of it. Mail is queued like any other.", errors: []int{http.StatusNotFound}},
		func(ctx context.Context, in *alertTestInput) (*body[AlertTestList], error) {
			list, err := s.alerts.TestAlerts(ctx, in.Body.Channel)
			return answer(AlertTestList{append([]operations.AlertTest{}, list...)}, err)
		})
}

var _ operations.Alerts = Client{}

// Incidents implements operations.Alerts.
func (c Client) Incidents(ctx context.Context, all bool) ([]operations.Incident, error) {
	query := url.Values{}
	if all {
		query.Set("all", "true")
	}
	l, err := get[IncidentList](ctx, c, "/incidents", query)
	return l.Incidents, err
}

// TestAlerts implements operations.Alerts.
func (c Client) TestAlerts(ctx context.Context, channel string) ([]operations.AlertTest, error) {
	var in alertTestInput
	in.Body.Channel = channel
	l, err := post[AlertTestList](ctx, c, "/alerts/test", in.Body)
	return l.Tests, err
}
