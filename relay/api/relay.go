package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"graphrelay/relay/config"
	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
)

// About is the relay that answers.
type About struct {
	Version string `json:"version" doc:"The version of graphrelay."`
}

// AuditList is what operators did.
type AuditList struct {
	Audits []queue.Audit `json:"audits" nullable:"false" doc:"The newest records, the oldest of them first."`
}

// ConsoleLink signs a browser in.
type ConsoleLink struct {
	Link string `json:"link" doc:"An address to open in a browser. It works once, within ten minutes. Keep it secret."`
}

type auditsInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"10000" default:"100" doc:"How many records to return at most, the newest ones."`
}

func (s *server) addRelay() {
	add(s, operation{id: "get-relay", method: http.MethodGet, path: "/relay", tag: "relay", role: operators.Viewer,
		summary: "Show the relay", description: "Returns which relay answers."},
		func(context.Context, *struct{}) (*body[About], error) { return answer(About{s.version}, nil) })
	add(s, operation{id: "list-audits", method: http.MethodGet, path: "/audits", tag: "relay", role: operators.Viewer,
		summary: "List what operators did", description: "Lists what operators did, whether by the command line, by this API or by the console. The last 10,000 records are kept."},
		func(ctx context.Context, in *auditsInput) (*body[AuditList], error) {
			list, err := s.ops.Audits(ctx, in.Limit)
			return answer(AuditList{append([]queue.Audit{}, list...)}, err)
		})
	add(s, operation{id: "list-configuration-changes", method: http.MethodGet, path: "/configuration/changes", tag: "relay", role: operators.Viewer,
		summary: "Show what a reload would change", description: "Compares the configuration file with the configuration in use. Secrets are not shown, only that they differ."},
		func(ctx context.Context, _ *struct{}) (*body[operations.Difference], error) {
			d, err := s.live.DiffFile(ctx)
			d.Changes = append([]config.Change{}, d.Changes...)
			return answer(d, err)
		})
	add(s, operation{id: "reload-configuration", method: http.MethodPost, path: "/configuration/reload", tag: "relay", role: operators.Admin,
		summary: "Reload the configuration", description: "Has the relay read its configuration file again, and waits until the messages under way are done. If the file has a fault, the relay goes on with the configuration that it has."},
		func(ctx context.Context, _ *struct{}) (*struct{}, error) { return nil, s.live.ReloadFile(ctx) })
	add(s, operation{id: "create-console-link", method: http.MethodPost, path: "/console/links", tag: "relay", role: operators.Admin,
		summary: "Make a link to the console", description: "Makes a link that signs a browser in to the console, as an administrator with the name of who asks. It is made on the socket alone: a session that a link began does not end when a token or an operator is removed from the configuration."},
		func(ctx context.Context, _ *struct{}) (*body[ConsoleLink], error) {
			p := operators.Of(ctx)
			if p.Way != operators.ByCommand {
				return nil, huma.Error403Forbidden("a link to the console is made on the machine of the relay alone; run graphrelay console there")
			}
			link, err := s.live.ConsoleLink(ctx, p.Name)
			return answer(ConsoleLink{link}, err)
		})
}
