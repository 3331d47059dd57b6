package simulator

// contentStore keeps contents for viewing, up to a limit for all of them. A content that
// does not fit is dropped; its size and hash are kept with its attachment. The simulator's
// mutex guards it.
type contentStore struct {
	limit int64
	used  int64
	kept  map[string][]byte
}

// reserve reserves size bytes, and reports whether they are available.
func (c *contentStore) reserve(size int64) bool { return c.reserveUpTo(c.limit, size) }

// reserveFile is reserve for attachments, which leave an eighth of the limit to the bodies of
// messages.
func (c *contentStore) reserveFile(size int64) bool { return c.reserveUpTo(c.limit-c.limit/8, size) }

func (c *contentStore) reserveUpTo(limit, size int64) bool {
	if c.used+size > limit {
		return false
	}
	c.used += size
	return true
}

func (c *contentStore) release(size int64) { c.used -= size }

// put keeps a content under id, and reports whether it fits.
func (c *contentStore) put(id string, content []byte) bool {
	if !c.reserveFile(int64(len(content))) {
		return false
	}
	c.kept[id] = content
	return true
}

func (c *contentStore) delete(id string) {
	if content, ok := c.kept[id]; ok {
		c.release(int64(len(content)))
		delete(c.kept, id)
	}
}
