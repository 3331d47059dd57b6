package attention

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is an entry of the catalogue.
type Kind struct {
	ID       string // the name of the alert rule of Prometheus, if there is one; it never changes
	Severity Severity
	Summary  string
	Remedy   string
	Command  string // that shows more
	Page     string // of the console that does, below /console/
	// For is how long the condition has to hold before it counts, Clear how long it has to be
	// gone before it is over.
	For   time.Duration
	Clear time.Duration
	// Shared: it is about the queue. Where several nodes share the queue, all of them see it.
	Shared bool

	// Metric is compared with Limit. It is empty for what no metric of this process shows.
	Metric    string
	Where     []Match
	By        []string      // labels that name the subject
	Within    time.Duration // what counts is the increase in this time; 0: the value
	Remaining bool          // the value is a Unix time, and what counts are the seconds until then
	Compare   Comparison
	Limit     float64
	// Recorded: what is counted outlasts a restart.
	Recorded bool
	// Expression is the rule of Prometheus where Metric is empty; empty if there is none.
	Expression string
	// Outside: only another machine can see it, so it is Prometheus's alone. The heartbeat of
	// relay/alert stands in for it.
	Outside bool

	cause func(labels map[string]string, value float64) string // of an observation by Metric
}

// Match selects series by one label.
type Match struct {
	Label  string
	Values []string
}

// Comparison is how a metric is compared with the limit.
type Comparison string

// The comparisons, as PromQL writes them.
const (
	Above Comparison = ">"
	Below Comparison = "<"
	Is    Comparison = "=="
)

func (c Comparison) holds(value, limit float64) bool {
	switch c {
	case Above:
		return value > limit
	case Below:
		return value < limit
	}
	return value == limit // NaN is nothing
}

// PromQL returns the condition as an expression of Prometheus, or "" if it has none.
func (k Kind) PromQL() string {
	if k.Metric == "" {
		return k.Expression
	}
	var where []string
	for _, m := range k.Where {
		op := "="
		if len(m.Values) > 1 {
			op = "=~"
		}
		where = append(where, m.Label+op+strconv.Quote(strings.Join(m.Values, "|")))
	}
	series := k.Metric
	if len(where) > 0 {
		series += "{" + strings.Join(where, ",") + "}"
	}
	limit := strconv.FormatFloat(k.Limit, 'f', -1, 64)
	switch {
	case k.Within > 0:
		series = fmt.Sprintf("increase(%s[%s])", series, promDuration(k.Within))
	case k.Remaining:
		series += " - time()"
		limit = strconv.FormatFloat(k.Limit/day.Seconds(), 'f', -1, 64) + "*86400"
	}
	return series + " " + string(k.Compare) + " " + limit
}

const day = 24 * time.Hour

func promDuration(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d%u.unit == 0 {
			return strconv.Itoa(int(d/u.unit)) + u.name
		}
	}
	return strconv.Itoa(int(d/time.Second)) + "s"
}

// Adjustable reports whether Limit is a number that it makes sense to change.
func (k Kind) Adjustable() bool { return k.Compare != Is && (k.Metric != "" || k.Within > 0) }

// matches reports whether a series is one of the kind's.
func (k Kind) matches(labels map[string]string) bool {
	for _, m := range k.Where {
		if !slices.Contains(m.Values, labels[m.Label]) {
			return false
		}
	}
	return true
}

// subject returns the subject that the labels name.
func (k Kind) subject(labels map[string]string) string {
	var parts []string
	for _, name := range k.By {
		parts = append(parts, labels[name])
	}
	return strings.Join(parts, " ")
}
