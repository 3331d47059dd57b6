package config

import (
	"errors"
	"io/fs"
	"os"
	"runtime"

	"graphrelay/relay/smtpd"
)

// Pickup is a folder whose files are sent.
type Pickup struct {
	Folder     string     `yaml:"folder"` // empty: none
	Settle     Duration   `yaml:"settle"` // how long a file must not have changed before it is taken
	Recipients Recipients `yaml:"recipients"`
}

// PickupName is the name of the pickup folder where listeners have theirs: in sender rules, metrics
// and the log.
const PickupName = "pickup"

// PickupListener returns what holds for the mail of the pickup folder, as for that of a listener for
// this machine; nil if there is no such folder.
func (c *Config) PickupListener() *Listener {
	if c.Pickup.Folder == "" {
		return nil
	}
	l := &Listener{Recipients: c.Pickup.Recipients}
	l.setDefaults()
	l.Name, l.Auth = PickupName, smtpd.AuthNone
	return l
}

func (v validator) pickup() {
	p := v.cfg.Pickup
	if v.has("pickup.folder") && p.Folder == "" {
		v.fault("pickup.folder", "is empty; name a folder, or remove the key")
	}
	for _, key := range []string{"pickup.settle", "pickup.recipients"} {
		if v.has(key) && !v.has("pickup.folder") {
			v.fault(key, "is for a pickup folder; add pickup.folder, or remove it")
		}
	}
	within(v, "pickup.settle", p.Settle, seconds(1), minutes(60))
	v.recipients("pickup.recipients", p.Recipients)
}

// checkPickup checks who may have mail sent by the folder.
func checkPickup(cfg *Config, r *report) {
	path := cfg.Pickup.Folder
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.fault("pickup.folder", "names a folder that does not exist; make it, and let nobody write to it but graphrelay and the programs that send")
	case err != nil:
		r.fault("pickup.folder", "%s", withRemedy(readError(err), fileRemedy))
	case !info.IsDir():
		r.fault("pickup.folder", "names a file; name a folder")
	case othersMayWrite(info):
		r.fault("pickup.folder", "names a folder to which every user of this machine may write, and so send mail; take that from them with chmod o-w, and give the programs that send a group")
	default:
		checkFolder("pickup.folder", path, writable, r)
	}
}

// othersMayWrite reports whether every user of the machine can write to a folder. Windows has no
// such mode.
func othersMayWrite(info fs.FileInfo) bool {
	const others fs.FileMode = 0o002
	return info.Mode()&others != 0 && runtime.GOOS != "windows"
}
