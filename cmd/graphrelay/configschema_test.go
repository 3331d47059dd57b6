package main

import (
	"encoding/json"
	"testing"
)

func TestConfigSchema(t *testing.T) {
	got := execute(t, "", "config", "schema")
	got.want(t, exitOK, `"give_up_after": {`, `"additionalProperties": false`)
	if !json.Valid([]byte(got.stdout)) {
		t.Errorf("the schema is not JSON: %s", got.stdout)
	}
	execute(t, "", "config").want(t, exitBadUsage, "say what to do: schema;")
	execute(t, "", "config", "schema", "x").want(t, exitBadUsage, `unexpected "x"`)
}
