package simulator

// Limits on numbers.
const (
	maxRecipients = 500 // to, cc and bcc together: "message resource type" [documented]
	maxHeaders    = 5   // internetMessageHeaders of one message [reported]
	maxTop        = 1000
	defaultTop    = 10

	// How much longer a JSON body may be than the base64 in it.
	attachmentEnvelope = 16 << 10
	// How much is read of a refused request, so that its client gets the answer.
	drainBytes = 32 << 20
)

// Limits has limits on sizes, in bytes. Microsoft's pages give them in MB, and do not say
// how many bytes that is.
type Limits struct {
	// Request is the maximum for the body of a write request, decompressed: 4 MB, 413
	// above it ("Use the Microsoft Graph API").
	Request int64
	// AttachmentRequest is the same for POST attachments, into which the documented 3 MB
	// of content have to fit in base64.
	AttachmentRequest int64
	// Attachment is the size that the content of POST attachments must be below: 3 MB
	// ("Add attachment").
	Attachment int64
	// SessionMin and SessionMax limit the file of an upload session: 3 MB to 150 MB
	// ("attachment: createUploadSession").
	SessionMin int64
	SessionMax int64
	// Range is the size that the range of a PUT must be below: 4 MB ("Attach large files
	// to Outlook messages").
	Range int64
	// Message is the maximum for a message that is sent, body and attachments together.
	// "Attach large files to Outlook messages" names 150 MB as the most that an
	// administrator can set.
	Message int64
}

// DecimalLimits returns the limits with 1 MB as 1,000,000 bytes, which is stricter for
// requests and ranges.
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

// BinaryLimits returns the limits with 1 MB as 1,048,576 bytes. With them a file that is a
// few hundred bytes below 3 MiB fits neither a POST (its base64 exceeds 4 MiB) nor an
// upload session.
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
