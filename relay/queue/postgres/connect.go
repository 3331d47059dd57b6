package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	writers     = 4
	transfers   = 2                       // parts of contents that are written or read at a time
	workers     = writers + transfers + 2 // connections of writers, transfers and what else delivery does
	readers     = 3
	connectTime = 3 * time.Second
)

// connect prepares the pools. They connect when they are used.
func (s *storage) connect(url string) (err error) {
	if s.work, err = newPool(url, workers); err != nil {
		return err
	}
	s.read, err = newPool(url, readers)
	return err
}

func newPool(url string, size int32) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, hideURL(err)
	}
	c.MaxConns = size
	cc := c.ConnConfig
	if !strings.Contains(url, "default_query_exec_mode") {
		// A pooler may run the next transaction on another connection of its own, which
		// knows no statement that was prepared on the first one.
		cc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if cc.ConnectTimeout == 0 || cc.ConnectTimeout > connectTime {
		cc.ConnectTimeout = connectTime
	}
	cc.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 5}}).DialContext
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "graphrelay"
	}
	cc.RuntimeParams["client_encoding"] = "UTF8"
	p, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// hideURL returns what may be said of a URL that cannot be used: it may have a password, but
// the name of a missing file is no secret.
func hideURL(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		return fmt.Errorf("the URL of the database: %w", file)
	}
	return errors.New("the URL of the database cannot be read; it has the form postgres://user:password@host:5432/database")
}
