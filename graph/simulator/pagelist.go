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

// What a list shows at most.
const (
	pageMessages  = 50
	pageAddresses = 200
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

// inList is a message that a list may show. It shares what it refers to with the item, which is
// not changed in place.
type inList struct {
	Message
	at time.Time
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
	p.mu.Unlock()
	if len(wanted) > 0 {
		all = slices.DeleteFunc(all, func(m inList) bool { return !wanted.finds(&m.Message) })
	}
	v.Unsearched = listPath(v.Address, v.Folder)
	v.fillRows(all, number)
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
func (s *Simulator) listed(in, folder string) (all []inList) {
	if in == "" || folder == Inbox {
		for _, a := range s.arrived(in) {
			m := a.item.Message
			if in != "" {
				m = a.asReceived(in)
			}
			all = append(all, inList{m, a.at})
		}
	}
	if box, ok := s.mailboxes[in]; ok {
		for _, i := range box.byImmutable {
			if i.Folder == folder {
				all = append(all, inList{i.Message, i.sentOrCreated()})
			}
		}
		slices.SortStableFunc(all, func(a, b inList) int { return b.at.Compare(a.at) })
	}
	return all
}

// fillRows shows a page of the messages.
func (v *listView) fillRows(all []inList, number int) {
	v.Total = len(all)
	from := min((number-1)*pageMessages, len(all))
	to := min(from+pageMessages, len(all))
	for _, m := range all[from:to] {
		v.Rows = append(v.Rows, v.row(m))
	}
	page := func(number int) string {
		q := url.Values{"page": {strconv.Itoa(number)}}
		for name, value := range map[string]string{"in": v.Address, "folder": v.Folder, "q": v.Query} {
			if value != "" {
				q.Set(name, value)
			}
		}
		return "/?" + q.Encode()
	}
	if from > 0 {
		v.Newer = page(number - 1)
	}
	if to < len(all) {
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
