package console

import (
	"encoding/json"
	"fmt"
	"net"
	"net/smtp"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"graphrelay/graph/simulator"
	"graphrelay/test/harness"
)

// sendRaw sends a message, as it is, from the scanner to Anna and, as Bcc, to Carl, and returns
// it as it is in Sent Items.
func sendRaw(t *testing.T, r *harness.Relay, sim *harness.Sim, subject, raw string) simulator.Message {
	t.Helper()
	raw = "From: \"The scanner\" <scanner@contoso.test>\r\nTo: Anna <anna@example.test>\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\n" + raw
	err := smtp.SendMail("127.0.0.1:"+r.Port(t, "devices"), nil, "scanner@contoso.test", []string{"anna@example.test", "carl@fabrikam.test"}, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return sim.Sent(t, "scanner@contoso.test", subject)
}

// pixel is a PNG of one pixel, in base64.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// related returns a message of HTML, an image that it may refer to, and a file.
func related(html, fileName string) string {
	return "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/related; boundary=r\r\n\r\n" +
		"--r\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html + "\r\n" +
		"--r\r\nContent-Type: image/png; name=p.png\r\nContent-ID: <pixel@x>\r\nContent-Disposition: inline; filename=p.png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + pixel + "\r\n--r--\r\n" +
		"--m\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"" + fileName + "\"\r\n\r\n<script>window.top.ran = 1</script>\r\n--m--\r\n"
}

// messagePaths returns the paths of the pages of a message: as the sender has it in all views,
// and as a recipient has it.
func messagePaths(m simulator.Message) (paths []string) {
	for _, view := range []string{"HTML", "Text", "Headers", "Source", "Requests"} {
		paths = append(paths, "/message?"+url.Values{"id": {m.ID}, "view": {view}}.Encode())
	}
	return append(paths, "/message?"+url.Values{"in": {"carl@fabrikam.test"}, "folder": {"Inbox"}, "id": {m.ID}}.Encode())
}

// TestSimulatorPages opens each page of the simulated mailboxes as TestPages does.
func TestSimulatorPages(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "pages.js")
	sim := harness.StartSim(t)
	r := harness.StartRelay(t, sim)
	m := sendRaw(t, r, sim, "a report with a subject that is rather long, as subjects sometimes are", related(`<h1>Report</h1><p>Here it is. <img src="cid:pixel@x" alt="pixel"></p>`, "figures.html"))
	paths := append([]string{"/", "/?q=report", "/?q=none", "/?in=anna@example.test", "/?in=scanner@contoso.test", "/?in=scanner@contoso.test&folder=Drafts", "/requests",
		"/11111111-1111-1111-1111-111111111111/oauth2/deviceauth", "/common/oauth2/deviceauth"}, messagePaths(m)...)
	out := harness.Tool(t, "", node, append([]string{script, chromium, sim.URL}, paths...)...)
	var faults []string
	if err := json.Unmarshal([]byte(out), &faults); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}

// TestSimulatorLive sees on an open page that a message came.
func TestSimulatorLive(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "live.js")
	sim := harness.StartSim(t)
	r := harness.StartRelay(t, sim)
	tab := harness.StartCommand(t, "live.js", exec.Command(node, script, chromium, sim.URL+"/?in=anna@example.test", "#live", "seen live"))
	harness.WaitFor(t, "the page", func() bool { return strings.Contains(tab.Log.String(), "loaded") || !tab.Running() })
	deliver(t, r, "scanner@contoso.test", "anna@example.test", "seen live", 200)
	harness.WaitFor(t, "the message on the page", func() bool { return !tab.Running() })
	if !strings.Contains(tab.Log.String(), "seen") {
		t.Error(tab.Log.String())
	}
}

// TestHostileMail opens the pages of a message that wants to run scripts, to load what tells its
// sender that it was read, and to lead away. Nothing runs, nobody is asked for anything, nobody
// is even connected to; what belongs to the message is shown.
func TestHostileMail(t *testing.T) {
	t.Parallel()
	node, chromium, script := browser(t, "hostile.js")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var connections atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
		}
	}()
	sim := harness.StartSim(t)
	r := harness.StartRelay(t, sim)
	m := sendRaw(t, r, sim, "hostile", related(strings.ReplaceAll(hostileHTML, "EVIL", fmt.Sprintf("http://%s", l.Addr())), "<script>window.ran=1</script>.html"))
	out := harness.Tool(t, "", node, append([]string{script, chromium, sim.URL, "/"}, messagePaths(m)...)...)
	var got struct {
		Faults, Elsewhere []string
		Frames            []struct {
			Path, Text string
			Images     int
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(got.Faults)+len(got.Elsewhere) != 0 || connections.Load() != 0 {
		t.Errorf("faults %q, asked for %q, %d connections to the sender", got.Faults, got.Elsewhere, connections.Load())
	}
	if len(got.Frames) != 2 {
		t.Fatalf("frames %+v", got.Frames)
	}
	for _, f := range got.Frames {
		if !strings.Contains(f.Text, "what is to be read") || f.Images != 1 {
			t.Errorf("%s shows %d images and %q", f.Path, f.Images, f.Text)
		}
	}
}

const hostileHTML = `<html><head>
<meta http-equiv="refresh" content="0;url=EVIL/refresh">
<meta http-equiv="Content-Security-Policy" content="default-src *">
<base href="EVIL/base/">
<link rel="stylesheet" href="EVIL/style.css"><link rel="preconnect" href="EVIL"><link rel="dns-prefetch" href="//evil.test">
<link rel="prefetch" href="EVIL/prefetch"><link rel="preload" as="image" href="EVIL/preload"><link rel="modulepreload" href="EVIL/module.js"><link rel="icon" href="EVIL/icon">
<style>@import url("EVIL/import.css"); @font-face { font-family: e; src: url(EVIL/font) } body { font-family: e; background: url(EVIL/background) } li { list-style-image: url(EVIL/list) }</style>
<script>window.top.ran = 1; console.log('ran 1')</script><script src="EVIL/script.js"></script>
</head><body onload="window.top.ran = 2; console.log('ran 2')" background="EVIL/body">
<p>what is to be read</p><ul><li>one</li></ul>
<img src="cid:pixel@x" alt="pixel"><img src="EVIL/pixel.png" srcset="EVIL/2x.png 2x" alt=""><img src="x" onerror="window.top.ran = 3" alt=""><img src="/relative.png" alt="">
<picture><source srcset="EVIL/source.png"><img src="EVIL/picture.png" alt=""></picture>
<video src="EVIL/video" poster="EVIL/poster" autoplay></video><audio src="EVIL/audio" autoplay></audio>
<iframe src="EVIL/frame"></iframe><iframe srcdoc="<script>window.top.ran = 4</script>"></iframe><object data="EVIL/object"></object><embed src="EVIL/embed">
<svg onload="window.top.ran = 5"><image href="EVIL/svg.png"/><use href="EVIL/use.svg#a"/><script>window.top.ran = 6</script></svg>
<math><mtext><style><img src="EVIL/mutation" onerror="window.top.ran = 7"></style></mtext></math>
<div style="background-image: url('EVIL/inline')">styled</div><table background="EVIL/table"><tr><td>cell</td></tr></table>
<form action="EVIL/form" id="f"><input name="a" autofocus onfocus="this.form.submit()"><button>go</button></form>
<a href="javascript:window.top.ran = 8" ping="EVIL/ping">link</a><details open ontoggle="window.top.ran = 9"><summary>more</summary></details>
<template shadowrootmode="open"><script>window.top.ran = 10</script></template><noscript><img src="EVIL/noscript" alt=""></noscript>
<!--[if true]><script>window.top.ran = 11</script><![endif]--><!--><script>window.top.ran = 12</script>-->
</body></html>`
