package smtpd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// proxyTimeout is how long a load balancer may take to send its header, which comes before
// anything from the client.
const proxyTimeout = 5 * time.Second

// The PROXY protocol (haproxy.org/download/3.2/doc/proxy-protocol.txt), section 2.
const (
	proxyV2Signature = "\r\n\r\n\x00\r\nQUIT\n"
	maxProxyV1       = 107     // bytes, CRLF included
	maxProxyV2       = 4 << 10 // bytes of addresses and extensions, which are not used
)

var errNoProxyHeader = errors.New("the load balancer sent no PROXY header")

// readProxyHeader reads a PROXY header of version 1 or 2, and nothing after it. client is
// invalid if the load balancer connects on its own behalf, as for health checks, or for a
// client whose address it does not know (section 2.2: the address of the connection counts
// then). err is
// io.EOF if the connection ended before its first byte.
func readProxyHeader(r io.Reader) (client netip.Addr, err error) {
	start := make([]byte, len(proxyV2Signature)) // the shortest header of version 1, PROXY UNKNOWN, is longer
	if _, err := io.ReadFull(r, start); err != nil {
		return netip.Addr{}, err
	}
	switch {
	case string(start) == proxyV2Signature:
		return readProxyV2(r)
	case strings.HasPrefix(string(start), "PROXY "):
		return readProxyV1(r, start)
	}
	return netip.Addr{}, errNoProxyHeader
}

// readProxyV1 reads the rest of the line, byte by byte so as to read nothing after it.
func readProxyV1(r io.Reader, line []byte) (netip.Addr, error) {
	for line[len(line)-1] != '\n' {
		if len(line) == maxProxyV1 {
			return netip.Addr{}, errors.New("the PROXY line is too long")
		}
		line = append(line, 0)
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return netip.Addr{}, err
		}
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	fields := strings.Split(text, " ") // PROXY, protocol, source, destination, and their ports
	if ok && len(fields) > 1 && fields[1] == "UNKNOWN" {
		return netip.Addr{}, nil
	}
	if ok && len(fields) == 6 {
		a, err := netip.ParseAddr(fields[2])
		if err == nil && a.Zone() == "" && (a.Is4() && fields[1] == "TCP4" || a.Is6() && fields[1] == "TCP6") {
			return a.Unmap(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the PROXY line is malformed: %s", printable(text))
}

// readProxyV2 reads a header after its signature.
func readProxyV2(r io.Reader) (netip.Addr, error) {
	var fixed [4]byte // version and command, family and protocol, length
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return netip.Addr{}, err
	}
	length := int(binary.BigEndian.Uint16(fixed[2:]))
	if length > maxProxyV2 {
		return netip.Addr{}, errors.New("the PROXY header is too long")
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return netip.Addr{}, err
	}
	const local, proxied, unspec, tcp4, tcp6 = 0x20, 0x21, 0x00, 0x11, 0x21
	switch command, family := fixed[0], fixed[1]; {
	case command == local, command == proxied && family == unspec:
		return netip.Addr{}, nil // as UNKNOWN of version 1
	case command == proxied && family == tcp4 && length >= 12: // two addresses, two ports
		return netip.AddrFrom4([4]byte(rest)), nil
	case command == proxied && family == tcp6 && length >= 36:
		return netip.AddrFrom16([16]byte(rest)).Unmap(), nil
	}
	return netip.Addr{}, fmt.Errorf("the PROXY header is of an unknown kind: %#x %#x, %d bytes", fixed[0], fixed[1], length)
}
