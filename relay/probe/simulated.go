package probe

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"graphrelay/graph/simulator"
)

// counterpart makes the simulator behave as a fact says. Its set is nil for a fact that follows
// from others or that the simulator cannot imitate; then why says which.
type counterpart struct {
	set func(o *simulator.Options, value any) error
	why string
}

// counterparts has the counterpart of each fact.
var counterparts = map[string]counterpart{
	factRights:         texts(func(o *simulator.Options, v []string) { app(o).Roles = append([]string{}, v...) }),
	factRBAC:           texts(func(o *simulator.Options, v []string) { app(o).RBAC = v }),
	factNoUserOr:       truth(func(o *simulator.Options) *bool { return &o.World.NoUserOr }),
	factLongAddress:    numeric(func(o *simulator.Options, _ int64) { o.World.UserValueLimit = 120 }),
	factAddressIsNoKey: truth(func(o *simulator.Options) *bool { return &o.World.AddressIsNoKey }),
	factElsewhere:      everyone(func(o *simulator.Options) *[]string { return &o.World.Elsewhere }),
	factMoving:         numeric(func(o *simulator.Options, v int64) { o.World.Moving, o.World.MoveStatus = []string{"*"}, int(v) }),
	factDenied: word(func(o *simulator.Options, v string) {
		o.World.Denied, o.World.DeniedByPolicy = []string{"*"}, v == "policy"
	}),
	factSharedScopes: truth(func(o *simulator.Options) *bool { return &o.World.SharedScopes }),
	factRecipients: word(func(o *simulator.Options, v string) {
		o.World.Unresolved, o.World.UnresolvedAtCreate = []string{"*"}, v == "create"
	}),
	factRefused:              texts(func(o *simulator.Options, v []string) { o.World.RefusedProperties = v }),
	factRefusedUnnamed:       truth(func(o *simulator.Options) *bool { return &o.World.RefusedUnnamed }),
	factDropped:              texts(func(o *simulator.Options, v []string) { o.World.DroppedProperties = v }),
	factAppear:               duration(func(o *simulator.Options) *time.Duration { return &o.World.AppearDelay }),
	factNewMessageIDOnCreate: truth(func(o *simulator.Options) *bool { return &o.World.NewMessageIDOnCreate }),
	factResolves:             truth(func(o *simulator.Options) *bool { return &o.World.ResolveRecipients }),
	factFilterLag:            duration(func(o *simulator.Options) *time.Duration { return &o.World.FilterLag }),
	factFilterIgnored:        truth(func(o *simulator.Options) *bool { return &o.World.FilterIgnored }),
	factFilterStatus:         numeric(func(o *simulator.Options, v int64) { o.World.FilterStatus = int(v) }),
	factWideFilterStatus:     numeric(func(o *simulator.Options, v int64) { o.World.WideFilterStatus = int(v) }),
	factExpandIgnored:        truth(func(o *simulator.Options) *bool { return &o.World.ExpandIgnored }),
	factPostLargest:          numeric(setPostLimit),
	factRequestLargest:       numeric(setRequestLimit),
	factSession:              numeric(setSession),
	factNoSharedSessions:     truth(func(o *simulator.Options) *bool { return &o.World.NoSharedSessions }),
	factRanges:               word(setRanges),
	factSessionState:         numeric(setSessionState),
	factSessionLoses:         texts(func(o *simulator.Options, _ []string) { o.World.SessionsLoseFields = true }),
	factFilesPage:            numeric(func(o *simulator.Options, v int64) { o.World.AttachmentsPage = int(v) }),
	factInFlight:             word(setInFlight),
	factFlags:                truth(func(o *simulator.Options) *bool { return &o.MessageFlags }),
	factSent:                 duration(func(o *simulator.Options) *time.Duration { return &o.SendDelay }),
	factNewIDOnSend:          truth(func(o *simulator.Options) *bool { return &o.World.NewIDOnSend }),
	factNewMessageIDOnSend:   truth(func(o *simulator.Options) *bool { return &o.World.NewMessageIDOnSend }),
	factSendLosesProperties:  truth(func(o *simulator.Options) *bool { return &o.World.SendLosesProperties }),
	factSendsAgain:           truth(func(o *simulator.Options) *bool { return &o.World.SendsAgain }),
	factJunk:                 truth(func(o *simulator.Options) *bool { return &o.World.CopyToJunk }),
	factCopyLoses:            texts(func(o *simulator.Options, v []string) { o.World.CopyLoses = append(o.World.CopyLoses, v...) }),
	factReplacesName:         truth(func(o *simulator.Options) *bool { return &o.World.ReplaceFromName }),
	factTNEF:                 truth(func(o *simulator.Options) *bool { return &o.World.CopyTNEF }),
	factRewritesAlias:        truth(func(o *simulator.Options) *bool { return &o.World.RewriteAlias }),
	factMIMERefused:          word(setMIMERefused),
	factMIMELosesBcc:         truth(func(o *simulator.Options) *bool { return &o.World.MIMELosesBcc }),
	factMIMEKeepsBcc:         truth(func(o *simulator.Options) *bool { return &o.World.MIMEKeepsBcc }),
	factMIMEMethod:           falsehood(func(o *simulator.Options) *bool { return &o.World.MIMELosesMethod }),
	factSendAs:               word(func(o *simulator.Options, v string) { o.World.SendAsOnly = v == "denied" }),
	factSavesAlways:          truth(func(o *simulator.Options) *bool { return &o.World.SavesAlways }),
	factDeleteTo:             word(func(o *simulator.Options, v string) { o.World.DeleteTo = v }),
	factPermanentDelete:      numeric(setPermanentDelete),
	factLargeRefused:         numeric(func(o *simulator.Options, v int64) { o.World.MessageSize = v - 1 }),
	factLargeAt:              word(func(o *simulator.Options, v string) { o.World.SizeAtAttachment = v == "attachment" }),
	factConcurrency:          numeric(func(o *simulator.Options, v int64) { o.Concurrency = int(v) }),
	factReturned:             texts(setReturned),

	factCreate:          {why: "follows from refused_properties, mailbox_denied and token_rights"},
	factSend:            {why: "follows from recipient_refused_at and token_rights"},
	factSecondSend:      {why: "is 400 in the simulator, unless sends_again is true"},
	factSendMail:        {why: "follows from token_rights"},
	factDirectory:       {why: "follows from token_rights"},
	factReadableDeleted: {why: "follows from delete_to"},
	factSecondDelete:    {why: "follows from delete_to"},
	factLargeAccepted:   {why: "follows from large_refused_bytes"},
	factMessageIDLost:   {why: "has no counterpart in the simulator"},
	factCopyParts:       {why: "has no counterpart in the simulator"},
	factUploadHost:      {why: "is the simulator's own"},
	factClock:           {why: "is of the machine that was used"},
	factRetryAfter:      {why: "is in seconds in the simulator"},
}

// app returns the application of the options.
func app(o *simulator.Options) *simulator.App {
	if len(o.Apps) == 0 {
		o.Apps = []simulator.App{{}}
	}
	return &o.Apps[0]
}

func truth(field func(*simulator.Options) *bool) counterpart {
	return counterpart{set: func(o *simulator.Options, v any) error {
		b, ok := v.(bool)
		if !ok {
			return errWant("true or false", v)
		}
		*field(o) = b
		return nil
	}}
}

func falsehood(field func(*simulator.Options) *bool) counterpart {
	is := truth(field)
	return counterpart{set: func(o *simulator.Options, v any) error {
		err := is.set(o, v)
		*field(o) = !*field(o) && err == nil
		return err
	}}
}

func everyone(field func(*simulator.Options) *[]string) counterpart {
	return counterpart{set: func(o *simulator.Options, v any) error {
		b, ok := v.(bool)
		if !ok {
			return errWant("true or false", v)
		}
		if b {
			*field(o) = []string{"*"}
		}
		return nil
	}}
}

func numeric(set func(*simulator.Options, int64)) counterpart {
	return counterpart{set: func(o *simulator.Options, v any) error {
		n, ok := v.(float64) // as encoding/json has it
		if !ok || n != float64(int64(n)) || n < 0 || n > 1<<40 {
			return errWant("a whole number", v)
		}
		set(o, int64(n))
		return nil
	}}
}

// maxDelay is the longest time that the simulator takes over.
const maxDelay = 10 * time.Minute

func duration(field func(*simulator.Options) *time.Duration) counterpart {
	return numeric(func(o *simulator.Options, v int64) {
		*field(o) = min(time.Duration(v)*time.Millisecond, maxDelay)
	})
}

func word(set func(*simulator.Options, string)) counterpart {
	return counterpart{set: func(o *simulator.Options, v any) error {
		s, ok := v.(string)
		if !ok {
			return errWant("a text", v)
		}
		set(o, s)
		return nil
	}}
}

func texts(set func(*simulator.Options, []string)) counterpart {
	return counterpart{set: func(o *simulator.Options, v any) error {
		list, ok := v.([]any)
		if !ok || len(list) > 100 {
			return errWant("a list of texts", v)
		}
		var all []string
		for _, one := range list {
			s, ok := one.(string)
			if !ok {
				return errWant("a list of texts", v)
			}
			all = append(all, s)
		}
		set(o, all)
		return nil
	}}
}

func errWant(what string, v any) error { return fmt.Errorf("is %.100v, not %s", v, what) }

// setPostLimit sets where 3 MB end, by the largest file that was accepted in one request.
func setPostLimit(o *simulator.Options, largest int64) {
	d, b := simulator.DecimalLimits(), simulator.BinaryLimits()
	switch {
	case largest >= belowMiB:
		o.Limits.Attachment, o.Limits.AttachmentRequest = b.Attachment, b.AttachmentRequest+16<<10
	case largest >= atMB:
		o.Limits.Attachment, o.Limits.AttachmentRequest = b.Attachment, b.AttachmentRequest
	case largest >= belowMB:
		o.Limits.Attachment, o.Limits.AttachmentRequest = d.Attachment, d.AttachmentRequest
	default:
		o.Limits.Attachment = belowMB
	}
}

func setRequestLimit(o *simulator.Options, largest int64) {
	o.Limits.Request = max(largest, requestMB/2)
}

func setSession(o *simulator.Options, status int64) {
	if status < 300 {
		return
	}
	if status != 403 {
		o.World.NoUploadSessions, o.World.MissingStatus = true, int(status)
	}
}

func setPermanentDelete(o *simulator.Options, status int64) {
	if status >= 400 {
		o.World.NoPermanentDelete, o.World.MissingStatus = true, int(status)
	}
}

func setSessionState(o *simulator.Options, status int64) {
	if status >= 400 {
		o.World.UploadStateStatus = int(status)
	}
}

func setRanges(o *simulator.Options, form string) {
	o.Ranges = map[string]simulator.RangeForm{"open": simulator.RangeOpen, "closed": simulator.RangeClosed}[form]
}

func setInFlight(o *simulator.Options, form string) {
	o.InFlight = map[string]simulator.InFlight{"draft": simulator.InFlightDraft, "hidden": simulator.InFlightHidden}[form]
}

func setMIMERefused(o *simulator.Options, what string) {
	if what == "all" {
		what = "multipart/mixed"
	}
	o.World.RefusedMIME = append(o.World.RefusedMIME, what)
}

func setReturned(o *simulator.Options, codes []string) {
	if len(codes) > 0 {
		o.World.Returns = map[string]string{"*": codes[0]}
	}
}

// maxFile is the size of the largest File that Simulate reads.
const maxFile = 1 << 20

// Simulate sets the options of a simulator so that it behaves as the tenant of a File. notes
// name what it does not take over: facts that are not known, and those without a counterpart.
func Simulate(o *simulator.Options, data []byte) (notes []string, err error) {
	var file struct {
		Version int            `json:"probe_file"`
		Facts   map[string]any `json:"facts"`
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file has more than %d bytes", maxFile)
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("it is not the output of graphrelay probe --json: %w", err)
	}
	if file.Version != 1 || file.Facts == nil {
		return nil, fmt.Errorf("it is not the output of graphrelay probe --json: it has no probe_file 1 with facts")
	}
	o.Deliver = true
	for _, name := range slices.Sorted(maps.Keys(file.Facts)) {
		c, known := counterparts[name]
		switch {
		case !known:
			notes = append(notes, fmt.Sprintf("%s is not known to this version, and has no effect", text80(name)))
		case c.set == nil:
			notes = append(notes, name+" "+c.why)
		default:
			if err := c.set(o, file.Facts[name]); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if err := simulator.New(simulator.Options{}).SetWorld(o.World); err != nil {
		return nil, err
	}
	return notes, nil
}

// FactNames returns the names of all facts, sorted, for the documentation.
func FactNames() []string { return slices.Sorted(maps.Keys(counterparts)) }
