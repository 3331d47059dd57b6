package private

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Others are the users of whom OthersMayRead tells.
const Others = "others than SYSTEM, the administrators, its owner and the service"

// The commands that keep others from reading a file, and from looking into a folder. They name
// SYSTEM and the administrators by their SIDs, since names depend on the language.
const (
	FileRemedy   = `icacls FILE /inheritance:r /grant:r *S-1-5-18:F *S-1-5-32-544:F "NT SERVICE\graphrelay:M"`
	FolderRemedy = `icacls FOLDER /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F "NT SERVICE\graphrelay:(OI)(CI)M"`
)

// What a user does who may not use a file, and how another lets them read it.
const (
	AsOwner = "run this in a terminal that was opened as administrator, or let that user use it with icacls"
	ReadFor = `icacls FILE /grant "%[1]s:R"`
)

const (
	system         = "S-1-5-18"
	administrators = "S-1-5-32-544"
	ownerRights    = "S-1-3-4" // which limits the owner

	// modify is what the service may do with its files: all but change who may use them.
	modify = "0x1301bf"
)

var service = serviceSID("graphrelay")

// user returns the SID of the user who runs the program.
func user() (string, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("find out who runs this: %w", err)
	}
	return u.User.Sid.String(), nil
}

// descriptor returns who may use an object, and what is in it if flags is "OICI".
func descriptor(flags string) (*windows.SECURITY_DESCRIPTOR, error) {
	self, err := user()
	if err != nil {
		return nil, err
	}
	list := "D:P"
	for _, sid := range []string{system, administrators, self} {
		list += "(A;" + flags + ";FA;;;" + sid + ")"
	}
	return windows.SecurityDescriptorFromString(list + "(A;" + flags + ";" + modify + ";;;" + service + ")")
}

// Attributes returns what a file or a pipe is created with, so that it is never open to others.
func Attributes() (*windows.SecurityAttributes, error) { return attributes("") }

func attributes(flags string) (*windows.SecurityAttributes, error) {
	sd, err := descriptor(flags)
	if err != nil {
		return nil, err
	}
	a := &windows.SecurityAttributes{SecurityDescriptor: sd}
	a.Length = uint32(unsafe.Sizeof(*a))
	return a, nil
}

// Create creates a file that does not exist yet, for writing.
func Create(path string) (*os.File, error) {
	a, err := Attributes()
	if err != nil {
		return nil, err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, a, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// MkdirAll makes a folder and those above it, as far as they do not exist.
func MkdirAll(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if above := filepath.Dir(path); above != path {
		if err := MkdirAll(above); err != nil {
			return err
		}
	}
	a, err := attributes("OICI")
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err == nil {
		err = windows.CreateDirectory(name, a)
	}
	if info, e := os.Stat(path); err != nil && (e != nil || !info.IsDir()) {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return nil
}

// Claim makes a folder, or takes one that exists from others, with what is in it. It refuses a
// folder that somebody else has made: every user may do that in ProgramData, and put a
// configuration there.
func Claim(path string) error {
	if err := MkdirAll(path); err != nil {
		return err
	}
	now, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return &fs.PathError{Op: "look at", Path: path, Err: err}
	}
	if !ours(now) {
		return fmt.Errorf("%s belongs to another user of this machine, who may have put something into it: look at it, and remove it or make the administrators its owner", path)
	}
	sd, err := descriptor("OICI")
	if err != nil {
		return err
	}
	list, _, err := sd.DACL()
	if err == nil {
		err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	}
	if err != nil {
		return &fs.PathError{Op: "set the access list of", Path: path, Err: err}
	}
	return nil
}

// CheckPeer returns an error unless the object behind a handle, such as a pipe, was made by one who
// may read what this package makes.
func CheckPeer(h windows.Handle) error {
	sd, err := windows.GetSecurityInfo(h, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return err
	}
	if !ours(sd) {
		return errors.New("another user of this machine made it")
	}
	return nil
}

// ours reports whether the owner is one of those who may use what this package makes.
func ours(sd *windows.SECURITY_DESCRIPTOR) bool {
	owner, _, err := sd.Owner()
	if err != nil || owner == nil {
		return false
	}
	known := []string{system, administrators, service, owned()}
	if self, err := user(); err == nil {
		known = append(known, self)
	}
	return slices.Contains(known, owner.String())
}

// owned returns the SID of whoever owns what this process makes: the user, or, for an administrator,
// all of them. It is empty if that is unknown.
func owned() string {
	var buffer [32]uintptr // TOKEN_OWNER is a pointer to a SID that follows it
	var size uint32
	err := windows.GetTokenInformation(windows.GetCurrentProcessToken(), windows.TokenOwner, (*byte)(unsafe.Pointer(&buffer)), uint32(unsafe.Sizeof(buffer)), &size)
	if err != nil {
		return ""
	}
	return (*(**windows.SID)(unsafe.Pointer(&buffer))).String()
}

// OthersMayRead reports whether anybody else may read a file or look into a folder.
func OthersMayRead(path string) bool {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return false
	}
	list, _, err := sd.DACL()
	if err != nil || list == nil { // without a list, everybody may do everything
		return true
	}
	known := []string{system, administrators, ownerRights, service}
	if owner, _, err := sd.Owner(); err == nil && owner != nil {
		known = append(known, owner.String())
	}
	if self, err := user(); err == nil {
		known = append(known, self)
	}
	for i := range uint32(list.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if windows.GetAce(list, i, &ace) != nil {
			return true
		}
		const read = windows.FILE_READ_DATA | windows.GENERIC_READ | windows.GENERIC_ALL
		if ace.Header.AceType != windows.ACCESS_ALLOWED_ACE_TYPE || ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 || ace.Mask&read == 0 {
			continue
		}
		if sid := (*windows.SID)(unsafe.Pointer(&ace.SidStart)); !slices.Contains(known, sid.String()) {
			return true
		}
	}
	return false
}

// OthersMayEnter is OthersMayRead for a folder.
func OthersMayEnter(path string) bool { return OthersMayRead(path) }
