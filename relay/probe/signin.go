package probe

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"graphrelay/graph"
	"graphrelay/internal/mailaddr"
	"graphrelay/relay/config"
	"graphrelay/relay/connection"
)

// signIn is step 1.
func (p *Probe) signIn(ctx context.Context, r *Result) {
	start := time.Now()
	token, err := p.client.Token(ctx, p.o.Mailbox)
	r.Took = time.Since(start)
	if skew, known := p.client.ClockSkew(); known {
		p.facts.set(factClock, int(skew.Round(time.Second).Seconds()))
		if skew.Abs() > time.Minute {
			r.saw("the clock of this machine is %s ahead of Microsoft's (negative: behind)", skew.Round(time.Second))
			r.differs("set the clock by NTP; a sign-in with a certificate fails if it is five minutes off")
		}
	}
	if err != nil {
		e := asError(err)
		r.Status, r.Code, r.RequestID = e.Status, e.Code, e.RequestID
		r.saw("%v", err)
		advice := p.remedy(err)
		if graph.CredentialRefused(err) && graph.Advice(err) == "" {
			advice = "check sign_in, tenant, cloud, client_id and the client secret or certificate (it may have expired) in the Entra admin center"
		}
		r.fault(advice)
		return
	}
	p.has[signedIn] = true
	p.has[writes] = p.o.Connection.MailReadWrite
	rights, readable := connection.Rights(token.AccessToken)
	if !readable {
		r.saw("a token that does not show its permissions")
		return
	}
	p.shared = slices.ContainsFunc(rights, func(right string) bool { return strings.HasSuffix(right, ".Shared") })
	if account := connection.Account(token.AccessToken); p.delegated() && account != "" {
		p.foreign = !mailaddr.Same(account, p.o.Mailbox)
	}
	p.facts.set(factRights, known(rights))
	r.saw("a token with %s", orNone(strings.Join(rights, ", ")))
	p.judgeRights(r, rights)
}

// judgeRights compares the permissions with those that the relay needs.
func (p *Probe) judgeRights(r *Result, rights []string) {
	mail := slices.ContainsFunc(rights, func(right string) bool { return strings.HasPrefix(right, "Mail.") })
	if !mail && !p.delegated() {
		r.saw("none for mail: RBAC for Applications has to give them, as the next steps show")
		return
	}
	for _, need := range []string{"Mail.ReadWrite", "Mail.Send"} {
		if slices.Contains(rights, need) || slices.Contains(rights, need+".Shared") || need == "Mail.ReadWrite" && !p.o.Connection.MailReadWrite {
			continue
		}
		r.differs("grant " + need + " to the application, with admin consent; if RBAC for Applications is to give it, remove its other Mail permissions in Entra")
	}
}

// judgeRBAC notes the permissions that are not in the token and have turned out to be there.
func (p *Probe) judgeRBAC() {
	list, read := p.facts[factRights].([]string)
	if !read || p.delegated() {
		return
	}
	var more []string
	for _, right := range []struct {
		name  string
		shown bool
	}{{"Mail.ReadWrite", p.has[drafts]}, {"Mail.Send", !p.firstSend.IsZero()}} {
		if right.shown && !slices.Contains(list, right.name) {
			more = append(more, right.name)
		}
	}
	p.facts.set(factRBAC, more)
}

func orNone(s string) string {
	if s == "" {
		return "no permissions"
	}
	return s
}

// directoryUser is an entry of the directory.
type directoryUser struct {
	ID      string   `json:"id"`
	UPN     string   `json:"userPrincipalName"`
	Mail    string   `json:"mail"`
	Proxies []string `json:"proxyAddresses"`
}

func (u directoryUser) has(address string) bool {
	return mailaddr.Same(u.Mail, address) || mailaddr.Same(u.UPN, address) || slices.ContainsFunc(u.Proxies, func(proxy string) bool {
		_, proxy, _ = strings.Cut(proxy, ":")
		return mailaddr.Same(proxy, address)
	})
}

// directory is step 2.
func (p *Probe) directory(ctx context.Context, r *Result) {
	if p.delegated() {
		r.skip("owners' sign-ins are not used to ask the directory")
		return
	}
	if p.o.Connection.Directory == config.DirectoryOff {
		r.skip("directory is off")
		return
	}
	u, found, a := p.find(ctx, r, p.o.Mailbox)
	r.by(a)
	p.facts.set(factDirectory, a.Status)
	if a.err != nil {
		r.saw("the address: %s", a)
		p.directoryRefused(r, a)
		return
	}
	if found {
		p.objectID, p.upn = u.ID, u.UPN
		r.saw("the address: found")
	} else {
		r.saw("the address: not found")
		r.differs("check the address; it has to belong to a mailbox of this tenant")
	}
	if p.o.Alias != "" {
		owner, found, a := p.find(ctx, r, p.o.Alias)
		switch {
		case found && owner.ID == p.objectID:
			r.saw("the alias: found")
		case found:
			r.saw("the alias: another user's")
			r.differs("--alias names an address of another user; name one of the mailbox")
		default:
			r.saw("the alias: not found (%s)", a)
			r.differs("mail from the alias goes out through a mailbox of that name, which Graph may not know; write a sender rule for it with the mailbox")
		}
	}
	p.longAddress(ctx, r)
}

// directoryRefused judges a refusal of the directory.
func (p *Probe) directoryRefused(r *Result, a answer) {
	switch {
	case a.Status == http.StatusForbidden:
		r.differs(graph.DirectoryAdvice(a.err))
	case a.Status == http.StatusBadRequest:
		r.differs("the directory does not take the relay's look-ups; set directory: off for the connection, and write sender rules for aliases")
	default:
		r.fault(p.remedy(a.err))
	}
}

// longAddress looks for an address of 130 characters, for which the relay does not ask.
func (p *Probe) longAddress(ctx context.Context, r *Result) {
	domain := "@" + p.addressDomain()
	long := "missing-" + strings.Repeat("x", max(130-len("missing-"+domain), 1)) + domain
	_, found, a := p.findBy(ctx, "mail eq '"+quote(long)+"'", long)
	r.saw("130 characters: %s, %s", a, map[bool]string{true: "found", false: "nothing"}[found])
	switch {
	case found:
		r.differs("the directory has found an address that nobody has; set directory: off for the connection")
	case a.is(http.StatusBadRequest):
		p.facts.set(factLongAddress, a.Status)
	case a.err != nil:
		r.differs("set directory: off for the connection, if such answers come for short addresses too")
	}
}

// find looks for a user by an address: with several conditions, or with each of them if that is
// refused.
func (p *Probe) find(ctx context.Context, r *Result, address string) (directoryUser, bool, answer) {
	q := quote(address)
	conditions := []string{"userPrincipalName eq '" + q + "'", "mail eq '" + q + "'", "proxyAddresses/any(p:p eq 'smtp:" + q + "')", "proxyAddresses/any(p:p eq 'SMTP:" + q + "')"}
	u, found, a := p.findBy(ctx, strings.Join(conditions, " or "), address)
	if !a.is(http.StatusBadRequest) {
		return u, found, a
	}
	refused := a
	for _, condition := range conditions {
		if u, found, a = p.findBy(ctx, condition, address); found || a.err != nil {
			break
		}
	}
	if a.err == nil {
		p.facts.set(factNoUserOr, true)
		r.saw("several conditions in one request: %s", refused)
		r.differs("nothing to set; the relay asks for each condition")
	}
	return u, found, a
}

func (p *Probe) findBy(ctx context.Context, filter, address string) (directoryUser, bool, answer) {
	a := p.do(ctx, graph.RawRequest{Op: "find_user", Method: http.MethodGet, Path: "/users",
		Query: url.Values{"$filter": {filter}, "$select": {"id,userPrincipalName,mail,proxyAddresses"}, "$top": {"5"}}}, nil)
	var list struct {
		Value []directoryUser `json:"value"`
	}
	a.wantList(a.decode(&list) && list.Value != nil)
	i := slices.IndexFunc(list.Value, func(u directoryUser) bool { return u.has(address) && u.ID != "" })
	if i < 0 {
		return directoryUser{}, false, a
	}
	return list.Value[i], true, a
}

func quote(s string) string { return strings.ReplaceAll(s, "'", "''") }

// keys is step 3.
func (p *Probe) keys(ctx context.Context, r *Result) {
	if !p.o.Connection.MailReadWrite && !p.o.Config.WatchesReports(p.o.Connection) {
		p.key = p.o.Mailbox
		p.has[mailbox] = true
		r.skip(missing(writes) + ", and not into them either")
		return
	}
	byAddress := p.look(ctx, p.o.Mailbox)
	r.by(byAddress)
	r.saw("by address: %s", byAddress)
	p.try(p.o.Mailbox, byAddress)
	others := []struct{ name, key string }{{"by user principal name", p.upn}, {"by object ID", p.objectID}}
	if p.upn != "" && mailaddr.Same(p.upn, p.o.Mailbox) {
		others = others[1:]
	}
	for _, o := range others {
		if o.key == "" {
			r.saw("%s: not known", o.name)
			continue
		}
		a := p.look(ctx, o.key)
		r.saw("%s: %s", o.name, a)
		p.try(o.key, a)
		if a.err != nil && byAddress.err == nil {
			r.differs("this key is not known to Graph; the relay uses one that is, so nothing has to be set")
		}
	}
	if byAddress.err == nil {
		return
	}
	p.noteMailbox(byAddress)
	if p.has[mailbox] {
		p.facts.set(factAddressIsNoKey, true)
		r.differs("grant the application User.Read.All, so that the relay finds the object ID; or name the user principal name as mailbox in a sender rule")
		return
	}
	r.fault(p.remedy(byAddress.err))
	if p.objectID == "" && graph.MailboxUnknown(byAddress.err) {
		r.advise("if the address differs from the user principal name, grant the application User.Read.All, or name the user principal name as mailbox in a sender rule")
	}
}

// look makes a request to the mailbox with this key.
func (p *Probe) look(ctx context.Context, key string) answer {
	a := p.do(ctx, graph.RawRequest{Op: "probe", Method: http.MethodGet, Path: "/users/" + url.PathEscape(key) + "/messages",
		Query: url.Values{"$select": {"id"}, "$top": {"1"}}}, nil)
	var list struct {
		Value []item `json:"value"`
	}
	a.wantList(a.decode(&list) && list.Value != nil)
	return a
}

// try makes a key the one that is used. The object ID comes last and is preferred, as by the
// relay, except where the tokens are kept by address.
func (p *Probe) try(key string, a answer) {
	if a.err == nil && (!p.has[mailbox] || !p.delegated()) {
		p.key, p.has[mailbox] = key, true
	}
}

// noteMailbox notes why a mailbox does not answer.
func (p *Probe) noteMailbox(a answer) {
	switch e := asError(a.err); {
	case e.Code == "ErrorInvalidUser":
		p.facts.set(factAddressIsNoKey, true)
	case e.Code == "ResourceNotFound":
		p.facts.set(factElsewhere, true)
	case e.Code == "ErrorMailboxMoveInProgress":
		p.facts.set(factMoving, e.Status)
	case e.Status == http.StatusForbidden && strings.Contains(e.Message, "[RAOP]"):
		p.facts.set(factDenied, "policy")
	case e.Status == http.StatusForbidden && p.delegated():
		p.facts.set(factSharedScopes, !p.shared && p.foreign)
	case e.Status == http.StatusForbidden:
		p.facts.set(factDenied, "rights")
	}
}
