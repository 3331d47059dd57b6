package config

import _ "embed"

//go:embed relay.schema.json
var schema string

// Schema returns the JSON schema of the configuration, with which editors explain keys and
// mark faults. It accepts every file that Load accepts, and refuses unknown keys and values
// that cannot be read, but it knows neither which keys belong together nor the files that
// they name. The structs, the defaults and the comments in config.example.yaml are its source:
// go test ./relay/config -run TestSchema -update writes it.
func Schema() string { return schema }
