package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"graphrelay/internal/buildinfo"
)

const (
	hookTimeout = 15 * time.Second
	// maxAnswer bounds what is read of an answer. Nothing is done with it; it is read so that the
	// connection can be used again.
	maxAnswer = 64 << 10
)

// client makes the requests. It follows no redirect: the body and its signature are for the URL of
// the configuration alone.
var client = &http.Client{
	Timeout:       hookTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: hookTimeout, ResponseHeaderTimeout: hookTimeout,
		MaxIdleConns: 4, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxAnswer, ForceAttemptHTTP2: true,
	},
}

// post tells a webhook. It returns how long to wait before another try, if the answer says so.
// Errors do not show the URL.
func post(ctx context.Context, c Channel, n notice) (after time.Duration, err error) {
	body, err := n.body(c.Format)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the URL of the webhook cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	sign(req.Header, c.Key, n.key(), time.Now(), body)
	return do(req)
}

// do makes a request and expects 2xx.
func do(req *http.Request) (after time.Duration, err error) {
	req.Header.Set("User-Agent", "graphrelay/"+buildinfo.Read().Version)
	resp, err := client.Do(req)
	if err != nil {
		return 0, withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	if resp.StatusCode/100 == 2 {
		return 0, nil
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		after = time.Duration(min(s, 3600)) * time.Second
	}
	return after, fmt.Errorf("the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// withoutURL removes the URL, which is a secret, from an error of http.Client.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// sign adds the fields of Standard Webhooks (https://www.standardwebhooks.com): an ID that stays
// the same when the same is told again, the time, and, if there is a key, an HMAC-SHA256 of both
// and of the body.
func sign(h http.Header, key []byte, id string, now time.Time, body []byte) {
	at := strconv.FormatInt(now.Unix(), 10)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	if len(key) == 0 {
		return
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}
