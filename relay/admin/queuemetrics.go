package admin

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/queue"
)

// QueueCollector exports the counts of the queue, which it reads at each scrape.
type QueueCollector struct {
	queue    queue.Inspector
	log      *slog.Logger
	messages *prometheus.Desc
	bytes    *prometheus.Desc
	oldest   *prometheus.Desc
}

// NewQueueCollector returns a collector of the metrics graphrelay_queue_*.
func NewQueueCollector(q queue.Inspector, log *slog.Logger) *QueueCollector {
	return &QueueCollector{
		queue: q, log: log,
		messages: prometheus.NewDesc("graphrelay_queue_messages", "Messages by state; sent ones until their record is removed.", []string{"state"}, nil),
		bytes:    prometheus.NewDesc("graphrelay_queue_bytes", "Bytes of the messages that are not sent.", nil, nil),
		oldest:   prometheus.NewDesc("graphrelay_queue_oldest_seconds", "Age of the oldest message that waits, 0 if none does.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *QueueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.messages
	ch <- c.bytes
	ch <- c.oldest
}

const statsTimeout = 5 * time.Second

// Collect implements prometheus.Collector.
func (c *QueueCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	st, err := c.queue.Stats(ctx)
	if err != nil {
		c.log.Error("cannot count the queue", "error", err)
		ch <- prometheus.NewInvalidMetric(c.messages, err)
		return
	}
	for _, state := range queue.States() {
		ch <- prometheus.MustNewConstMetric(c.messages, prometheus.GaugeValue, float64(st.Messages[state]), string(state))
	}
	age := 0.0
	if !st.Oldest.IsZero() {
		age = time.Since(st.Oldest).Seconds()
	}
	ch <- prometheus.MustNewConstMetric(c.bytes, prometheus.GaugeValue, float64(st.Bytes))
	ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, age)
}
