package simulator

// contentStore keeps bytes for viewing, up to a limit over all of them. What does not
// fit is not kept: its size and hash are with its owner. The simulator's mutex guards it.
type contentStore struct {
	limit int64
	used  int64
	kept  map[string][]byte
}

// reserve sets room aside for size bytes and says whether there was any.
func (c *contentStore) reserve(size int64) bool { return c.reserveUpTo(c.limit, size) }

// reserveFile leaves some of the room to the texts of messages.
func (c *contentStore) reserveFile(size int64) bool { return c.reserveUpTo(c.limit-c.limit/8, size) }

func (c *contentStore) reserveUpTo(limit, size int64) bool {
	if c.used+size > limit {
		return false
	}
	c.used += size
	return true
}

func (c *contentStore) release(size int64) { c.used -= size }

// put holds a file's content under id if there is room.
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
