package simulator

import (
	"bytes"
	"encoding/json"
	"time"
)

// durationText is a duration whose JSON is text for time.ParseDuration, such as "1.5s".
type durationText time.Duration

func (d durationText) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *durationText) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = durationText(parsed)
	return err
}

type faultFields Fault

// faultWire is the JSON of a Fault.
type faultWire struct {
	*faultFields
	Hang    durationText `json:"hang"`
	Latency durationText `json:"latency"`
}

// MarshalJSON implements json.Marshaler. It writes durations as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultWire{(*faultFields)(&f), durationText(f.Hang), durationText(f.Latency)})
}

// UnmarshalJSON implements json.Unmarshaler. It reads durations as text, and returns an
// error for unknown names.
func (f *Fault) UnmarshalJSON(data []byte) error {
	wire := faultWire{faultFields: (*faultFields)(f)}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&wire); err != nil {
		return err
	}
	f.Hang, f.Latency = time.Duration(wire.Hang), time.Duration(wire.Latency)
	return nil
}
