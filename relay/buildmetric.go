package relay

import (
	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/internal/buildinfo"
)

func newBuildCollector(b buildinfo.Info) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "graphrelay_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.GoVersion},
	})
	g.Set(1)
	return g
}
