package config

import (
	"net/url"
	"strings"
)

// ProxyURL is the HTTP proxy of the connection with its user and password, for all
// requests, those to this machine included; nil is what the environment says
// (HTTPS_PROXY, HTTP_PROXY and NO_PROXY, read once, as net/http does). It shows the
// password: it is for the client alone.
func (c *Connection) ProxyURL() *url.URL {
	proxy, err := url.Parse(c.Proxy)
	if c.Proxy == "" || err != nil {
		return nil
	}
	if c.ProxyUser != "" {
		proxy.User = url.UserPassword(c.ProxyUser, c.ProxyPassword.Reveal())
	}
	return proxy
}

func (c *Connection) proxyPassword() secretSource {
	return secretSource{name: "proxy_password", value: &c.ProxyPassword, file: c.ProxyPasswordFile, env: c.ProxyPasswordEnv}
}

// proxy checks the URL, which is not shown, since it could hold a password, and wants
// user and password both or neither.
func (v validator) proxy(key string, c *Connection) {
	if !v.has(key + ".proxy") {
		v.noProxyUser(key)
		return
	}
	proxy, err := url.Parse(c.Proxy)
	switch at := key + ".proxy"; {
	case err != nil || proxy.Hostname() == "" || proxy.Scheme != "http" && proxy.Scheme != "https":
		v.fault(at, "is not the URL of an HTTP proxy; write one such as http://proxy.contoso.test:3128, or remove the key")
	case proxy.User != nil:
		v.fault(at, "has a user; write it as proxy_user and proxy_password, where it is kept out of sight")
	case strings.Trim(proxy.Path, "/") != "" || proxy.RawQuery != "" || proxy.ForceQuery || proxy.Fragment != "":
		v.fault(at, "has a path, a query or a fragment; write scheme, host and port only")
	}
	if v.has(key + ".proxy_user") {
		v.proxyUser(key+".proxy_user", c.ProxyUser)
		v.secret(key, c.proxyPassword())
		return
	}
	for _, name := range proxyPasswordKeys {
		if v.has(key + "." + name) {
			v.fault(key+"."+name, "has no use without proxy_user; add it, or remove the key")
		}
	}
}

var proxyPasswordKeys = []string{"proxy_password", "proxy_password_file", "proxy_password_env"}

func (v validator) noProxyUser(key string) {
	for _, name := range append([]string{"proxy_user"}, proxyPasswordKeys...) {
		if v.has(key + "." + name) {
			v.fault(key+"."+name, "has no use without proxy; add its URL, or remove the key")
		}
	}
}

// proxyUser: a colon ends the user's name (RFC 7617 section 2).
func (v validator) proxyUser(key, user string) {
	switch {
	case user == "":
		v.fault(key, "is empty; write the user that the proxy knows, or remove the key")
	case strings.ContainsRune(user, ':') || strings.ContainsFunc(user, unprintable):
		v.fault(key, "has a colon, a space or a control character; write the user alone, and its password as proxy_password")
	}
}
