package simulator

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a list shows at most, and how many messages a search reads, newest first.
const (
	pageMessages  = 50
	pageAddresses = 200
	pageSearched  = 10_000
)

// listView is a list of messages: all that were sent, or those in a folder of an address.
type listView struct {
	Title           string
	Address, Folder string
	Query           string
	URL, Unsearched string
	AllMail         int
	Addresses       []addressRow
	MoreAddresses   int // that are not shown
	Folders         []folderTab
	Rows            []messageRow
	Total           int
	Newer, Older    string
	CanDelete       bool
}

type addressRow struct {
	Address string
	Count   int
	Current bool
}

type folderTab struct {
	Name    string
	Count   int
	Current bool
}

// messageRow is a message in a list.
type messageRow struct {
	Path, Who, Subject, Preview, State string
	Time                               time.Time
	Files                              int
	Size                               int64
}

// entry is a message that a list may show: an item, or a copy that arrived at the address of the
// list. The simulator's mutex guards what it refers to.
type entry struct {
	item *item
	copy *arrival // nil: it is the item itself
	at   time.Time
}

// inList is a message of a list. It shares what it refers to with the item, which is not changed
// in place.
type inList struct {
	Message
	at time.Time
}

// message returns the message as the address of the list has it. The caller holds s.mu.
func (e entry) message(in string) inList {
	if e.copy != nil && in != "" {
		return inList{e.copy.asReceived(in), e.at}
	}
	return inList{e.item.Message, e.at}
}

// listPath returns the path of a list.
func listPath(in, folder string) string {
	if in == "" {
		return "/"
	}
	q := url.Values{"in": {in}}
	if folder != "" {
		q.Set("folder", folder)
	}
	return "/?" + q.Encode()
}

// MessagePath returns the path of the page of a message that was sent, by its immutable id.
func MessagePath(id string) string { return "/message?" + url.Values{"id": {id}}.Encode() }

// messagePath returns the path of the page of a message as an address has it in a folder.
func messagePath(in, folder, id string) string {
	return "/message?" + url.Values{"in": {in}, "folder": {folder}, "id": {id}}.Encode()
}

// pageFolders are the folders of an address in the order in which they are shown. Others are
// shown if they have messages.
var pageFolders = []string{Inbox, SentItems, Drafts, JunkEmail, DeletedItems, RecoverableItems, Purges}

func (p *pages) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := listView{
		Title: "All mail", Query: q.Get("q"), URL: r.URL.RequestURI(), CanDelete: onLoopback(r),
		Address: strings.ToLower(cmp.Or(q.Get("in"), q.Get("mailbox"))),
	}
	number, _ := strconv.Atoi(q.Get("page"))
	number = min(max(number, 1), 1_000_000)
	wanted := parseSearch(v.Query)
	p.mu.Lock()
	v.fillAddresses(p.Simulator)
	if v.Address != "" {
		v.Title = v.Address
		v.fillFolders(p.Simulator, q.Get("folder"))
	}
	all := p.listed(v.Address, v.Folder)
	v.Total = len(all)
	if len(wanted) == 0 {
		all = all[min((number-1)*pageMessages, len(all)):min(number*pageMessages, len(all))]
	} else {
		all = all[:min(pageSearched, len(all))]
	}
	shown := make([]inList, len(all))
	for n, e := range all {
		shown[n] = e.message(v.Address)
	}
	p.mu.Unlock()
	if len(wanted) > 0 {
		shown = slices.DeleteFunc(shown, func(m inList) bool { return !wanted.finds(&m.Message) })
		v.Total = len(shown)
		shown = shown[min((number-1)*pageMessages, len(shown)):min(number*pageMessages, len(shown))]
	}
	for _, m := range shown {
		v.Rows = append(v.Rows, v.row(m))
	}
	v.linkPages(number)
	v.Unsearched = listPath(v.Address, v.Folder)
	p.show(w, r, "list", frame{Title: v.Title, AtMail: true, View: v})
}

// fillAddresses lists the mailboxes and the recipients, with how many messages each has. The
// caller holds s.mu.
func (v *listView) fillAddresses(s *Simulator) {
	counts := map[string]int{}
	for _, a := range s.arrivals {
		for _, to := range a.to {
			counts[to]++
		}
	}
	for address, box := range s.mailboxes {
		if len(box.byImmutable) > 0 {
			counts[address] += len(box.byImmutable)
		}
	}
	v.AllMail = len(s.arrivals)
	for _, address := range slices.Sorted(maps.Keys(counts)) {
		if len(v.Addresses) == pageAddresses && address != v.Address {
			v.MoreAddresses++
			continue
		}
		v.Addresses = append(v.Addresses, addressRow{address, counts[address], address == v.Address})
	}
}

// fillFolders lists the folders of the address, and chooses one: wanted or, if it is "", the
// first that has messages. The caller holds s.mu.
func (v *listView) fillFolders(s *Simulator, wanted string) {
	counts := map[string]int{Inbox: len(s.arrived(v.Address))}
	box, ok := s.mailboxes[v.Address]
	if ok {
		for _, i := range box.byImmutable {
			counts[i.Folder]++
		}
	}
	v.Folder = wanted
	for _, name := range pageFolders {
		if v.Folder == "" && counts[name] > 0 {
			v.Folder = name
		}
	}
	v.Folder = cmp.Or(v.Folder, Inbox)
	for _, name := range pageFolders {
		if counts[name] > 0 || name == Inbox || ok && (name == SentItems || name == Drafts) || name == v.Folder {
			v.Folders = append(v.Folders, folderTab{name, counts[name], name == v.Folder})
		}
	}
}

// listed returns the messages of a list, newest first. The caller holds s.mu.
func (s *Simulator) listed(in, folder string) (all []entry) {
	if in == "" || folder == Inbox {
		for _, a := range s.arrived(in) {
			all = append(all, entry{a.item, a, a.at})
		}
	}
	if box, ok := s.mailboxes[in]; ok {
		for _, i := range box.byImmutable {
			if i.Folder == folder {
				all = append(all, entry{item: i, at: i.sentOrCreated()})
			}
		}
		slices.SortFunc(all, func(a, b entry) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.item.ID, b.item.ID)) })
	}
	return all
}

// linkPages adds the links to newer and older messages than those of the page.
func (v *listView) linkPages(number int) {
	page := func(number int) string {
		q := url.Values{"page": {strconv.Itoa(number)}}
		for name, value := range map[string]string{"in": v.Address, "folder": v.Folder, "q": v.Query} {
			if value != "" {
				q.Set(name, value)
			}
		}
		return "/?" + q.Encode()
	}
	if number > 1 {
		v.Newer = page(number - 1)
	}
	if number*pageMessages < v.Total {
		v.Older = page(number + 1)
	}
}

func (v *listView) row(m inList) messageRow {
	row := messageRow{
		Path: messagePath(v.Address, v.Folder, m.ID), Subject: m.Subject, Preview: m.preview(), Time: m.at, Files: len(m.Attachments),
		Size: (&item{Message: m.Message}).size(),
	}
	if from := m.From; from != nil && (v.Folder == "" || v.Folder == Inbox || v.Folder == JunkEmail) {
		row.Who = cmp.Or(from.Name, from.Address)
	} else if list := m.Recipients(); len(list) > 3 {
		row.Who = "To " + strings.Join(list[:3], ", ") + " and " + strconv.Itoa(len(list)-3) + " more"
	} else if len(list) > 0 {
		row.Who = "To " + strings.Join(list, ", ")
	}
	if m.inFlight() {
		row.State = "being sent"
	}
	return row
}

// preview returns the beginning of the text as people read it.
func (m inList) preview() string {
	body := Body{"text", m.Body.Content[:min(len(m.Body.Content), 4096)]}
	if m.Body.ContentType == "html" {
		body.Content = htmlText(body.Content)
	}
	return bodyPreview(body)
}
