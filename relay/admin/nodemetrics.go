package admin

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/queue"
)

// maxNodes bounds how many nodes have a series of their own.
const maxNodes = 100

// NodeQueue is what a NodeCollector reads.
type NodeQueue interface {
	queue.Inspector
	queue.Controller
}

// NodeCollector exports which nodes work on the queue, which it reads at each scrape.
type NodeCollector struct {
	queue NodeQueue
	log   *slog.Logger
	nodes *prometheus.Desc
	lanes *prometheus.Desc
}

// NewNodeCollector returns a collector of graphrelay_nodes and graphrelay_node_lanes.
func NewNodeCollector(q NodeQueue, log *slog.Logger) *NodeCollector {
	return &NodeCollector{
		queue: q, log: log,
		nodes: prometheus.NewDesc("graphrelay_nodes", "Relays on the queue by state; one is gone for a day.", []string{"state"}, nil),
		lanes: prometheus.NewDesc("graphrelay_node_lanes", "Lanes that belong to each relay on the queue that is not gone.", []string{"node"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *NodeCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.nodes
	ch <- c.lanes
}

// Collect implements prometheus.Collector.
func (c *NodeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	list, err := c.queue.Nodes(ctx)
	if err != nil {
		c.log.Error("cannot list the relays on the queue", "error", err)
		ch <- prometheus.NewInvalidMetric(c.nodes, err)
		return
	}
	now := c.queue.Wall(c.queue.Now())
	counts, lanes := map[queue.NodeState]int{}, map[string]int{}
	for _, n := range list {
		state := n.State(now)
		counts[state]++
		if state != queue.Gone && (len(lanes) < maxNodes || lanes[n.Name] > 0) {
			lanes[n.Name] += n.Lanes
		}
	}
	for _, state := range queue.NodeStates() {
		ch <- prometheus.MustNewConstMetric(c.nodes, prometheus.GaugeValue, float64(counts[state]), string(state))
	}
	for name, n := range lanes {
		ch <- prometheus.MustNewConstMetric(c.lanes, prometheus.GaugeValue, float64(n), name)
	}
}
