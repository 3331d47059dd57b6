package relay

// modes: Windows has none; a directory has the access list of the one above.
const modes = false

// mostFiles returns 0: Windows has no limit that matters.
func mostFiles() uint64 { return 0 }
