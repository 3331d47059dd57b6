package operations

import (
	"time"

	"graphrelay/relay/delivery/graphmail"
	"graphrelay/relay/queue"
	"graphrelay/relay/reason"
)

// LaneName is the name of a lane.
type LaneName struct {
	Connection string `json:"connection" doc:"The connection, or connection+principal where a client's own credential is used."`
	Mailbox    string `json:"mailbox" doc:"The address of the mailbox. It is empty for all lanes of the connection or principal."`
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
	ID         string          `json:"id" doc:"The queue ID."`
	State      queue.State     `json:"state" enum:"queued,delivering,deferred,held,sent,returned,failed,deleted" doc:"The state in the message's life."`
	Received   time.Time       `json:"received" doc:"When the message was received."`
	Size       int64           `json:"size" doc:"How many bytes are stored."`
	From       string          `json:"envelope_from" doc:"The envelope's sender (MAIL FROM). It is empty for a bounce."`
	To         []string        `json:"envelope_to" doc:"The envelope's recipients (RCPT TO)."`
	DSN        queue.DSN       `json:"dsn,omitzero" doc:"What the client asked about notifications (RFC 3461)."`
	Lane       LaneName        `json:"lane" doc:"The lane that delivers the message."`
	HeaderFrom string          `json:"from" doc:"The address that is shown as From. If it is empty, that is the header's own."`
	Subject    string          `json:"subject,omitempty" doc:"The subject."`
	MessageID  string          `json:"message_id,omitempty" doc:"The Message-ID."`
	Listener   string          `json:"listener" doc:"The listener that received the message."`
	User       string          `json:"user,omitempty" doc:"The SMTP user. It is missing if the client did not sign in."`
	Client     string          `json:"client" doc:"The IP address of the client. It is empty for a message of the relay's own."`
	Reception  queue.Reception `json:"reception,omitzero" doc:"How the client handed the message in. Lists do not have it."`
	Due        *time.Time      `json:"due,omitempty" doc:"When a message that waits is to be tried."`
	Paused     *time.Time      `json:"paused_until,omitempty" doc:"Until when the message waits because its lane is paused. The year 9999 stands for no end."`
	Reason     reason.Reason   `json:"reason,omitempty" doc:"Why the message waits or has ended; docs/operations.md lists the reasons."`
	Detail     string          `json:"detail,omitempty" doc:"More about the reason."`
	Attempts   int             `json:"attempts" doc:"How often delivery was tried."`
	Finished   *time.Time      `json:"finished,omitempty" doc:"When the message ended."`
	Path       string          `json:"path,omitempty" doc:"The way to Graph: draft, mime or sendmail."`
	Draft      string          `json:"draft,omitempty" doc:"The immutable ID of the draft in the mailbox."`
	Attached   int             `json:"attached,omitempty" doc:"How many attachments the draft has so far."`
	Uploaded   int64           `json:"uploaded,omitempty" doc:"How many bytes of the next attachment are uploaded."`
	UploadSize int64           `json:"upload_size,omitempty" doc:"How many bytes that attachment has, while it is uploaded."`
	HasContent bool            `json:"has_content" doc:"The content of the message is kept."`
	Refused    []string        `json:"refused,omitempty" doc:"The recipients that Graph refused: the message goes to the others."`
	MayBeSent  bool            `json:"may_be_sent,omitempty" doc:"The message is held, and it is not known whether it was sent before. Sending it again may deliver it twice."`
	Returns    []queue.Return  `json:"returns,omitempty" doc:"What non-delivery reports said."`
	Events     []queue.Event   `json:"events,omitzero" doc:"The history. Lists do not have it."`
}

// MessageOf returns a message as operators see it, without its events.
func MessageOf(r queue.Record) Message {
	steps := graphmail.StepsOf(r.Progress)
	m := Message{
		ID: r.ID, State: r.State, Received: r.Received, Size: r.Size, From: r.Envelope.From, To: r.Envelope.To, DSN: r.Envelope.DSN,
		Lane: NameOf(r.Lane), HeaderFrom: r.From, Subject: r.Subject, MessageID: r.MessageID, Listener: r.Listener, User: r.User,
		Client: r.Client, Reception: r.Reception, Paused: timeOf(r.PausedUntil), Reason: r.Reason, Detail: r.Detail, Attempts: r.Attempts, Finished: timeOf(r.Finished),
		Path: steps.Path, Draft: steps.DraftID, Attached: steps.Attached, Uploaded: steps.Uploaded, UploadSize: steps.UploadSize,
		HasContent: r.HasContent, Refused: steps.Refused, Returns: r.Returns,
	}
	m.MayBeSent = r.State == queue.Held && (r.Reason == reason.SendUnknown || r.Progress.InDoubt)
	if r.State == queue.Queued || r.State == queue.Deferred {
		m.Due = &r.Due
	}
	return m
}

// Lane is a lane, or all lanes of a connection or a principal, which have no Messages but may be
// paused.
type Lane struct {
	Lane        LaneName              `json:"lane" doc:"The name of the lane."`
	Messages    map[queue.State]int64 `json:"messages" doc:"How many messages are in each state, of those that have not ended."`
	Oldest      *time.Time            `json:"oldest,omitempty" doc:"When the oldest of them was received."`
	PausedUntil *time.Time            `json:"paused_until,omitempty" doc:"The end of the pause. The year 9999 stands for no end."`
	PausedFor   reason.Reason         `json:"paused_for,omitempty" doc:"Why the lane is paused: operator, or a reason of Graph's."`
}

func laneOf(l queue.LaneStatus) Lane {
	return Lane{Lane: NameOf(l.Lane), Messages: l.Messages, Oldest: timeOf(l.Oldest), PausedUntil: timeOf(l.PausedUntil), PausedFor: l.PausedFor}
}

// Node is a relay that works on the queue.
type Node struct {
	Name       string          `json:"name" doc:"The name of the relay (queue.node)."`
	ID         string          `json:"id" doc:"The ID of the process."`
	State      queue.NodeState `json:"state" enum:"live,draining,gone" doc:"Whether it works, takes no more lanes, or was not seen for longer than its lease."`
	Version    string          `json:"version,omitempty" doc:"The version of graphrelay."`
	Started    *time.Time      `json:"started,omitempty" doc:"When it started."`
	Seen       time.Time       `json:"seen" doc:"When it was last seen."`
	Lanes      int             `json:"lanes" doc:"How many lanes are its own."`
	Delivering int             `json:"delivering" doc:"How many messages it delivers."`
	Config     string          `json:"config,omitempty" doc:"A digest of what the configurations of all nodes have to agree on."`
	Differs    bool            `json:"config_differs" doc:"The nodes do not agree."`
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
