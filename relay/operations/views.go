package operations

import (
	"time"

	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// LaneName is the name of a lane.
type LaneName struct {
	Connection string `json:"connection"` // "connection", or "connection+principal"
	Mailbox    string `json:"mailbox"`    // empty: all lanes of the connection or principal
}

// NameOf returns the name of a lane.
func NameOf(l queue.Lane) LaneName { return LaneName{l.Whole().String(), l.Mailbox} }

// Lane returns the lane that has the name.
func (n LaneName) Lane() queue.Lane {
	l := queue.ParseLane(n.Connection)
	l.Mailbox = n.Mailbox
	return l
}

// String returns the name as queue.Lane does.
func (n LaneName) String() string { return n.Lane().String() }

// Message is a message of the queue. It has no upload URL, which carries a token.
type Message struct {
	ID         string         `json:"id"`
	State      queue.State    `json:"state"`
	Received   time.Time      `json:"received"`
	Size       int64          `json:"size"` // bytes as stored
	From       string         `json:"envelope_from"`
	To         []string       `json:"envelope_to"`
	DSN        queue.DSN      `json:"dsn,omitzero"` // RFC 3461
	Lane       LaneName       `json:"lane"`
	HeaderFrom string         `json:"from"`
	Subject    string         `json:"subject,omitempty"`
	MessageID  string         `json:"message_id,omitempty"`
	Listener   string         `json:"listener"`
	User       string         `json:"user,omitempty"`
	Client     string         `json:"client"`        // IP address; empty if it is the relay's own
	Due        *time.Time     `json:"due,omitempty"` // of one that waits
	Paused     *time.Time     `json:"paused_until,omitempty"`
	Reason     reason.Reason  `json:"reason,omitempty"`
	Detail     string         `json:"detail,omitempty"`
	Attempts   int            `json:"attempts"`
	Finished   *time.Time     `json:"finished,omitempty"`
	Path       string         `json:"path,omitempty"`
	Draft      string         `json:"draft,omitempty"`
	Attached   int            `json:"attached,omitempty"`    // files that the draft has
	Uploaded   int64          `json:"uploaded,omitempty"`    // bytes of the next file that are uploaded
	UploadSize int64          `json:"upload_size,omitempty"` // bytes of that file, while it is uploaded
	HasContent bool           `json:"has_content"`
	Returns    []queue.Return `json:"returns,omitempty"` // of non-delivery reports
	Events     []queue.Event  `json:"events,omitzero"`   // its history; nil in lists
}

// MessageOf returns a message as operators see it, without its events.
func MessageOf(r queue.Record) Message {
	steps := graphmail.StepsOf(r.Progress)
	m := Message{
		ID: r.ID, State: r.State, Received: r.Received, Size: r.Size, From: r.Envelope.From, To: r.Envelope.To, DSN: r.Envelope.DSN,
		Lane: NameOf(r.Lane), HeaderFrom: r.From, Subject: r.Subject, MessageID: r.MessageID, Listener: r.Listener, User: r.User,
		Client: r.Client, Paused: timeOf(r.PausedUntil), Reason: r.Reason, Detail: r.Detail, Attempts: r.Attempts, Finished: timeOf(r.Finished),
		Path: steps.Path, Draft: steps.DraftID, Attached: steps.Attached, Uploaded: steps.Uploaded, UploadSize: steps.UploadSize,
		HasContent: r.HasContent, Returns: r.Returns,
	}
	if r.State == queue.Queued || r.State == queue.Deferred {
		m.Due = &r.Due
	}
	return m
}

// Lane is a lane, or all lanes of a connection or a principal, which have no Messages but may be
// paused.
type Lane struct {
	Lane        LaneName              `json:"lane"`
	Messages    map[queue.State]int64 `json:"messages"`
	Oldest      *time.Time            `json:"oldest,omitempty"`
	PausedUntil *time.Time            `json:"paused_until,omitempty"`
	PausedFor   reason.Reason         `json:"paused_for,omitempty"`
}

func laneOf(l queue.LaneStatus) Lane {
	return Lane{Lane: NameOf(l.Lane), Messages: l.Messages, Oldest: timeOf(l.Oldest), PausedUntil: timeOf(l.PausedUntil), PausedFor: l.PausedFor}
}

// Node is a relay that works on the queue.
type Node struct {
	Name       string          `json:"name"`
	ID         string          `json:"id"`
	State      queue.NodeState `json:"state"`
	Version    string          `json:"version,omitempty"`
	Started    *time.Time      `json:"started,omitempty"`
	Seen       time.Time       `json:"seen"`
	Lanes      int             `json:"lanes"`
	Delivering int             `json:"delivering"`
	Config     string          `json:"config,omitempty"` // digest of what nodes have to agree on
	Differs    bool            `json:"config_differs"`   // the nodes do not agree
}

func nodesOf(list []queue.NodeStatus, now time.Time) []Node {
	differs := queue.ConfigsDiffer(list, now)
	nodes := make([]Node, 0, len(list))
	for _, n := range list {
		nodes = append(nodes, Node{Name: n.Name, ID: n.ID, State: n.State(now), Version: n.About.Version, Started: timeOf(n.About.Started),
			Seen: n.Seen, Lanes: n.Lanes, Delivering: n.Delivering, Config: n.About.Config, Differs: differs})
	}
	return nodes
}

// timeOf returns nil for the zero Time.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
