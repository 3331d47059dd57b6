package simulator

// Figures that Microsoft's pages give without saying how they are counted.
const (
	maxRecipients = 500 // to, cc and bcc together: "message resource type" [documented]
	maxHeaders    = 5   // internetMessageHeaders of one message [reported]
	maxTop        = 1000
	defaultTop    = 10

	// A JSON body may be this much longer than the base64 in it.
	attachmentEnvelope = 16 << 10
	// What is read of a refused request so that its client sees the answer.
	drainBytes = 32 << 20
)

// Limits are sizes in bytes.
type Limits struct {
	// Request is the most that a write request may carry, decompressed: "Use the
	// Microsoft Graph API" says 4 MB and 413, never whether 4,000,000 or 4,194,304.
	Request int64
	// AttachmentRequest is the same for POST attachments, where the documented 3 MB of
	// content must fit in base64.
	AttachmentRequest int64
	// Attachment is what the content of POST attachments must stay under: 3 MB, "Add
	// attachment".
	Attachment int64
	// SessionMin and SessionMax bound the file of an upload session: 3 MB to 150 MB,
	// "attachment: createUploadSession".
	SessionMin int64
	SessionMax int64
	// Range is what one PUT must stay under: 4 MB, "Attach large files to Outlook
	// messages".
	Range int64
	// Message is the most that can be sent, body and attachments together. "Attach
	// large files" names 150 MB as the highest that an administrator can set.
	Message int64
}

// DecimalLimits counts in megabytes, the stricter reading for uploads and requests.
func DecimalLimits() Limits {
	const mb = 1_000_000
	return Limits{
		Request:           4 * mb,
		AttachmentRequest: 4*mb + attachmentEnvelope,
		Attachment:        3 * mb,
		SessionMin:        3 * mb,
		SessionMax:        150 * mb,
		Range:             4 * mb,
		Message:           150 << 20,
	}
}

// BinaryLimits counts in mebibytes. Under them a file a few hundred bytes short of
// 3 MiB fits neither a POST (its base64 is over 4 MiB) nor an upload session.
func BinaryLimits() Limits {
	const mib = 1 << 20
	return Limits{
		Request:           4 * mib,
		AttachmentRequest: 4 * mib,
		Attachment:        3 * mib,
		SessionMin:        3 * mib,
		SessionMax:        150 * mib,
		Range:             4 * mib,
		Message:           200 << 20,
	}
}

func (l Limits) withDefaults() Limits {
	d := DecimalLimits()
	setDefault(&l.Request, d.Request)
	setDefault(&l.AttachmentRequest, d.AttachmentRequest)
	setDefault(&l.Attachment, d.Attachment)
	setDefault(&l.SessionMin, d.SessionMin)
	setDefault(&l.SessionMax, d.SessionMax)
	setDefault(&l.Range, d.Range)
	setDefault(&l.Message, d.Message)
	return l
}
