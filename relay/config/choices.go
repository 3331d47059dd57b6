package config

import (
	"fmt"
	"slices"
)

// SenderFrom is what recipients see as From: an address, or one of these values.
type SenderFrom string

// The values of SenderFrom that are not addresses.
const (
	FromMailbox  SenderFrom = "mailbox"
	FromOriginal SenderFrom = "original"
)

// Profile is which violations of the SMTP standards a listener accepts.
type Profile string

// The profiles of a listener.
const (
	ProfileModern Profile = "modern" // none
	ProfileLegacy Profile = "legacy" // those of old devices
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Profile) UnmarshalText(text []byte) error {
	return oneOf(p, text, ProfileModern, ProfileLegacy)
}

// ReplyTo is what a rule that replaces the sender's address does with Reply-To.
type ReplyTo string

// The values of ReplyTo.
const (
	ReplyToOriginal ReplyTo = "original"
	ReplyToNone     ReplyTo = "none"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *ReplyTo) UnmarshalText(text []byte) error {
	return oneOf(r, text, ReplyToOriginal, ReplyToNone)
}

// SendDenied is what happens to a message whose From Exchange refuses for good.
type SendDenied string

// The values of SendDenied.
const (
	SendDeniedFail     SendDenied = "fail"     // it fails
	SendDeniedFallback SendDenied = "fallback" // the rule's mailbox is shown as From instead
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *SendDenied) UnmarshalText(text []byte) error {
	return oneOf(s, text, SendDeniedFail, SendDeniedFallback)
}

// OnUnknown is what happens to a message if it is impossible to find out whether it was sent.
type OnUnknown string

// The values of OnUnknown.
const (
	OnUnknownHold   OnUnknown = "hold"   // hold it for the operator
	OnUnknownResend OnUnknown = "resend" // send it again, at the risk of a duplicate
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *OnUnknown) UnmarshalText(text []byte) error {
	return oneOf(o, text, OnUnknownHold, OnUnknownResend)
}

// LargeSigned is what happens to a signed or encrypted message that is too large to be sent
// unchanged.
type LargeSigned string

// The values of LargeSigned.
const (
	LargeSignedFail    LargeSigned = "fail"
	LargeSignedConvert LargeSigned = "convert" // send its parts as attachments, which breaks the signature
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LargeSigned) UnmarshalText(text []byte) error {
	return oneOf(l, text, LargeSignedFail, LargeSignedConvert)
}

// LogLevel is the lowest severity that is logged.
type LogLevel string

// The log levels.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *LogLevel) UnmarshalText(text []byte) error {
	return oneOf(l, text, LevelDebug, LevelInfo, LevelWarn, LevelError)
}

// LogFormat is the form of a log line.
type LogFormat string

// The log formats. FormatAuto is text on a terminal and JSON otherwise.
const (
	FormatAuto LogFormat = "auto"
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *LogFormat) UnmarshalText(text []byte) error {
	return oneOf(f, text, FormatAuto, FormatText, FormatJSON)
}

// Directory is whether the relay looks up in the tenant's directory which mailbox an address
// belongs to.
type Directory string

// The values of Directory.
const (
	DirectoryAuto Directory = "auto" // if the application may read it
	DirectoryOff  Directory = "off"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Directory) UnmarshalText(text []byte) error {
	return oneOf(d, text, DirectoryAuto, DirectoryOff)
}

// oneOf sets *into to the choice that text names.
func oneOf[T ~string](into *T, text []byte, choices ...T) error {
	var names []string
	for _, choice := range choices {
		names = append(names, string(choice))
	}
	if err := checkChoice(string(text), names); err != nil {
		return err
	}
	*into = T(text)
	return nil
}

// checkChoice returns an error if text is none of the choices.
func checkChoice(text string, choices []string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	return fmt.Errorf("is %s; use %s", quote(text), either(choices))
}
