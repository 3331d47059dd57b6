package config

import (
	"net/url"
	"strings"
)

// ProxyURL returns the HTTP proxy of the connection, for all requests, those to this machine
// included. If it is nil, the environment decides (HTTPS_PROXY, HTTP_PROXY and NO_PROXY,
// see http.ProxyFromEnvironment). The URL contains the password and must not be shown.
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

// proxy checks the proxy's URL, and that there are both a user and a password or neither.
// Faults do not show the URL, which could contain a password.
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
		v.fault(at, "has a user; write it as proxy_user and proxy_password instead, so that the password is never shown")
	case strings.Trim(proxy.Path, "/") != "" || proxy.RawQuery != "" || proxy.ForceQuery || proxy.Fragment != "":
		v.fault(at, "has a path, a query or a fragment; write only scheme, host and port")
	}
	if v.has(key + ".proxy_user") {
		v.proxyUser(key+".proxy_user", c.ProxyUser)
		v.secret(key, c.proxyPassword())
		return
	}
	for _, name := range proxyPasswordKeys {
		if v.has(key + "." + name) {
			v.fault(key+"."+name, "has no effect without proxy_user; add it, or remove the key")
		}
	}
}

var proxyPasswordKeys = []string{"proxy_password", "proxy_password_file", "proxy_password_env"}

func (v validator) noProxyUser(key string) {
	for _, name := range append([]string{"proxy_user"}, proxyPasswordKeys...) {
		if v.has(key + "." + name) {
			v.fault(key+"."+name, "has no effect without proxy; add its URL, or remove the key")
		}
	}
}

// proxyUser checks the user's name, which ends at a colon (RFC 7617 section 2).
func (v validator) proxyUser(key, user string) {
	switch {
	case user == "":
		v.fault(key, "is empty; write the user name for the proxy, or remove the key")
	case strings.ContainsRune(user, ':') || strings.ContainsFunc(user, unprintable):
		v.fault(key, "has a colon, a space or a control character; write only the user name here, and its password as proxy_password")
	}
}
