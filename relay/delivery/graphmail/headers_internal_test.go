package graphmail

import (
	"fmt"
	"testing"

	"graphrelay/mime"
)

// Fields beyond the five are named, and so is a second field of the same name.
func TestChooseHeaders(t *testing.T) {
	fields := func(names ...string) (list []mime.Field) {
		for i, name := range names {
			list = append(list, mime.Field{Name: name, Value: fmt.Sprint(i)})
		}
		return list
	}
	for _, c := range []struct {
		fields       []mime.Field
		chosen, left string
	}{
		{fields("X-A", "Subject", "Auto-Submitted"), "[{X-A 0}]", "[Auto-Submitted]"},
		{fields("X-Cron-Env", "X-B", "X-Cron-Env", "x-cron-env", "X-Cron-Env"), "[{X-Cron-Env 0} {X-B 1}]", "[another X-Cron-Env another x-cron-env]"},
		{fields("X-1", "X-2", "X-3", "X-4", "X-5", "X-6", "X-6", "X-Z"), "[{X-Z 7} {X-1 0} {X-2 1} {X-3 2} {X-4 3}]", "[X-5 X-6]"},
		{fields("X-MS-Exchange-A", "Received", "Received"), "[]", "[X-MS-Exchange-A Received]"},
	} {
		chosen, left := chooseHeaders(c.fields, []string{"X-Z", "X-*"})
		if fmt.Sprint(chosen) != c.chosen || fmt.Sprint(left) != c.left {
			t.Errorf("%v: %v, %v; want %s, %s", c.fields, chosen, left, c.chosen, c.left)
		}
	}
}
