package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"graphrelay/relay/operations"
	"graphrelay/relay/operators"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// messagesPage searches the messages.
func messagesPage() page {
	return page{path: "messages", name: "Messages", file: "messages.html", view: (*Console).messages}
}

const (
	// listed is how many messages a page has.
	listed = 50
	// searchTime is how long a page looks for them. What it has not looked at then, the next
	// page does.
	searchTime = 60 * time.Millisecond
	// maxRounds is how often a search that has found nothing goes on by itself.
	maxRounds = 100
)

type messagesView struct {
	search
	Clear    string // the link of the search for everything
	States   []choice[queue.State]
	Reasons  []choice[reason.Reason]
	Detailed bool // it looks for more than a text and states
	Messages []operations.Message
	Fields   []field
	Back     string // the link of this page

	Live     bool      // it is the first page, which shows new messages as they come
	Newest   string    // the link of the first page; empty: it is this
	Newer    string    // the link of the page before; empty: there is none
	Older    string    // the link of the page that comes next; empty: there is none
	On       string    // the link with which the search goes on, if its time was over
	LookedTo time.Time // up to when it has looked then
	Further  bool      // it goes on by itself
}

func (c *Console) messages(r *http.Request) (any, error) {
	s, err := parseSearch(r.URL.Query(), c.now())
	if err != nil {
		return nil, err
	}
	s.Round, _ = strconv.Atoi(r.URL.Query().Get("round"))
	v := messagesView{search: s, Clear: messagesURL, Fields: s.fields(), States: choices(queue.States(), s.States), Reasons: choices(reason.OfMessages(), s.Reasons),
		Live: s.After == "" && s.Newer == "", Back: r.URL.RequestURI()}
	v.Detailed = len(s.Reasons) > 0 || s.From+s.To+s.Subject+s.User+s.Client+s.Lane+s.Since+s.Before != ""
	f := s.filter
	f.Limit, f.After = listed+1, s.After
	if s.Newer != "" {
		f.Newest, f.After = false, s.Newer
	}
	found, err := c.cfg.Ops.Search(r.Context(), f, c.searchTime)
	if err != nil {
		return nil, err
	}
	v.page(found, s)
	return v, nil
}

// page sets the messages and the links to the other pages.
func (v *messagesView) page(found operations.Found, s search) {
	v.Messages = found.Messages[:min(len(found.Messages), listed)]
	more := len(found.Messages) > listed
	forward := s.Newer == ""
	if !forward {
		slices.Reverse(v.Messages)
	}
	if !v.Live {
		v.Newest = s.url()
	}
	if n := len(v.Messages); n > 0 {
		if forward && more || !forward {
			v.Older = s.url("after", v.Messages[n-1].ID)
		}
		if forward && !v.Live || !forward && more {
			v.Newer = s.url("newer", v.Messages[0].ID)
		}
	}
	if found.Looked == "" {
		return
	}
	v.LookedTo = queue.IDTime(found.Looked)
	way := "after"
	if !forward {
		way = "newer"
	}
	v.On = s.url(way, found.Looked, "round", strconv.Itoa(s.Round+1))
	v.Further = len(v.Messages) == 0 && s.Round < maxRounds
	v.Live = v.Live && len(v.Messages) > 0
}

// actionNames are what the buttons of the pages say.
var actionNames = map[queue.Action]string{queue.Hold: "Hold", queue.Release: "Release", queue.Retry: "Try now", queue.Delete: "Delete"}

// selection is what an action is asked for: messages that are named, or all that a search selects.
type selection struct {
	action queue.Action
	ids    []string
	all    bool
	search search
}

// maxNamedIDs bounds the messages that are named, as the API does: those of one page, or of one that
// has grown. A URL names them too, for which the server has 16 KiB.
const maxNamedIDs = 500

func (c *Console) parseSelection(v url.Values) (s selection, err error) {
	s = selection{action: queue.Action(v.Get("action")), ids: v["id"], all: v.Get("scope") == "all"}
	if s.search, err = parseSearch(v, c.now()); err != nil {
		return s, err
	}
	if s.all {
		s.ids = nil
	}
	switch {
	case actionNames[s.action] == "" && s.action != "export":
		return s, fault{http.StatusBadRequest, "There is no such action."}
	case !s.all && len(s.ids) == 0:
		return s, fault{http.StatusBadRequest, "No message is selected. Tick messages in the list, or choose all that the search selects."}
	case len(s.ids) > maxNamedIDs:
		return s, fault{http.StatusBadRequest, "Too many messages are named; choose all that a search selects."}
	}
	return s, nil
}

// values returns the selection as the query of a URL.
func (s selection) values() url.Values {
	v := s.search.query()
	v.Set("action", string(s.action))
	for _, id := range s.ids {
		v.Add("id", id)
	}
	if s.all {
		v.Set("scope", "all")
	}
	return v
}

type confirmView struct {
	Action string // the name of the button
	Delete bool
	Count  int64 // messages that would be changed
	Passed int   // of those that are named, for which it is not possible
	Twice  int64 // of which recipients may get them a second time
	Fields []field
	Back   string
}

// PageTitle implements titled.
func (v confirmView) PageTitle() string {
	return v.Action + " " + plural(v.Count, "message", "messages") + "?"
}

// confirmPage asks before an action on many messages, a deletion, and what may deliver a message twice.
func confirmPage() page {
	return page{path: "messages/confirm", within: "messages", file: "confirm.html", view: (*Console).confirm}
}

func (c *Console) confirm(r *http.Request) (any, error) {
	if operators.Of(r.Context()).Role < operators.Operator {
		return nil, fault{http.StatusForbidden, "Actions on messages are for operators. You have the role viewer."}
	}
	q := r.URL.Query()
	s, err := c.parseSelection(q)
	if err == nil && actionNames[s.action] == "" {
		err = fault{http.StatusBadRequest, "This action is carried out without being asked again."}
	}
	if err != nil {
		return nil, err
	}
	v := confirmView{Action: actionNames[s.action], Delete: s.action == queue.Delete, Back: q.Get("back")}
	if !local(v.Back) {
		v.Back = s.search.url()
	}
	for name, values := range s.values() {
		for _, value := range values {
			v.Fields = append(v.Fields, field{name, value})
		}
	}
	if v.Twice, err = c.twice(r.Context(), s); err != nil {
		return nil, err
	}
	if s.all {
		v.Count, err = c.cfg.Ops.ActAll(r.Context(), by(r), s.action, s.search.filter, true)
		if errors.Is(err, queue.ErrState) { // for none, which the page says
			err = nil
		}
		return v, err
	}
	results, err := c.cfg.Ops.Act(r.Context(), by(r), s.action, s.ids, true)
	for _, x := range results {
		if x.Err == nil {
			v.Count++
		} else {
			v.Passed++
		}
	}
	return v, err
}

// twice returns how many messages of a selection the action may deliver a second time: those that
// are held because it is not known whether they were sent. The others are looked for in the mailbox
// before they are sent.
func (c *Console) twice(ctx context.Context, s selection) (n int64, err error) {
	if s.action != queue.Release && s.action != queue.Retry {
		return 0, nil
	}
	var f queue.Filter
	if s.all {
		f = s.search.filter
	}
	if !selects(f.States, queue.Held) || !selects(f.Reasons, reason.SendUnknown) {
		return 0, nil
	}
	f.States, f.Reasons = []queue.State{queue.Held}, []reason.Reason{reason.SendUnknown}
	all, err := c.cfg.Ops.Count(ctx, f)
	if s.all || err != nil || all == 0 {
		return all, err
	}
	for _, id := range s.ids {
		m, err := c.cfg.Ops.Message(ctx, id)
		if err == nil && m.State == queue.Held && m.Reason == reason.SendUnknown {
			n++
		}
	}
	return n, ctx.Err()
}

// selects reports whether a list of a filter selects x.
func selects[T comparable](list []T, x T) bool { return len(list) == 0 || slices.Contains(list, x) }

// asks reports whether the action is carried out only after the person was asked once more.
func (c *Console) asks(ctx context.Context, s selection) (bool, error) {
	if s.all || s.action == queue.Delete {
		return true, nil
	}
	n, err := c.twice(ctx, s)
	return n > 0, err
}

// actOnMessages carries out an action on a selection, or asks first.
func (c *Console) actOnMessages(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		c.showError(w, r, fault{http.StatusBadRequest, "The form cannot be read: " + err.Error()})
		return
	}
	s, err := c.parseSelection(r.PostForm)
	if err == nil && s.action == "export" {
		http.Redirect(w, r, messagesURL+"/export.zip?"+s.values().Encode(), http.StatusSeeOther)
		return
	}
	back := r.PostForm.Get("back")
	if !local(back) {
		back = s.search.url()
	}
	ask := false
	if err == nil && r.PostForm.Get("confirmed") == "" {
		ask, err = c.asks(r.Context(), s)
	}
	if ask {
		v := s.values()
		v.Set("back", back)
		http.Redirect(w, r, messagesURL+"/confirm?"+v.Encode(), http.StatusSeeOther)
		return
	}
	res := result{at: c.now()}
	if err == nil {
		res.Text, err = c.carryOut(r, s)
	}
	if err != nil {
		res.Text, res.Failed = errorText(err), true
	}
	c.putResult(w, res)
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// done says what was done to messages.
var done = map[queue.Action]string{queue.Hold: "held", queue.Release: "released", queue.Retry: "queued to be tried now", queue.Delete: "deleted"}

func (c *Console) carryOut(r *http.Request, s selection) (text string, err error) {
	var n int64
	var failed []operations.Result
	if s.all {
		n, err = c.cfg.Ops.ActAll(r.Context(), by(r), s.action, s.search.filter, false)
	} else {
		var results []operations.Result
		results, err = c.cfg.Ops.Act(r.Context(), by(r), s.action, s.ids, false)
		for _, x := range results {
			if x.Err != nil {
				failed = append(failed, x)
			}
		}
		n = int64(len(results) - len(failed))
	}
	if err == nil && n == 0 && len(failed) > 0 {
		return "", fault{http.StatusConflict, failed[0].ID + ": " + failed[0].Err.Error()}
	}
	verb := " were "
	if n == 1 {
		verb = " was "
	}
	text = plural(n, "message", "messages") + verb + done[s.action] + "."
	if len(failed) > 0 {
		text += " For " + strconv.Itoa(len(failed)) + " that was not possible, such as " + failed[0].ID + ": " + failed[0].Err.Error() + "."
	}
	if err != nil {
		return "", fault{http.StatusInternalServerError, text + " Then it failed: " + err.Error()}
	}
	return text, nil
}
