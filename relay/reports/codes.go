package reports

// Codes returns the Message-ID of the message that a non-delivery report is about, and the
// enhanced status codes that it gives. The error says why the message is no such report. Anyone
// can write a report, so what it says may be false.
func Codes(raw []byte) (messageID string, codes []string, err error) {
	r, err := parseReport(raw)
	if err != nil {
		return "", nil, err
	}
	for _, f := range r.failed {
		if f.code != "" {
			codes = append(codes, f.code)
		}
	}
	return r.messageID, codes, nil
}
