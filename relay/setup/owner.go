package setup

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// serviceUser is the user of the service of systemd (deploy/graphrelay.service).
const serviceUser = "graphrelay"

// DefaultServiceUser returns the user of the service if this is root and there is one, and
// otherwise "".
func DefaultServiceUser() string {
	if os.Geteuid() != 0 {
		return ""
	}
	if _, err := user.Lookup(serviceUser); err != nil {
		return ""
	}
	return serviceUser
}

func userIDs(name string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("the user of the relay: %w; make that user first, or name another with --service-user", err)
	}
	uid, err = strconv.Atoi(u.Uid)
	if err == nil {
		gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("files cannot be given to the user %s on this system", name)
	}
	return uid, gid, nil
}
