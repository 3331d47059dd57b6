package simulator

import "net/http"

// worksOnRecoverable reports whether the operation finds recoverable items. That others do not
// find them is assumed.
func (op Operation) worksOnRecoverable() bool {
	switch op {
	case OpGet, OpGetMIME, OpListAttachments, OpDelete, OpPermanentDelete:
		return true
	}
	return false
}

// isIn reports whether the list of a folder has the item, or the list of the whole mailbox, for
// which folder is "".
func (i *item) isIn(folder string) bool {
	if folder == "" {
		return !i.recoverable()
	}
	return i.Folder == folderName(folder)
}

// delete serves "Delete message".
func (c *call) delete() (response, error) {
	err := c.withItem(func(i *item) error {
		to := c.sim.world().DeleteTo
		switch {
		case i.recoverable():
			return cannotDelete()
		case to == "":
			c.sim.remove(i)
		case to == DeleteToDeleted && i.Folder != DeletedItems:
			c.sim.move(i, DeletedItems)
		default:
			c.sim.move(i, RecoverableItems)
		}
		return nil
	})
	return emptyResponse(http.StatusNoContent), err
}

// permanentDelete serves "message: permanentDelete", which moves the item to Purges. There it
// answered GET by id [reported].
func (c *call) permanentDelete() (response, error) {
	w := c.sim.world()
	if w.NoPermanentDelete {
		return response{}, w.missing("permanentDelete")
	}
	err := c.withItem(func(i *item) error {
		switch {
		case i.Folder == Purges:
			return cannotDelete()
		case w.DeleteTo == "":
			c.sim.remove(i)
		default:
			c.sim.move(i, Purges)
		}
		return nil
	})
	return emptyResponse(http.StatusNoContent), err
}

func cannotDelete() error {
	return refuse(http.StatusForbidden, "ErrorCannotDeleteObject", "Cannot delete the object.")
}
