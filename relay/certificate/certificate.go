//go:build ignore

package relay

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
)

const (
	renewEvery  = 10 * time.Second
	remindEvery = 24 * time.Hour
)

// certificate is a certificate with its key, taken anew from its files while the
// relay runs: ACME clients replace them and tell nobody. Sessions under way keep
// the one that they began with.
type certificate struct {
	files   config.TLS
	log     *slog.Logger
	current atomic.Pointer[tls.Certificate]

	// Of renew and remind, which one goroutine calls.
	problem  string // the last one
	times    int    // in a row
	reminded time.Time
}

func loadCertificate(files config.TLS, log *slog.Logger) (*certificate, error) {
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("load the certificate: %w", err)
	}
	c := &certificate{files: files, log: log.With("cert_file", files.CertFile), reminded: time.Now()} // the start warns too
	c.current.Store(&pair)
	return c, nil
}

// get is for tls.Config.GetCertificate. There is no choice by name: a relay has one.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

func (c *certificate) expires() time.Time { return c.current.Load().Leaf.NotAfter }

// renew takes what the files hold now, if it is another certificate. The two files
// are replaced one after the other, so a pair that does not fit is reported only if
// it is found again, and then once.
func (c *certificate) renew() {
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err != nil {
		if c.problem != err.Error() {
			c.problem, c.times = err.Error(), 0
		}
		if c.times++; c.times == 2 {
			c.log.Error("the certificate's files cannot be used; the certificate before them stays in use", "error", err)
		}
		return
	}
	c.problem, c.times = "", 0
	if slices.EqualFunc(pair.Certificate, c.current.Load().Certificate, slices.Equal) {
		return
	}
	c.current.Store(&pair)
	c.log.Info("certificate renewed", "expires", pair.Leaf.NotAfter.UTC())
}

// remind warns once a day of a certificate that nobody renews.
func (c *certificate) remind(now time.Time) {
	end := c.expires()
	if now.Add(config.RenewalNotice).Before(end) || now.Sub(c.reminded) < remindEvery {
		return
	}
	c.reminded = now
	c.log.Warn("the certificate has expired, or expires soon; renew it", "expires", end.UTC())
}

// loadCertificates loads each pair of files once. The result has one for each
// listener with TLS, nil for the others.
func loadCertificates(cfg *config.Config, log *slog.Logger) ([]*certificate, error) {
	loaded := map[config.TLS]*certificate{}
	all := make([]*certificate, len(cfg.Listeners))
	for i, l := range cfg.Listeners {
		if l.TLS == config.TLSNone {
			continue
		}
		files := cfg.CertificateOf(l)
		if loaded[files] == nil {
			c, err := loadCertificate(files, log)
			if err != nil {
				return nil, err
			}
			loaded[files] = c
		}
		all[i] = loaded[files]
	}
	return all, nil
}

// renewCertificates looks after the certificates until ctx is done.
func (g *generation) renewCertificates(ctx context.Context) {
	once := map[*certificate]bool{}
	for _, c := range g.certificates {
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

// expiryCollector reads when the certificates in use end.
type expiryCollector struct {
	relay *Relay
	desc  *prometheus.Desc
}

func newExpiryCollector(r *Relay) expiryCollector {
	return expiryCollector{r, prometheus.NewDesc("graphrelay_tls_certificate_expiry_timestamp_seconds",
		"When the certificate of a listener with TLS ends, in Unix time.", []string{"listener"}, nil)}
}

// Describe implements prometheus.Collector.
func (c expiryCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c expiryCollector) Collect(ch chan<- prometheus.Metric) {
	c.relay.mu.Lock()
	g := c.relay.current
	c.relay.mu.Unlock()
	for i, cert := range g.certificates {
		if cert != nil {
			ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(cert.expires().Unix()), g.cfg.Listeners[i].Name)
		}
	}
}
