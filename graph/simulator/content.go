package simulator

import "slices"

// contentStore keeps contents for viewing, up to a limit for all of them. A content that
// does not fit is dropped; its size and hash are kept with its attachment. Contents of deleted
// items that recipients still have make room for others, oldest first. The simulator's mutex
// guards it.
type contentStore struct {
	limit int64
	used  int64
	kept  map[string][]byte
	spare []*item // deleted, but kept for their recipients; some were dropped meanwhile
	most  int     // that are kept for recipients
}

// reserve reserves size bytes, and reports whether they are available.
func (c *contentStore) reserve(size int64) bool { return c.reserveUpTo(c.limit, size) }

// reserveFile is reserve for attachments, which leave an eighth of the limit to the bodies of
// messages.
func (c *contentStore) reserveFile(size int64) bool { return c.reserveUpTo(c.limit-c.limit/8, size) }

func (c *contentStore) reserveUpTo(limit, size int64) bool {
	for c.used+size > limit && len(c.spare) > 0 {
		c.drop(c.spare[0])
		c.spare = c.spare[1:]
	}
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

// keepSpare keeps the contents of a deleted item for as long as there is room.
func (c *contentStore) keepSpare(i *item) {
	c.spare = append(c.spare, i)
	if len(c.spare) > 2*c.most { // half of them at least were dropped
		c.spare = slices.DeleteFunc(c.spare, func(i *item) bool { return i.dropped })
	}
}

// drop gives up the contents of an item. Copies of its Message may be in use: what they share
// with it is not changed.
func (c *contentStore) drop(i *item) {
	if i.dropped {
		return
	}
	i.dropped = true
	c.release(int64(len(i.Body.Content)))
	i.BodyDropped = i.BodyDropped || i.Body.Content != ""
	i.Body.Content = ""
	i.Attachments = slices.Clone(i.Attachments)
	for n := range i.Attachments {
		c.delete(i.Attachments[n].ID)
		i.Attachments[n].Kept = false
	}
	if i.MIME != nil {
		c.delete(i.MIME.ID)
		without := *i.MIME
		without.Kept = false
		i.MIME = &without
	}
}
