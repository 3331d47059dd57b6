package pickup

import (
	"io/fs"
	"os"
	"syscall"
)

// own returns true: who may write to a folder is in its access list.
func own(fs.FileInfo) bool { return true }

// checkLinks returns an error if a file has another name.
func checkLinks(f *os.File, _ fs.FileInfo) error {
	var info syscall.ByHandleFileInformation
	if err := syscall.GetFileInformationByHandle(syscall.Handle(f.Fd()), &info); err != nil {
		return err
	}
	if info.NumberOfLinks > 1 {
		return badf("it has another name elsewhere (a hard link); put a copy of the message here")
	}
	return nil
}
