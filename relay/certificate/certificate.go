// Package certificate keeps the TLS certificates of the listeners and of the admin address: it loads them, takes
// them anew when their files or the certificate store change, and warns before they expire. Sessions keep the
// certificate that they began with.
package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"graphrelay/relay/config"
	"graphrelay/relay/smtpd"
)

const (
	renewEvery  = 10 * time.Second
	remindEvery = 24 * time.Hour
)

// Certificate is a certificate with its key. Renew loads it again from its files, or from the certificate store,
// while the relay runs, since ACME clients replace them without notice.
type Certificate struct {
	from    config.TLS
	log     *slog.Logger
	current atomic.Pointer[tls.Certificate]

	// The fields below are for renew and remind, which one goroutine calls.
	problem  string // the last error of renew
	times    int    // how often it came in a row
	reminded time.Time
}

func load(from config.TLS, log *slog.Logger) (*Certificate, error) {
	pair, err := config.LoadKeyPair(from, nil)
	if err != nil {
		return nil, fmt.Errorf("load the certificate: %w", err)
	}
	key, where := from.Where()
	c := &Certificate{from: from, log: log.With(key, where), reminded: time.Now()} // the configuration's warnings have named it
	c.current.Store(pair)
	return c, nil
}

// get implements tls.Config.GetCertificate. It ignores the server name: a listener has one
// certificate.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

func (c *Certificate) expires() time.Time { return c.current.Load().Leaf.NotAfter }

// renew loads the files, or looks into the store, and uses what is there from now on, if it is another certificate.
// The two files are replaced one after the other, so renew reports a pair that does not
// match only if it finds it twice, and then once.
func (c *Certificate) renew() {
	pair, err := config.LoadKeyPair(c.from, c.current.Load())
	if err != nil {
		if c.problem != err.Error() {
			c.problem, c.times = err.Error(), 0
		}
		if c.times++; c.times == 2 {
			c.log.Error("the certificate cannot be loaded again; the one before stays in use", "error", err)
		}
		return
	}
	c.problem, c.times = "", 0
	if slices.EqualFunc(pair.Certificate, c.current.Load().Certificate, slices.Equal) {
		return
	}
	c.current.Store(pair)
	c.log.Info("certificate renewed", "expires", pair.Leaf.NotAfter.UTC())
}

// remind warns once a day of a certificate that has expired or soon will.
func (c *Certificate) remind(now time.Time) {
	end := c.expires()
	if now.Add(config.RenewalNotice).Before(end) || now.Sub(c.reminded) < remindEvery {
		return
	}
	c.reminded = now
	c.log.Warn("the certificate has expired, or expires soon; renew it", "expires", end.UTC())
}

// List holds the certificate of each listener, in the order of config.Config.Listeners, and then
// that of the admin address; nil for one without TLS.
type List []*Certificate

// Load loads the certificates of all listeners and of the admin address, each once.
func Load(cfg *config.Config, log *slog.Logger) (List, error) {
	loaded := map[config.TLS]*Certificate{}
	wanted := make([]config.TLS, len(cfg.Listeners)+1)
	for i, l := range cfg.Listeners {
		if l.TLS != smtpd.TLSNone {
			wanted[i] = cfg.CertificateOf(l)
		}
	}
	wanted[len(cfg.Listeners)] = cfg.Admin.TLS.Certificate()
	all := make(List, len(wanted))
	for i, from := range wanted {
		if from == (config.TLS{}) {
			continue
		}
		if loaded[from] == nil {
			c, err := load(from, log)
			if err != nil {
				return nil, err
			}
			loaded[from] = c
		}
		all[i] = loaded[from]
	}
	return all, nil
}

// Renew keeps the certificates up to date until ctx is done.
func (l List) Renew(ctx context.Context) {
	once := map[*Certificate]bool{}
	for _, c := range l {
		if c != nil {
			once[c] = true
		}
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for c := range once {
				c.renew()
				c.remind(now)
			}
		}
	}
}

// adminName stands for the admin address in the place of a listener's name, which has no
// parentheses.
const adminName = "(admin)"

// Collector exports when the certificates in use expire.
type Collector struct {
	current func() (*config.Config, List)
	desc    *prometheus.Desc
}

// NewCollector returns a collector; current returns the configuration in use and its
// certificates.
func NewCollector(current func() (*config.Config, List)) Collector {
	return Collector{current, prometheus.NewDesc("graphrelay_tls_certificate_expiry_timestamp_seconds",
		"When the certificate of a listener with TLS, or (admin) of the admin address, expires, in Unix time.", []string{"listener"}, nil)}
}

// Describe implements prometheus.Collector.
func (c Collector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c Collector) Collect(ch chan<- prometheus.Metric) {
	cfg, list := c.current()
	for i, cert := range list {
		name := adminName
		if i < len(cfg.Listeners) {
			name = cfg.Listeners[i].Name
		}
		if cert != nil {
			ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(cert.expires().Unix()), name)
		}
	}
}
