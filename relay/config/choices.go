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

// Values implements enumeration.
func (Profile) Values() []string {
	return values(ProfileModern, ProfileLegacy)
}

// ReplyTo is what a rule that replaces the sender's address does with Reply-To.
type ReplyTo string

// The values of ReplyTo.
const (
	ReplyToOriginal ReplyTo = "original"
	ReplyToNone     ReplyTo = "none"
)

// Values implements enumeration.
func (ReplyTo) Values() []string {
	return values(ReplyToOriginal, ReplyToNone)
}

// SendDenied is what happens to a message whose From Exchange refuses for good.
type SendDenied string

// The values of SendDenied.
const (
	SendDeniedFail     SendDenied = "fail"     // it fails
	SendDeniedFallback SendDenied = "fallback" // the rule's mailbox is shown as From instead
)

// Values implements enumeration.
func (SendDenied) Values() []string {
	return values(SendDeniedFail, SendDeniedFallback)
}

// OnUnknown is what happens to a message if it is impossible to find out whether it was sent.
type OnUnknown string

// The values of OnUnknown.
const (
	OnUnknownHold   OnUnknown = "hold"   // hold it for the operator
	OnUnknownResend OnUnknown = "resend" // send it again, at the risk of a duplicate
)

// Values implements enumeration.
func (OnUnknown) Values() []string {
	return values(OnUnknownHold, OnUnknownResend)
}

// LargeSigned is what happens to a signed or encrypted message that is too large to be sent
// unchanged.
type LargeSigned string

// The values of LargeSigned.
const (
	LargeSignedFail    LargeSigned = "fail"
	LargeSignedConvert LargeSigned = "convert" // send its parts as attachments, which breaks the signature
)

// Values implements enumeration.
func (LargeSigned) Values() []string {
	return values(LargeSignedFail, LargeSignedConvert)
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

// Values implements enumeration.
func (LogLevel) Values() []string {
	return values(LevelDebug, LevelInfo, LevelWarn, LevelError)
}

// LogFormat is the form of a log line.
type LogFormat string

// The log formats. FormatAuto is text on a terminal and JSON otherwise.
const (
	FormatAuto LogFormat = "auto"
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

// Values implements enumeration.
func (LogFormat) Values() []string {
	return values(FormatAuto, FormatText, FormatJSON)
}

// Directory is whether the relay looks up in the tenant's directory which mailbox an address
// belongs to.
type Directory string

// The values of Directory.
const (
	DirectoryAuto Directory = "auto" // if the application may read it
	DirectoryOff  Directory = "off"
)

// Values implements enumeration.
func (Directory) Values() []string {
	return values(DirectoryAuto, DirectoryOff)
}

// values returns the choices as they are configured.
func values[T ~string](choices ...T) []string {
	var names []string
	for _, choice := range choices {
		names = append(names, string(choice))
	}
	return names
}

// checkChoice returns an error if text is none of the choices.
func checkChoice(text string, choices []string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	return fmt.Errorf("is %s; use %s", quote(text), either(choices))
}
