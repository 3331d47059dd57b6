// Package histogram makes the histograms of the relay's metrics. Each is a classic one, with the
// buckets that it is given, and a native one for a Prometheus that asks for it.
package histogram

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A bucket of the native histogram is at most a tenth wider than the one before, and there are
// at most 160 of them: then they become wider, or start anew if that was an hour ago.
const (
	factor     = 1.1
	maxBuckets = 160
	resetAfter = time.Hour
)

// New returns a histogram for each value of a label, whose buckets have these upper bounds.
func New(name, help string, buckets []float64, label string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: factor, NativeHistogramMaxBucketNumber: maxBuckets, NativeHistogramMinResetDuration: resetAfter,
	}, []string{label})
}
