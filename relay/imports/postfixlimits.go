package imports

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// users carries over who may send as whom, where Postfix says so. Their passwords are elsewhere.
func (p *postfix) users() {
	if !slices.ContainsFunc(p.Listeners, func(l listener) bool { return l.Auth != "none" }) {
		return
	}
	hash, err := p.hash(rand.Text()) // that nobody knows
	if err != nil {
		return
	}
	for _, e := range p.tables("smtpd_sender_login_maps") {
		match := e.key
		if strings.HasPrefix(match, "@") {
			match = "*" + match
		}
		for _, name := range words(e.value) {
			if len(p.Users) >= maxUsers || !pattern(match) {
				continue
			}
			n := slices.IndexFunc(p.Users, func(u user) bool { return u.Name == name })
			if n < 0 {
				p.Users = append(p.Users, user{Name: name, Hash: hash})
				n = len(p.Users) - 1
			}
			p.Users[n].Senders = append(p.Users[n].Senders, match)
		}
	}
	if len(p.Users) == 0 {
		p.Users = []user{{Name: "application", Hash: hash, Senders: []string{"*"}}}
		p.note("users: which users there are is not in Postfix's configuration; add each with a hash of graphrelay hash-password, and list its senders")
		return
	}
	p.note("users: passwords are not in Postfix's configuration; nobody knows the one here: make a hash for each user with graphrelay hash-password")
}

// limits carries over sizes, counts and times that are set.
func (p *postfix) limits() {
	if n, ok := p.count("message_size_limit"); ok {
		if n == 0 {
			n = 150 << 20
		}
		set(&p.Limits, "message_size", strconv.Itoa(min(max(n, 64<<10), 150<<20)))
	}
	if n, ok := p.count("smtpd_recipient_limit"); ok {
		set(&p.Limits, "recipients", strconv.Itoa(min(max(n, 1), 500)))
	}
	if n, ok := p.count("smtpd_client_connection_count_limit"); ok && n > 0 {
		set(&p.Limits, "connections_per_address", strconv.Itoa(min(n, 100_000)))
	}
	if n, ok := p.count("smtpd_client_connection_rate_limit"); ok && n > 0 {
		set(&p.Limits, "connections_per_minute", strconv.Itoa(min(n, 1_000_000)))
	}
	if n, ok := p.count("smtpd_client_message_rate_limit"); ok && n > 0 {
		set(&p.Rates, "address", fmt.Sprintf("{messages_per_minute: %d}", min(n, 1_000_000)))
	}
	giveUp, ok := p.seconds("maximal_queue_lifetime", 24*60*60)
	if ok {
		giveUp = min(max(giveUp, 1), 30*24*60*60)
		set(&p.Delivery, "give_up_after", fmt.Sprintf("%ds", giveUp))
	} else {
		giveUp = 48 * 60 * 60
		p.note("delivery: Postfix tries for five days unless maximal_queue_lifetime says otherwise; graphrelay for 48 hours (give_up_after)")
	}
	if warn, ok := p.seconds("delay_warning_time", 60*60); ok && warn > 0 {
		set(&p.Delivery, "warn_after", fmt.Sprintf("%ds", min(warn, giveUp)))
	}
}

// count returns the value of a parameter that is set to a number.
func (p *postfix) count(name string) (int, bool) {
	if _, ok := p.raw(name); !ok {
		return 0, false
	}
	n, err := strconv.Atoi(p.get(name))
	if err != nil || n < 0 {
		p.note("%s is not a number, and was left out", name)
		return 0, false
	}
	return min(n, 1<<40), true
}

// seconds returns the value of a parameter that is set to a time, whose unit may be given.
func (p *postfix) seconds(name string, unit int) (int, bool) {
	if _, ok := p.raw(name); !ok {
		return 0, false
	}
	value := p.get(name)
	units := map[byte]int{'s': 1, 'm': 60, 'h': 60 * 60, 'd': 24 * 60 * 60, 'w': 7 * 24 * 60 * 60}
	if value != "" {
		if u, ok := units[value[len(value)-1]]; ok {
			unit, value = u, value[:len(value)-1]
		}
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		p.note("%s is not a time, and was left out", name)
		return 0, false
	}
	return min(n, 1<<30) * unit, true
}

// noCounterpart are parameters that change what becomes of mail and that graphrelay has nothing
// for, with what to do instead.
var noCounterpart = []struct{ names, instead string }{
	{"always_bcc sender_bcc_maps recipient_bcc_maps", "have Exchange make the copies, with a rule for mail flow or a journal"},
	{"virtual_alias_maps alias_maps virtual_alias_domains recipient_canonical_maps", "recipients are not rewritten: make aliases in Exchange, or leave local mail to this Postfix"},
	{"transport_maps relay_domains fallback_relay", "all mail leaves by Microsoft 365; leave what must go elsewhere to Postfix"},
	{"header_checks body_checks mime_header_checks smtp_header_checks", "content is not filtered or changed; use rules for mail flow in Exchange"},
	{"content_filter smtpd_milters non_smtpd_milters smtpd_proxy_filter", "there are no filters; Microsoft 365 scans what leaves"},
	{"smtpd_sender_restrictions", "who may send as whom is in senders of each user"},
	{"smtpd_upstream_proxy_protocol postscreen_upstream_proxy_protocol", "list the load balancers in proxy_networks of the listener"},
	{"smtpd_tls_CAfile smtpd_tls_CApath relay_clientcerts", "clients with certificates: client_ca_file of the listener, and certificate of the user"},
}

// leftOut notes what was left out.
func (p *postfix) leftOut() {
	for _, n := range noCounterpart {
		var used []string
		for name := range strings.FieldsSeq(n.names) {
			if p.get(name) != "" {
				used = append(used, name)
			}
		}
		if len(used) > 0 {
			p.note("left out: %s; %s", strings.Join(used, ", "), n.instead)
		}
	}
	p.note("let Postfix empty its queue before you stop it (postqueue -p); local mail, such as cron's, then needs another sendmail: graphrelay has one (docs/sendmail.md)")
}
