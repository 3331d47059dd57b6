package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"graphrelay/graph"
	"graphrelay/relay"
	"graphrelay/relay/config"
)

func checkCommand(e env, args []string) int {
	fs := flags(e, "check")
	path := fs.String("config", "", "configuration `file`")
	online := fs.Bool("online", false, "get a token for each connection and say what it may do")
	if status, ok := noOperands(e, fs, args); !ok {
		return status
	}
	cfg, status := loadConfig(e, *path)
	if cfg == nil {
		return status
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(e.stderr, "warning: "+w)
	}
	if *online && !checkOnline(e, cfg) {
		return exitBadUsage
	}
	fmt.Fprintf(e.stdout, "%s is good\n", *path)
	return exitOK
}

// checkOnline prints a line a connection and tells whether all signed in.
func checkOnline(e env, cfg *config.Config) bool {
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONNECTION\tSIGN-IN\tRIGHTS")
	good := true
	for _, c := range cfg.Connections {
		client := relay.NewClient(cfg, c, nil)
		token, err := client.Token(context.Background(), "")
		if err != nil {
			good = false
			fmt.Fprintf(w, "%s\tfailed\t\n", c.Name)
			fmt.Fprintf(e.stderr, "graphrelay: connection %s: %v%s\n", c.Name, err, remedy(err))
			continue
		}
		fmt.Fprintf(w, "%s\tok, until %s\t%s\n", c.Name, token.Expiry.Format(time.RFC3339), rights(token.AccessToken))
	}
	_ = w.Flush()
	return good
}

// remedy goes on where the error does not say itself what to do.
func remedy(err error) string {
	var e *graph.Error
	var proxy *graph.ProxyError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &proxy):
		return ""
	case errors.As(err, &cert):
		return "; if a gateway or proxy of your own opens the TLS on the way, name its authority in ca_file"
	case errors.As(err, &e) && e.Reason == graph.ReasonNetwork:
		return "; check the network, the proxy, and cloud or endpoints"
	}
	if advice := graph.Advice(err); advice != "" {
		return "; " + advice
	}
	return "; check sign_in, tenant, cloud, client_id and the client secret or certificate (it may have expired) in the Entra admin center"
}

// rights reads the roles of an app token. They are shown, not relied on: rights
// given by RBAC for Applications are not in the token.
func rights(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "not shown by this token"
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Roles []string `json:"roles"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return "not shown by this token"
	}
	if len(claims.Roles) == 0 {
		return "none in the token: Mail.ReadWrite and Mail.Send must come from RBAC for Applications"
	}
	text := strings.Join(claims.Roles, " ")
	for _, need := range []string{"Mail.ReadWrite", "Mail.Send"} {
		if !slices.Contains(claims.Roles, need) {
			text += "; " + need + " is not in the token, it must come from RBAC for Applications"
		}
	}
	return text
}
