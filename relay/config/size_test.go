package config

import "testing"

// A connection takes messages of its own size or that of the limits, and no more than Microsoft
// 365 does; a listener announces the most of its connections.
func TestMessageSize(t *testing.T) {
	cfg := Default()
	cfg.Connections = []Connection{{Name: "default"}, {Name: "small", MessageSize: 1 * MiB}, {Name: "large", MessageSize: 100 * MiB},
		{Name: "visitors", SignIn: SignInPassThrough, MessageSize: 120 * MiB}}
	for i, want := range []Size{35 * MiB, 1 * MiB, 100 * MiB, 120 * MiB} {
		if got := cfg.MessageSize(&cfg.Connections[i]); got != want {
			t.Errorf("%s: %s, want %s", cfg.Connections[i].Name, got, want)
		}
	}
	if got := cfg.ListenerSize(Listener{}); got != 100*MiB {
		t.Errorf("the listener announces %s", got)
	}
	if got := cfg.ListenerSize(Listener{PassThrough: "visitors"}); got != 120*MiB {
		t.Errorf("the listener with pass_through announces %s", got)
	}
	cfg.Limits.MessageSize = 1 * GiB
	if got := cfg.MessageSize(&cfg.Connections[0]); got != MaxMessageSize {
		t.Errorf("with a limit of 1 GiB: %s", got)
	}
}
